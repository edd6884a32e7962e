"""drift_report.py on what the suite itself scored: a profile of its own, days like the training, and days unlike it."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import drift_report
import jars
import mlflow
import numpy as np
import prediction_files
import pytest
import score_batch
from buckets import Store
from chaos.zoo import NAME as ZOO_NAME
from chaos.zoo import Zoo
from gcs_service import Gcs
from mlflow.tracking import MlflowClient
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812
from supervisor import environment

from sentiment import evaluation, registry, storage
from sentiment.jobs import DataError
from sentiment.sample import sample_rows
from sentiment.scores import Scores
from sentiment.serving.models import Copies, Registry
from sentiment.serving.settings import ModelChoice

pytestmark = pytest.mark.spark

MODEL = "drift-best"
ROWS = 300
FIRST = datetime(2026, 11, 1, tzinfo=UTC)
Pair = tuple[str, bool]
"""A text and whether the model calls it positive."""


def alike(rows: list[Pair]) -> list[str]:
    return [text for text, _ in rows]


def long(rows: list[Pair]) -> list[str]:
    return [f"{text} {text}" for text, _ in rows]


def foreign(rows: list[Pair]) -> list[str]:
    """As long as before, in words that no training text holds."""
    return ["".join(chr(ord(letter) + 0x3B1 - 97) if letter.islower() else letter for letter in t) for t, _ in rows]


def cheerful(rows: list[Pair]) -> list[str]:
    """The same kinds of text, in another mix: nearly all of them are called positive."""
    happy = [text for text, positive in rows if positive]
    return (happy * 3)[: len(rows) - 10] + alike(rows)[:10]


def few(rows: list[Pair]) -> list[str]:
    return alike(rows)[:50]


Change = Callable[[list[Pair]], list[str]]
DAYS: list[Change] = [*[alike] * 3, *[long] * 2, *[foreign] * 2, *[cheerful] * 2]
"""What the texts of each day since FIRST are like; the day after has 50 rows only."""


@dataclass
class World:
    """A registered model with its profile, and ten days of its predictions."""

    client: MlflowClient
    uri: str
    run_id: str
    predictions: Path

    def report(self, output: Path | str, *more: str) -> dict[str, Any]:
        """Run the job; what report.json holds."""
        self.run(output, *more)
        held: dict[str, Any] = json.loads((Path(output) / "report.json").read_text())
        return held

    def run(self, output: Path | str, *more: str, source: Path | None = None) -> None:
        drift_report.main(
            [
                *("--input", str(source or self.predictions), "--output", str(output), "--mlflow-uri", self.uri),
                *("--model-name", MODEL, "--windows", "2", "--min-windows", "2", "--min-rows", "200"),
                *more,
            ]
        )


def sampled(seed: int) -> list[Pair]:
    """Generated texts and whether they are meant well."""
    rows = [row for row in sample_rows(4_000, seed) if len(row) == 6 and row[0] in ("0", "4") and row[5].strip()]
    return [(row[5], row[0] == "4") for row in rows]


def day(number: int) -> str:
    return f"{FIRST + timedelta(days=number):%Y-%m-%d}"


def score(uri: str, incoming: Path | str, predictions: Path) -> None:
    """Score files of one text a line; when a file was last changed is its rows' ingest_time."""
    source = ["--input", str(incoming), "--file-format", "text", "--output-path", str(predictions)]
    score_batch.main([*source, "--mlflow-uri", uri, "--model-name", MODEL])


