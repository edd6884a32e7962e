"""A stream over files, start to end: every row once, every row with its model, and the same again on a replay."""

import json
import re
import shutil
import socket
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import prediction_files
import pytest
from chaos.zoo import NAME, PYFUNC_NAME, RAISING_WORD, Zoo
from pyspark.sql import SparkSession

from sentiment import jobs, storage, tracking
from sentiment.live import history, history_check
from sentiment.live.entries import FOUND, PROMOTED, ROLLED_BACK
from sentiment.live.opening import open_ledger
from sentiment.serving import audit, batch, files, held, kafka_topics, models, rescoring, scoring, service, sources
from sentiment.serving.attempt import AFTER_MANIFEST, AFTER_OFFSETS
from sentiment.serving.checkpoint import INTENTS, Checkpoint
from sentiment.serving.lease import LeaseLostError
from sentiment.serving.rows import ArrowRows, SparkRows
from sentiment.serving.settings import CSV_HEADER, FILE, JSON, ModelChoice, Serving, Sinks, Source

pytestmark = pytest.mark.spark
POISON = ["", "no json", '{"text": 5}', '{"text": null}', '{"text": "' + "x" * 30_000 + '"}']


class Place:
    """A folder to watch and a stream over it."""

    def __init__(self, folder: Path, zoo: Zoo) -> None:
        self.folder, self.zoo = folder, zoo
        (folder / "in").mkdir()
        self.checkpoint, self.output = folder / "checkpoint", folder / "out"

    def write(self, name: str, lines: list[str]) -> Path:
        path = self.folder / "in" / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def serving(self, **changes: Any) -> Serving:
        choice = {"alias": "champion", **changes.pop("model", {})}
        name = choice.pop("name", NAME)
        values: dict[str, Any] = {
            "source": Source(FILE, path=str(self.folder / "in"), format=JSON, max_files=1),
            "sinks": Sinks(str(self.output), f"{self.output}-dead-letters"),
            "model": ModelChoice(self.zoo.uri, name, **choice),
            "checkpoint": str(self.checkpoint),
            "available_now": True,
            "retry_seconds": 0,
        }
        return Serving(**values | changes)

    def audit(self, spark: SparkSession) -> audit.Findings:
        return audit.audit(spark, str(self.checkpoint), str(self.output), "", "")

    def digest(self, spark: SparkSession) -> str:
        return audit.digest(spark, str(self.output))


@pytest.fixture
def place(tmp_path: Path, zoo: Zoo) -> Place:
    zoo.set_champion("1")
    return Place(tmp_path, zoo)


def tweets(first: int, count: int) -> list[str]:
    words = ("I love this", "I hate this", "what a day")
    return [
        json.dumps({"id": f"m{n}", "text": f"{words[n % 3]} {n}", "label": n % 2}) for n in range(first, first + count)
    ]


def test_every_message_becomes_one_prediction_or_one_dead_letter(spark: SparkSession, place: Place) -> None:
    place.write("a.json", [*tweets(0, 29), '{"id": "m29", "text": "old", "timestamp": "0001-02-01"}', *POISON])
    place.write("b.json", tweets(30, 20))
    service.serve(
        spark, place.serving(sinks=Sinks(str(place.output), f"{place.output}-dead-letters", f"{place.output}-json"))
    )
    found = place.audit(spark)
    assert found.gaps == []
    assert found.checked == {"batches": 2, "rows_in": 55, "predictions": 50, "dead_letters": 5}
    rows = spark.read.parquet(str(place.output))
    assert sorted(rows.columns) == sorted(scoring.PREDICTION_COLUMNS)
    assert {row["id"] for row in rows.collect()} == {f"m{n}" for n in range(50)}
    assert {(row["model_name"], row["model_version"]) for row in rows.collect()} == {(NAME, "1")}
    assert {row["sentiment"] for row in rows.collect()} == {"positive", "negative"}
    assert all((row["score"] > 0.5) == (row["prediction"] == 1.0) for row in rows.collect())
    assert spark.read.json(f"{place.output}-json").count() == 50
    dead = spark.read.parquet(f"{place.output}-dead-letters")
    assert sorted(dead.columns) == sorted(scoring.DEAD_COLUMNS)
    assert all(row["reason"] and row["source"].startswith("file:") for row in dead.collect())