@pytest.fixture(scope="module")
def world(spark: SparkSession, zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The model scores its own test rows for the profile, then ten days of files by score_batch.py."""
    folder = tmp_path_factory.mktemp("drift")
    run = zoo.client.create_run("0").info
    source = zoo.client.get_model_version(ZOO_NAME, "1").source
    assert source is not None
    assert registry.register(zoo.client, MODEL, run.run_id, source, {}, "for drift") == "1"
    zoo.client.set_registered_model_alias(MODEL, "champion", "1")
    reference, labels = zip(*sampled(1)[:2_000], strict=True)
    texts = [*reference, *(text for text, _ in sampled(2))]
    choice = ModelChoice(zoo.uri, MODEL)
    copies = Copies(spark, str(folder / "copies"), choice)
    copies.add(Registry(zoo.client, choice), "1")
    frame = spark.createDataFrame(list(enumerate(texts)), "id int, text string").coalesce(1)
    said = copies.load(MODEL, "1", "spark").apply(frame).orderBy("id").toPandas()
    known = said[: len(reference)]
    scores = Scores(
        [str(number) for number in known["id"]],
        list(reference),
        np.array(labels, dtype=float),
        known["score"].to_numpy(),
        known["prediction"].to_numpy(),
    )
    tokens = evaluation.top_tokens(frame.where(F.col("id") < len(reference)), len(reference))
    zoo.client.log_dict(run.run_id, evaluation.profile(scores, tokens), "profile.json")
    called = said["prediction"].to_numpy() == 1.0
    fresh = [(text, bool(positive)) for text, positive in zip(texts, called, strict=True)][len(reference) :]
    incoming = folder / "incoming"
    incoming.mkdir()
    for number, change in enumerate([*DAYS, few]):
        path = incoming / f"{number}.txt"
        path.write_text("\n".join(change(fresh[number * ROWS : (number + 1) * ROWS])) + "\n", encoding="utf-8")
        moment = (FIRST + timedelta(days=number, hours=9)).timestamp()
        os.utime(path, (moment, moment))
    predictions = folder / "predictions"
    score(zoo.uri, incoming, predictions)
    assert spark.read.parquet(str(predictions)).count() == len(DAYS) * ROWS + 50
    return World(zoo.client, zoo.uri, run.run_id, predictions)


def test_a_file_scored_again_under_another_of_its_names_replaces_what_it_gave(world: World, tmp_path: Path) -> None:
    file, predictions = tmp_path / "a.txt", tmp_path / "predictions"
    file.write_text("I love this\n", encoding="utf-8")
    for name in (str(file), os.path.relpath(file)):
        score(world.uri, name, predictions)
    assert len(list(predictions.glob("date=*/*.parquet"))) == 1


def test_days_like_the_training_are_no_drift(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = world.report(tmp_path, "--until", day(3), "--windows", "3", "--fail-on-drift")
    assert found["verdict"] == "no drift"
    assert [(window["begin"], window["rows"]) for window in found["windows"]] == [
        (f"{day(number)}T00:00:00Z", ROWS) for number in range(3)
    ]
    assert all(0 < value < 0.1 for window in found["windows"] for value in window["psi"].values())
    assert all(of["windows_above"] == 0 for of in found["features"].values())
    assert (found["model_name"], found["model_version"], found["run_id"]) == (MODEL, "1", world.run_id)
    (line,) = capsys.readouterr().out.splitlines()
    assert line == f"no drift: {found['reason']}; {tmp_path}/report.html"


@pytest.mark.parametrize(
    ("last", "feature", "calm"),
    [(5, "text_length", []), (7, "top_tokens", ["text_length"]), (9, "score", ["text_length"])],
)
def test_days_unlike_the_training_are_drift_of_the_feature_that_changed(
    world: World, tmp_path: Path, last: int, feature: str, calm: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        world.run(tmp_path, "--until", day(last), "--fail-on-drift")
    assert ended.value.code == drift_report.DRIFTED
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["verdict"] == "drift"
    assert found["reason"].startswith(f"PSI above 0.2: {feature} in 2 of the last 2 windows (at most ")
    assert found["features"][feature]["drift"]
    assert not any(found["features"][name]["drift"] for name in calm)
    for window in found["windows"]:
        for name, value in window["psi"].items():
            assert sum(bin_["adds"] for bin_ in window["bins"][name]) == pytest.approx(value, abs=1e-4)
            assert sum(bin_["found"] for bin_ in window["bins"][name]) == pytest.approx(1, abs=1e-4)


def test_a_drift_that_has_not_lasted_is_none(world: World, tmp_path: Path) -> None:
    assert world.report(tmp_path, "--until", day(4))["verdict"] == "no drift"


def test_a_stream_that_has_not_begun_has_too_few_rows_where_that_is_allowed(world: World, tmp_path: Path) -> None:
    found = world.report(tmp_path, "--input", str(tmp_path / "none"), "--may-be-empty")
    assert (found["verdict"], [window["rows"] for window in found["windows"]]) == ("too few rows", [0, 0])


def test_days_with_too_few_rows_are_neither(world: World, tmp_path: Path) -> None:
    found = world.report(tmp_path, "--until", day(11))
    assert found["verdict"] == "too few rows"
    assert [(window["rows"], window["state"], window["psi"]) for window in found["windows"]] == [
        (50, "too few rows", {}),
        (0, "too few rows", {}),
    ]
    assert found["reason"] == "0 of the last 2 windows have 200 rows of version 1 or more, 2 are wanted"
    assert "too few rows" in (tmp_path / "report.html").read_text()


def test_a_window_holds_its_begin_and_not_its_end(spark: SparkSession, world: World, tmp_path: Path) -> None:
    """Three rows: just before 22:00, at 22:00, and just before the day's end; windows reach over midnight."""
    times = ["2026-11-01T21:59:59.999999Z", "2026-11-01T22:00:00Z", "2026-11-02T21:59:59.999999Z"]
    three = spark.read.parquet(str(world.predictions)).limit(3).coalesce(1)
    when = F.element_at(F.array(*map(F.lit, times)), (F.monotonically_increasing_id() + 1).cast("int"))
    moved = three.withColumn("ingest_time", when.cast("timestamp")).withColumn("date", F.to_date("ingest_time"))
    folder = tmp_path / "predictions[1]{a}*"  # no pattern
    moved.write.partitionBy("date").parquet(str(folder))
    world.run(tmp_path / "out", "--until", "2026-11-02T23:00:00+01:00", "--min-rows", "1", source=folder)
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [(window["begin"], window["rows"]) for window in found["windows"]] == [
        ("2026-10-31T22:00:00Z", 1),
        ("2026-11-01T22:00:00Z", 2),
    ]
    (file,) = folder.glob("date=2026-11-02/*.parquet")
    prediction_files.damage(file)
    with pytest.raises(DataError, match=rf"^--input {re.escape(str(folder))}: [^\n]*{file.name}[^\n]*$"):
        world.run(tmp_path / "none", "--until", "2026-11-02T23:00:00+01:00", source=folder)
    assert not (tmp_path / "none").exists()


def test_rows_of_other_versions_are_left_out_and_counted(spark: SparkSession, world: World, tmp_path: Path) -> None:
    mixed = tmp_path / "predictions"
    shutil.copytree(world.predictions, mixed)
    other = spark.read.parquet(str(world.predictions / f"date={day(4)}")).withColumn("model_version", F.lit("7"))
    other.write.mode("append").parquet(str(mixed / f"date={day(4)}"))
    world.run(tmp_path / "out", "--until", day(5), source=mixed)
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert found["windows"][1]["left_out"] == {f"{MODEL} version 7": ROWS}
    assert found["windows"][1]["rows"] == ROWS
    assert f"{ROWS} of {MODEL} version 7" in (tmp_path / "out" / "report.md").read_text()


def test_the_page_and_the_text_show_what_the_figures_say(world: World, tmp_path: Path) -> None:
    found = world.report(tmp_path, "--until", day(7), "--windows", "7")
    page, text = (tmp_path / "report.html").read_text(), (tmp_path / "report.md").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert found["reason"] in text
    for name, of in found["features"].items():
        assert f"| {name} | " in text
        assert f"| {of['largest_psi']:.3f} | {of['windows_above']} of 7 |" in text
    assert text.count(f"| {day(0)} 00:00 | {ROWS} |") == 1
    assert "None" not in page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json", "report.md"]


def test_predictions_and_report_may_lie_on_gs(world: World, tmp_path: Path, gcs: Gcs) -> None:
    """In a process of its own, as the connector has to be there before Spark starts."""
    bucket, folder = "sentiment-bucket", tmp_path.name
    place = f"gs://{bucket}/{folder}"
    env = {
        **environment(gcs.exports()),
        "SENTIMENT_JARS": ",".join(jars.connector_jars()),
        "PYTHONPATH": str(Path(drift_report.__file__).parent),
        "SENTIMENT_DRIVER_MEMORY": "1g",
    }
    command = [
        *(sys.executable, str(drift_report.__file__), "--input", f"{place}/predictions", "--output", f"{place}/drift"),
        *("--mlflow-uri", world.uri, "--model-name", MODEL, "--until", day(5), "--windows", "2"),
        *("--min-windows", "2", "--min-rows", "200"),
    ]
    with Store(gcs.port) as store:
        for path in world.predictions.glob("date=*/*.parquet"):
            store.write(bucket, f"{folder}/predictions/{path.relative_to(world.predictions)}", path.read_bytes())
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("drift: PSI above 0.2: text_length in 2 of the last 2 windows (at most ")
        held = json.loads(store.read(bucket, f"{folder}/drift/report.json"))
        page = store.read(bucket, f"{folder}/drift/report.html")
    assert [window["rows"] for window in held["windows"]] == [ROWS, ROWS]
    assert b"data:image/png" in page


def logged(world: World, content: dict[str, Any] | None, name: str) -> None:
    """Register a model of its own whose run has this profile, or none."""
    run = world.client.create_run("0").info
    source = world.client.get_model_version(MODEL, "1").source
    assert source is not None
    registry.register(world.client, name, run.run_id, source, {}, "for drift")
    if content is not None:
        world.client.log_dict(run.run_id, content, "profile.json")
    world.client.set_registered_model_alias(name, "champion", "1")


def test_a_missing_or_older_profile_is_told_in_one_line(world: World, tmp_path: Path) -> None:
    logged(world, None, "drift-bare")
    with pytest.raises(DataError, match=r"^drift-bare version 1: want profile\.json in run \w+, found none; "):
        world.run(tmp_path, "--model-name", "drift-bare")
    logged(world, {"rows": 200, "score_deciles": [0.0] * 11}, "drift-older")
    with pytest.raises(DataError, match=r"^drift-older version 1: profile\.json of run \w+: want format 2 "):
        world.run(tmp_path, "--model-name", "drift-older")


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--model-name", "nobody"], "--model-name nobody: want a registered model, found none"),
        (["--model-version", "99"], f"--model-name {MODEL}: want version 99, found no such version"),
        (["--mlflow-uri", "http://127.0.0.1:1"], "--mlflow-uri http://127.0.0.1:1: want an MLflow server or database"),
        (
            ["--mlflow-uri", "sqlite:///mlfow.db"],
            "--mlflow-uri sqlite:///mlfow.db: want an MLflow server or database, found no file mlfow.db",
        ),
        (["--input", "no/such"], "--input no/such: want predictions under date=YYYY-MM-DD/, found none"),
    ],
)
def test_what_is_not_there_is_named(world: World, tmp_path: Path, flags: list[str], complaint: str) -> None:
    with pytest.raises(DataError) as refused:
        world.run(tmp_path, *flags)
    assert str(refused.value).startswith(complaint)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_what_is_scored_with_a_misspelt_registry_makes_none(spark: SparkSession, tmp_path: Path) -> None:
    assert spark is not None
    with pytest.raises(DataError, match=r"^--mlflow-uri sqlite:.*, found no file "):
        score(f"sqlite:///{tmp_path}/mlfow.db", tmp_path / "in", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_predictions_without_the_columns_are_refused(spark: SparkSession, world: World, tmp_path: Path) -> None:
    spark.range(3).write.parquet(str(tmp_path / "predictions" / f"date={day(0)}"))
    with pytest.raises(DataError, match=r"want columns text, .*, found no text, prediction, score, model_name"):
        world.run(tmp_path / "out", "--until", day(1), source=tmp_path / "predictions")


def test_a_profile_of_the_same_rows_gives_an_index_near_zero(spark: SparkSession, world: World, tmp_path: Path) -> None:
    """Bins counted by Spark and bins counted by the training agree row by row: the profile's own rows give 0."""
    mlflow.set_tracking_uri(world.uri)
    held = mlflow.artifacts.load_dict(f"runs:/{world.run_id}/profile.json")
    texts = [text for text, _ in sampled(1)[:2_000]]
    path = tmp_path / "incoming" / "same.txt"
    path.parent.mkdir()
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    os.utime(path, (FIRST.timestamp(), FIRST.timestamp()))
    score(world.uri, path.parent, tmp_path / "predictions")
    world.run(
        tmp_path / "out", "--until", day(1), "--windows", "1", "--min-windows", "1", source=tmp_path / "predictions"
    )
    (window,) = json.loads((tmp_path / "out" / "report.json").read_text())["windows"]
    assert window["rows"] == held["rows"] == 2_000
    assert window["psi"] == {"score": 0.0, "text_length": 0.0, "top_tokens": 0.0}
    assert storage.exists(spark, str(tmp_path / "out" / "report.json"))