def test_a_replayed_batch_adds_nothing_and_changes_nothing(spark: SparkSession, place: Place) -> None:
    place.write("a.json", tweets(0, 20))
    place.write("b.json", tweets(20, 20))
    service.serve(spark, place.serving())
    before, names = place.digest(spark), sorted(place.output.glob("date=*/*.parquet"))
    read, away = place.folder / "in" / "b.json", place.folder / "b.json"
    place.zoo.set_champion("2")
    for lost in (["commits/1"], ["commits/1", "manifests/1.json"], ["commits/1", "manifests/1.json", "written/1.json"]):
        for name in lost:
            (place.checkpoint / name).unlink()
        read.rename(away if "written/1.json" not in lost else read)  # only who writes anew wants it
        service.serve(spark, place.serving())
        (away if away.exists() else read).rename(read)
        assert place.audit(spark).gaps == []
        assert place.digest(spark) == before
        assert sorted(place.output.glob("date=*/*.parquet")) == names


def test_a_checkpoint_that_is_older_than_what_was_written_is_refused(spark: SparkSession, place: Place) -> None:
    place.write("a.json", tweets(0, 10))
    service.serve(spark, place.serving())
    shutil.copytree(place.checkpoint, place.folder / "backup")
    place.write("b.json", tweets(10, 10))
    service.serve(spark, place.serving())
    before = {path: path.stat().st_ino for path in place.output.glob("date=*/*.parquet")}
    shutil.rmtree(place.checkpoint)
    shutil.move(place.folder / "backup", place.checkpoint)
    for _ in range(2):
        with pytest.raises(jobs.DataError, match=r"^--checkpoint .*: want all that .*, found batch 1 in .*parquet"):
            service.serve(spark, place.serving(retry_seconds=600))
    assert {path: path.stat().st_ino for path in place.output.glob("date=*/*.parquet")} == before


def test_a_driver_that_was_passed_over_while_it_wrote_touches_no_file_of_the_other(
    spark: SparkSession, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write("a.json", tweets(0, 20))
    service.serve(spark, place.serving())
    before = {path: path.stat().st_ino for path in place.output.glob("date=*/*.parquet")}
    for name in ("commits/0", "manifests/0.json", "written/0.json"):
        (place.checkpoint / name).unlink()
    for kind in (ArrowRows, SparkRows):
        monkeypatch.setattr(kind, "write", outbid(kind.write, place.checkpoint / "epochs" / "00000099.json"))
    with pytest.raises(LeaseLostError, match="another driver has taken over"):
        service.serve(spark, place.serving())
    assert {path: path.stat().st_ino for path in place.output.glob("date=*/*.parquet")} == before


def outbid(write: Callable[..., None], epoch: Path) -> Callable[..., None]:
    """The method, after which another driver has claimed the checkpoint."""

    def written(*args: Any) -> None:
        write(*args)
        epoch.write_text('{"owner": "another", "state": "owned", "beat": 1}', encoding="utf-8")

    return written


@pytest.mark.skipif(not held.CAN_COLLECT, reason="Spark 3.5 holds every batch in the executors")
def test_a_batch_that_the_driver_cannot_hold_stays_in_the_executors(
    spark: SparkSession, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Any] = []

    def too_much(_spark: SparkSession, table: Any) -> held.InDriver:
        tried.append(table)
        raise MemoryError("a job's results are larger than spark.driver.maxResultSize")

    monkeypatch.setattr(held, "InDriver", too_much)
    place.write("a.json", tweets(0, 20) + POISON)
    service.serve(spark, place.serving(retry_seconds=30))
    assert len(tried) == 1
    assert place.audit(spark).gaps == []
    assert place.audit(spark).checked["predictions"] == 20


def test_the_ledger_explains_every_row_of_a_stream_that_followed_it(spark: SparkSession, place: Place) -> None:
    live = open_ledger(place.zoo.client, NAME, str(place.folder / "ledger"))
    live.settle()
    for number, (action, version) in enumerate([(FOUND, "1"), (PROMOTED, "2"), (ROLLED_BACK, "1")]):
        if number:
            before = live.live()
            live.move(action, version, live=before, seen=number, previous=before, reason="a test", evidence={})
        place.write(f"{number}.json", tweets(20 * number, 20))
        service.serve(spark, place.serving())
    rows = spark.read.parquet(str(place.output)).select("batch_id", "model_version").distinct().collect()
    assert {(row["batch_id"], row["model_version"]) for row in rows} == {(0, "1"), (1, "2"), (2, "1")}
    told = history_check.check(spark, history.read(place.zoo.client, live), str(place.output), 30, 60)
    assert (told.checked, told.unexplained) == (60, 0)
    assert place.audit(spark).gaps == []


def test_no_batch_needs_code_that_another_batch_did_not_need(spark: SparkSession, place: Place) -> None:
    kept: list[int] = []

    def generated(step: str, _number: int) -> None:
        if step == AFTER_MANIFEST:
            metrics = spark._jvm.org.apache.spark.metrics.source.CodegenMetrics  # type: ignore[union-attr]
            kept.append(metrics.METRIC_COMPILATION_TIME().getCount())

    for number in range(4):
        place.write(f"{number}.json", tweets(20 * number, 20))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(service, "pause", generated)
        service.serve(spark, place.serving())
    assert len(kept) == 4
    assert kept[2] == kept[1]
    assert kept[3] == kept[2]


def test_a_new_life_over_the_same_output_adds_rows_and_replaces_none(spark: SparkSession, place: Place) -> None:
    place.write("a.json", tweets(0, 20))
    service.serve(spark, place.serving())
    old = set(place.output.glob("date=*/*.parquet"))
    service.serve(spark, place.serving(checkpoint=str(place.folder / "fresh")))
    assert old < set(place.output.glob("date=*/*.parquet"))
    assert spark.read.parquet(str(place.output)).count() == 40


def full_disk(*_args: Any, **_kwargs: Any) -> list[str]:
    raise OSError("the disk is full")


def test_a_name_that_java_cannot_read_is_told_at_the_start(spark: SparkSession, place: Place) -> None:
    Path(place.write("a.json", tweets(0, 1))).with_name("\udcfc.json").touch()
    with pytest.raises(jobs.DataError, match=r"^cannot read .*/in: want names of files in UTF-8, .*/\\udcfc\.json'$"):
        service.serve(spark, place.serving())


def test_a_file_that_was_changed_after_its_intent_ends_the_stream(
    spark: SparkSession, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place.write("a.json", tweets(0, 10))
    with monkeypatch.context() as patched:
        patched.setattr(files, "publish", full_disk)
        with pytest.raises(jobs.DataError, match="the disk is full"):
            service.serve(spark, place.serving())
    place.write("a.json", tweets(0, 11))
    with pytest.raises(sources.FileChangedError, match=r"a\.json: want the file as it was"):
        service.serve(spark, place.serving())
    assert not list(place.output.glob("date=*/*.parquet"))
    place.write("a.json", tweets(0, 10))
    assert path.exists()


def test_a_file_that_grew_between_its_listing_and_its_intent_ends_the_stream(
    spark: SparkSession, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place.write("a.json", tweets(0, 10))

    def grow(step: str, _number: int) -> None:
        if step == AFTER_OFFSETS:
            path.write_text(path.read_text() + "\n".join(tweets(10, 10)) + "\n")

    monkeypatch.setattr(service, "pause", grow)
    with pytest.raises(sources.FileChangedError, match=r"a\.json: want the file as it was when it was found"):
        service.serve(spark, place.serving())
    assert not list(place.output.glob("date=*/*.parquet"))


def test_files_are_read_by_their_headers_whatever_their_names_are(spark: SparkSession, place: Place) -> None:
    names = ["a.csv", "50% off [1]{b}.csv"]
    for name in names:
        place.write(name, ["id,text,prénom", f"{name},I love this,me"])
    place.write("none.csv", ["", "text", "I hate this"])
    source = Source(FILE, path=str(place.folder / "in"), format=CSV_HEADER, max_files=3)
    service.serve(spark, place.serving(source=source))
    assert place.audit(spark).gaps == []
    rows = spark.read.parquet(str(place.output)).collect()
    assert sorted((row["id"], row["text"]) for row in rows) == [(name, "I love this") for name in sorted(names)]
    dead = spark.read.parquet(f"{place.output}-dead-letters").collect()
    assert sorted(row["reason"] for row in dead) == ["the file has no header"] * 2 + ["the message is empty"]
    again = rescoring.parsed(spark, rescoring.FILES, source.path, CSV_HEADER, "", 20_000)
    known = again.where("reason is null").collect()
    assert sorted(row["source"] for row in known) == sorted(row["source"] for row in rows)


def test_a_store_that_fails_now_and_then_ends_no_stream(
    spark: SparkSession, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = ["metadata", "intents/0.json"]

    def flaky(real: Callable[..., Any]) -> Callable[..., Any]:
        def called(spark: SparkSession, location: str, *rest: Any) -> Any:
            for name in failing:
                if location.endswith(name) and spark.streams.active:  # a start may fail: it is tried again
                    failing.remove(name)
                    failing.extend(["epochs", "control/drain"] if name == "intents/0.json" else [])
                    raise jobs.DataError(f"cannot reach {location}: 503")
            return real(spark, location, *rest)

        return called

    for name in ("exists", "names", "status", "create_text"):
        monkeypatch.setattr(storage, name, flaky(getattr(storage, name)))
    monkeypatch.setattr(batch, "LONGEST_WAIT_SECONDS", 1.0)
    place.write("a.json", tweets(0, 20))
    service.serve(spark, place.serving(retry_seconds=30))
    assert failing == []
    for name in ("commits/0", "manifests/0.json", "written/0.json"):
        (place.checkpoint / name).unlink()
    failing += ["in/a.json", "written/0.json"]
    service.serve(spark, place.serving(retry_seconds=30))
    assert failing == []
    assert place.audit(spark).gaps == []


def test_a_checkpoint_of_another_source_is_refused(spark: SparkSession, place: Place) -> None:
    place.write("a.json", tweets(0, 5))
    service.serve(spark, place.serving())
    other = Source(FILE, path=str(place.folder), format=JSON)
    with pytest.raises(jobs.ArgumentsError, match=r"--input-path: .*in, now it is .*; want the same"):
        service.serve(spark, place.serving(source=other))


@pytest.mark.parametrize("content", [b"", b'{"--source-type": "fi', b"[]", b"\xff"])
def test_a_damaged_checkpoint_is_told_in_one_line(spark: SparkSession, place: Place, content: bytes) -> None:
    (place.checkpoint / "intents").mkdir(parents=True)
    memory = Checkpoint(spark, str(place.checkpoint))
    read: dict[str, Callable[[], object]] = {
        "settings.json": lambda: service.serve(spark, place.serving()),
        "metadata": lambda: service.serve(spark, place.serving()),
        "input-topic.json": lambda: memory.check_topic("tweets", "an id"),
        "intents/0.json": lambda: memory.read(INTENTS, 0),
    }
    for name, start in read.items():
        (place.checkpoint / name).write_bytes(content)
        with pytest.raises(jobs.DataError) as told:
            start()
        line = rf"(--checkpoint|cannot read) {place.checkpoint / name}: want (a JSON object|UTF-8), found \S+.*"
        assert re.fullmatch(line, str(told.value))
    assert not (place.checkpoint / "epochs").exists()


def test_an_output_topic_that_is_not_there_leaves_the_checkpoint_as_it_was(spark: SparkSession, place: Place) -> None:
    sinks = Sinks(str(place.output), f"{place.output}-dead-letters", bootstrap="127.0.0.1:9", topic="typo")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kafka_topics, "PATIENCE_SECONDS", 1)
        with pytest.raises(jobs.DataError, match="want a Kafka broker, found none"):
            service.serve(spark, place.serving(sinks=sinks))
    assert not place.checkpoint.exists()


def test_a_metrics_port_that_something_else_holds_displaces_nobody(spark: SparkSession, place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:  # takes the question, and does not answer
        port = other.getsockname()[1]
        with pytest.raises(jobs.ArgumentsError, match=f"--metrics-port {port}: want a free port"):
            service.serve(spark, place.serving(metrics_port=port))
    assert not (place.checkpoint / "epochs").exists()


@pytest.mark.parametrize(
    ("model", "named"),
    [
        ({"name": "nobody"}, "nobody"),
        ({"alias": "nothing"}, "want a version with alias nothing"),
        ({"version": "99"}, "version 99"),
    ],
)
def test_a_model_that_is_not_there_is_named(
    spark: SparkSession, place: Place, model: dict[str, str], named: str
) -> None:
    place.write("a.json", tweets(0, 1))
    with pytest.raises(jobs.DataError, match=named):
        service.serve(spark, place.serving(model=model))
    assert not (place.checkpoint / "epochs").exists()  # a driver that may be at work was not displaced


def test_a_stream_without_its_registry_goes_on_with_its_last_good_model(spark: SparkSession, place: Place) -> None:
    place.write("a.json", tweets(0, 5))
    service.serve(spark, place.serving())
    place.write("b.json", tweets(5, 5))
    gone = ModelChoice("http://127.0.0.1:9", NAME)
    service.serve(spark, replace(place.serving(), model=gone))
    assert place.audit(spark).checked["predictions"] == 10
    tracking.client(place.zoo.uri)
    with pytest.raises(jobs.DataError, match="the registry does not answer"):
        service.serve(spark, replace(place.serving(checkpoint=str(place.folder / "cold")), model=gone))
    tracking.client(place.zoo.uri)


def test_any_mlflow_model_can_serve_and_leaves_no_copy_in_its_workers(spark: SparkSession, place: Place) -> None:
    def copies() -> set[Path]:
        return set(Path(tempfile.gettempdir()).glob("sentiment-pyfunc-*/MLmodel"))

    before = copies()
    place.write("a.json", [*tweets(0, 6), f'{{"text": "love {RAISING_WORD}"}}', "no json"])
    service.serve(spark, place.serving(model={"name": PYFUNC_NAME, "flavor": "pyfunc"}))
    rows = {row["id"]: row["score"] for row in spark.read.parquet(str(place.output)).collect()}
    assert rows == {f"m{n}": 0.9 if n % 3 == 0 else 0.2 for n in range(6)}
    dead = spark.read.parquet(f"{place.output}-dead-letters").collect()
    raised = "the model raised ValueError: a word too loud"
    assert sorted(row["reason"] for row in dead) == ["the message is not a JSON object", raised]
    assert copies() <= before


def test_scoring_again_gives_the_stream_s_own_predictions(spark: SparkSession, place: Place) -> None:
    place.write("a.json", tweets(0, 20) + POISON)
    service.serve(spark, place.serving())
    serving = place.serving()
    copies = models.Copies(spark, str(place.checkpoint), serving.model)
    model = copies.load(NAME, "1", "spark")
    inputs = {
        rescoring.FILES: (str(place.folder / "in"), 20),
        rescoring.PREDICTIONS: (str(place.output), 20),
        rescoring.DEAD_LETTERS: (f"{place.output}-dead-letters", 0),
    }
    for kind, (location, alive) in inputs.items():
        rows = rescoring.parsed(spark, kind, location, JSON, "", 20_000)
        again = str(place.folder / f"again[{kind}]")
        assert rescoring.run(spark, rows, model, again, kind)["rows_out"] == alive
        if alive:
            assert audit.digest(spark, again) == place.digest(spark)


def test_predictions_that_turn_out_to_be_damaged_are_named(spark: SparkSession, place: Place) -> None:
    place.write("a.json", tweets(0, 10))
    service.serve(spark, place.serving())
    model = models.Copies(spark, str(place.checkpoint), place.serving().model).load(NAME, "1", "spark")
    (file,) = place.output.glob("date=*/*.parquet")
    prediction_files.damage(file)
    rows = rescoring.parsed(spark, rescoring.PREDICTIONS, str(place.output), JSON, "", 20_000)
    again = place.folder / "again"
    with pytest.raises(jobs.DataError, match=f"^--input its place: scoring with version 1: .*{file.name}"):
        rescoring.run(spark, rows, model, str(again), "its place ")
    assert not list(again.rglob("*.parquet"))
    for look in (place.digest, place.audit):
        with pytest.raises(jobs.DataError, match=rf"^--output-path {place.output}: [^\n]*{file.name}[^\n]*$"):
            look(spark)


def test_the_audit_finds_what_is_lost_and_what_is_doubled(spark: SparkSession, place: Place) -> None:
    place.write("a.json", tweets(0, 10))
    place.write("b.json", tweets(10, 10))
    service.serve(spark, place.serving())
    (first, second) = sorted(place.output.glob("date=*/*.parquet"))
    content = first.read_bytes()
    first.unlink()
    assert place.audit(spark).gaps[0].startswith("batch 0: its manifest has 10 predictions and 0 dead letters")
    first.write_bytes(content)
    copy = second.with_name("copy-of-it.parquet")
    copy.write_bytes(second.read_bytes())
    gaps = place.audit(spark).gaps
    assert any("stands 2 times in the files (10 such)" in gap for gap in gaps)
    copy.unlink()
    (place.checkpoint / "manifests/0.json").unlink()
    manifest = place.checkpoint / "manifests/1.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "model_version": "7"}))
    assert place.audit(spark).gaps == [
        "batch 0 has no manifest, later ones have",
        f"batch 1: its manifest has model {NAME} 7, the files have {NAME} 1",
    ]
