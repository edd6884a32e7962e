"""The report on real streams: healthy, degraded or down, each reason with its figure; locally and on gs://."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import audit_predictions
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import serving_report
from buckets import Store
from chaos.stream import Stream as Driver
from chaos.zoo import NAME, Zoo
from gcs_service import Gcs
from pyspark.sql import SparkSession

from sentiment import objects
from sentiment.health import cli, report, streams
from sentiment.health.report import Told
from sentiment.health.streams import Stream
from sentiment.health.verdict import DEGRADED, DOWN, HEALTHY, Limits
from sentiment.jobs import DataError
from sentiment.serving import layout, service
from sentiment.serving.settings import FILE, JSON, ModelChoice, Serving, Sinks, Source

pytestmark = pytest.mark.spark
CODE = Path(serving_report.__file__).parent
POISON = ["", "no json", '{"text": 5}', '{"text": null}']
OLD = 4000.0


class Served:
    """A folder in which a stream has run to the end of its input."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoint, self.output = folder / "checkpoint", folder / "out"

    def write(self, name: str, lines: list[str], age: float = 0.0) -> None:
        path = self.folder / "in" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        os.utime(path, (time.time() - age,) * 2)

    def serving(self, zoo: Zoo, **changes: Any) -> Serving:
        made = Serving(
            source=Source(FILE, path=str(self.folder / "in"), format=JSON, max_files=1),
            sinks=Sinks(str(self.output), f"{self.output}-dead-letters"),
            model=ModelChoice(zoo.uri, NAME),
            checkpoint=str(self.checkpoint),
            available_now=True,
            interval_seconds=0,
        )
        return replace(made, **changes)

    def alive(self) -> "Served":
        """As if its driver were still there."""
        newest = max((self.checkpoint / layout.EPOCHS).glob("*.json"))
        newest.write_text(json.dumps({"owner": "a test", "state": layout.OWNED, "beat": 9}))
        return self

    def newest_file(self) -> Path:
        return max(self.output.glob("date=*/*.parquet"))

    def tell(self, later: float = 0.0, **limits: Any) -> Told:
        stream = Stream("tweets", str(self.checkpoint), str(self.output))
        return report.tell(stream, Limits(**limits), 86_400, 50, time.time() + later)


def tweets(first: int, count: int) -> list[str]:
    words = ("I love this", "I hate this", "what a day")
    return [json.dumps({"id": f"m{n}", "text": f"{words[n % 3]} {n}"}) for n in range(first, first + count)]


@pytest.fixture(scope="module")
def once(spark: SparkSession, zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Served]:
    """Two streams that ran: `good`, and `poor` with old messages and poison among them."""
    zoo.set_champion("1")
    folder = tmp_path_factory.mktemp("served")
    good, poor = (Served(folder / name) for name in ("good", "poor"))
    for each in (good, poor):
        each.folder.mkdir()
    for number in range(3):
        good.write(f"{number}.json", tweets(20 * number, 20))
    poor.write("0.json", tweets(0, 12) + POISON, age=OLD)
    for each in (good, poor):
        service.serve(spark, each.serving(zoo))
    return {"good": good, "poor": poor}


@pytest.fixture
def served(once: dict[str, Served], tmp_path: Path) -> Callable[[str], Served]:
    """A copy of one of them, to be spoiled, with its driver as if alive."""

    def copy(name: str) -> Served:
        shutil.copytree(once[name].folder, tmp_path / name)
        return Served(tmp_path / name).alive()

    return copy


@pytest.fixture
def good(served: Callable[[str], Served]) -> Served:
    return served("good")


def reasons(told: Told) -> str:
    return "; ".join(told.verdict.reasons)


def ended(arguments: list[str]) -> tuple[int, str]:
    """Exit code of the script, and the line that it says about a mistake."""
    try:
        serving_report.main(arguments)
    except SystemExit as end:
        return int(end.code or 0), ""
    except Exception as error:  # noqa: BLE001  jobs.run makes an exit code of it
        return int(getattr(error, "exit_code", 99)), str(error)
    return 0, ""


def test_a_healthy_stream_is_told_without_spark(good: Served, tmp_path: Path) -> None:
    code = "import sys; sys.modules['pyspark'] = None; import serving_report; serving_report.main()"
    command = [sys.executable, "-c", code, "--checkpoint", str(good.checkpoint), "--output-path", str(good.output)]
    env = {**os.environ, "PYTHONPATH": str(CODE)}
    done = subprocess.run(
        [*command, "--report", str(tmp_path / "report")], env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert "healthy" in done.stdout
    found = json.loads((tmp_path / "report" / "report.json").read_text())
    assert found["verdict"] == HEALTHY
    (stream,) = found["streams"]
    figures = stream["figures"]
    rows = ds.dataset(good.output, partitioning="hive").to_table()
    manifests = [json.loads(path.read_text()) for path in (good.checkpoint / "manifests").glob("*.json")]
    assert figures["rows_last_hour"] == rows.num_rows == 60
    assert figures["positive_share"] == pytest.approx(pc.mean(rows["prediction"]).as_py())
    assert 0 < figures["positive_share"] < 1
    assert figures["rows_per_second"] == pytest.approx(60 / sum(each["seconds"]["total"] for each in manifests))
    assert figures["batch_seconds_p95"] == max(each["seconds"]["total"] for each in manifests)
    assert figures["models"] == [f"{NAME} 1"]
    assert stream["files"]["files"] == len(list(good.output.glob("date=*/*.parquet"))) == 3
    assert stream["files"]["checked"] == 3
    assert stream["files"]["newest_rows"] == 20
    assert f"date={stream['files']['newest_date']}" == good.newest_file().parent.name


def test_the_page_and_the_markdown_hold_plot_table_and_nothing_that_a_name_smuggles_in(
    good: Served, tmp_path: Path
) -> None:
    stream = f"name=<b>|x,checkpoint={good.checkpoint},output={good.output}"
    assert ended(["--stream", stream, "--report", str(tmp_path / "report")]) == (0, "")
    html = (tmp_path / "report" / "report.html").read_text()
    assert html.count("data:image/png;base64,") == 1
    assert "&lt;b&gt;|x" in html
    assert "<b>" not in html
    assert "<b>\\|x | healthy" in (tmp_path / "report" / "report.md").read_text()


def test_a_stream_that_ended_is_down_and_it_is_told_whether_that_was_asked_for(once: dict[str, Served]) -> None:
    told = once["good"].tell()
    assert told.verdict.state == DOWN
    assert "its driver has ended, " in reasons(told)


def test_a_driver_that_no_longer_renews_its_lease_is_down(good: Served) -> None:
    told = good.tell(later=90)
    assert told.verdict.state == DOWN
    assert "the lease was renewed 90 s ago, want at most 60 s" in reasons(told)


def test_dead_letters_and_lag_are_named_with_figure_and_limit(served: Callable[[str], Served]) -> None:
    poor = served("poor")
    dead = poor.tell(lag_seconds=10_000)
    assert dead.verdict.state == DEGRADED
    assert dead.verdict.reasons == ["25.0% of the messages are dead letters, want at most 5.0%"]
    lag = poor.tell(dead_letter_share=0.25)
    assert lag.figures is not None
    assert OLD <= (lag.figures.lag_seconds or 0) < OLD + 600
    assert lag.verdict.reasons == [f"it is {lag.figures.lag_seconds:.0f} s behind its input (lag), want at most 300 s"]
    assert poor.tell(dead_letter_share=0.25, lag_seconds=10_000).verdict.state == HEALTHY


def test_a_stream_that_rests_is_degraded_for_that_and_not_for_its_last_lag(served: Callable[[str], Served]) -> None:
    poor = served("poor")
    for path in (poor.checkpoint / "manifests").glob("*.json"):
        os.utime(path, (time.time() - 7300,) * 2)
    told = poor.tell(dead_letter_share=1.0)
    assert told.verdict.reasons == ["the newest batch is 2 h old, want at most 3600 s"]


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def rotten(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[40:600] = b"\xff" * 560
    path.write_bytes(content)


@pytest.mark.parametrize("spoil", [truncated, emptied, rotten])
def test_broken_parquet_is_named(good: Served, spoil: Callable[[Path], None]) -> None:
    path = good.newest_file()
    spoil(path)
    told = good.tell()
    assert told.verdict.state == DEGRADED
    (reason,) = told.verdict.reasons
    assert reason.startswith(f"{path.parent.name}/{path.name} is no readable Parquet: ")


def test_files_that_are_gone_or_hold_other_rows_are_named(good: Served) -> None:
    first, second, _ = sorted(good.output.glob("date=*/*.parquet"))
    first.unlink()
    assert f"{first.name} is missing, which batch 0 wrote" in reasons(good.tell())
    pq.write_table(pq.read_table(second, partitioning=None).slice(0, 11), second)
    assert "(2 such faults)" in reasons(good.tell())
    first.write_bytes(b"")
    told = good.tell()
    assert told.output is not None
    assert told.output.faults[0] == "batch 1 has 20 predictions by its manifest, 11 in its files"


def test_a_message_of_a_year_that_no_date_has_leaves_its_stream_healthy(good: Served) -> None:
    """A producer that sends microseconds where Kafka wants milliseconds: the file is where its time led it."""
    newest = good.newest_file()
    rows = pq.read_table(newest, partitioning=None)
    far = pa.array([1_796_035_200_000_000_000] * rows.num_rows, rows.schema.field("ingest_time").type)
    rows = rows.set_column(rows.schema.get_field_index("ingest_time"), "ingest_time", far)
    (good.output / "date=+58884-09-07").mkdir()
    pq.write_table(rows, good.output / "date=+58884-09-07" / newest.name)
    newest.unlink()
    manifest = max((good.checkpoint / "manifests").glob("*.json"))
    manifest.write_text(manifest.read_text().replace(f"{newest.parent.name}/", "date=+58884-09-07/"))
    told = good.tell()
    assert told.verdict.state == HEALTHY, told.verdict
    assert told.output is not None
    assert (told.output.files, told.output.checked, told.output.newest_rows) == (3, 3, 20)
    assert (told.output.newest_date, told.output.newest_message) == ("+58884-09-07", None)
    assert dict(report.details(told))["newest file"].endswith(" positive, newest message outside years 1 to 9999")


def test_an_empty_output_is_not_healthy(good: Served) -> None:
    shutil.rmtree(good.output)
    told = good.tell()
    assert told.verdict.state == DOWN
    assert told.verdict.reasons == [f"its batches have predictions, {good.output} has no Parquet file"]


def test_a_driver_without_a_batch_is_not_healthy(good: Served) -> None:
    for folder in ("manifests", "intents"):
        shutil.rmtree(good.checkpoint / folder)
    told = good.tell()
    assert (told.verdict.state, told.verdict.reasons) == (DEGRADED, ["no batch is complete yet"])


def test_a_batch_that_hangs_and_one_that_was_lost_are_named(good: Served) -> None:
    (good.checkpoint / "manifests" / "2.json").unlink()
    assert good.tell().verdict.state == HEALTHY  # it is in work, and has been for a moment only
    intent = json.loads((good.checkpoint / "intents" / "2.json").read_text())
    intent["created_ms"] -= 600_000
    (good.checkpoint / "intents" / "2.json").write_text(json.dumps(intent))
    assert "a batch was planned 1" in reasons(good.tell())
    (good.checkpoint / "manifests" / "0.json").unlink()
    assert "batch 0 has no manifest, later ones have" in reasons(good.tell())


def test_batches_that_take_too_long_are_named(good: Served) -> None:
    for path in (good.checkpoint / "manifests").glob("*.json"):
        manifest = json.loads(path.read_text())
        manifest["seconds"]["total"] = 130.0
        path.write_text(json.dumps(manifest))
    assert good.tell().verdict.reasons == ["batches take 130 s (95th percentile), want at most 120 s"]


def test_a_pending_drain_is_told(good: Served) -> None:
    objects.create(f"{good.checkpoint}/{layout.DRAIN}", "{}")
    assert good.tell().verdict.reasons == ["it was asked to end (drain)"]


def test_gaps_of_the_audit_degrade_a_stream(good: Served, spark: SparkSession, tmp_path: Path) -> None:
    audit = tmp_path / "audit.json"
    arguments = ["--checkpoint", str(good.checkpoint), "--output-path", str(good.output), "--report", str(audit)]
    stream = Stream("tweets", str(good.checkpoint), str(good.output), str(audit))
    assert spark is not None
    audit_predictions.main(arguments)
    assert report.tell(stream, Limits(), 86_400, 0, time.time()).verdict.state == HEALTHY
    lost = report.tell(replace(stream, audit="", audit_failed=True), Limits(), 86_400, 0, time.time())
    assert lost.verdict.reasons == ["the audit failed: whether every message is there once is not known"]
    assert dict(report.details(lost))["audit"] == "failed"
    min(good.output.glob("date=*/*.parquet")).unlink()
    with pytest.raises(Exception, match="batch 0: its manifest has 20"):
        audit_predictions.main(arguments)
    told = report.tell(stream, Limits(), 86_400, 0, time.time())
    assert told.verdict.reasons == [
        "the audit has found 1 gap, the first: batch 0: its manifest has 20 predictions and 0 dead letters, "
        "the files have 0 and 0"
    ]
    other = replace(stream, checkpoint=str(tmp_path))
    with pytest.raises(Exception, match=f"want the audit of {tmp_path}, found that of {good.checkpoint}"):
        report.tell(other, Limits(), 86_400, 0, time.time())


def test_the_worst_of_several_streams_counts(
    served: Callable[[str], Served], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, poor = served("good"), served("poor")
    streams = [
        {"name": name, "checkpoint": str(each.checkpoint), "output": str(each.output)}
        for name, each in (("a", good), ("b", poor))
    ]
    as_flags = [word for each in streams for word in ("--stream", ",".join(f"{k}={v}" for k, v in each.items()))]
    assert ended(as_flags) == (3, "")
    out = capsys.readouterr().out
    assert "b: degraded (it is 40" in out
    (tmp_path / "list.json").write_text(json.dumps([*streams, {"name": "c", "checkpoint": str(tmp_path / "nothing")}]))
    assert ended(["--streams", (tmp_path / "list.json").as_uri()]) == (4, "")
    assert "c: down (no stream has ever run on its checkpoint)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        ([], 2, "--checkpoint, --stream, --streams: want one of the three"),
        (["--checkpoint", ""], 2, "--checkpoint, --stream, --streams: want one of the three"),
        (["--checkpoint", "a", "--streams", "b"], 2, "found none or several"),
        (["--stream", "name=a,checkpoint=x", "--output-path", "y"], 2, "want --checkpoint with them"),
        (["--stream", "name=a,checkpoint=x", "--stream", "name=a,checkpoint=y"], 2, "found a more than once"),
        (["--checkpoint", "hdfs://x/y"], 2, "want a local folder or gs://BUCKET/FOLDER, found hdfs://x/y"),
        (["--checkpoint", "x", "--report", "s3://x/y"], 2, "--report: want a local folder or gs://BUCKET/FOLDER"),
        (["--streams", "s3://x/y"], 2, "--streams: want a local folder or gs://BUCKET/FOLDER, found s3://x/y"),
        (["--stream", "name=a,checkpoint=s3://x/y"], 2, "--stream: want a local folder or gs://BUCKET/FOLDER"),
        (["--streams", "no/such.json"], 1, "--streams no/such.json: want a JSON file, found none"),
        (["--stream", "name=a"], 2, ""),
        (["--checkpoint", "a", "--max-dead-letter-share", "2"], 2, ""),
        (["--checkpoint", "a", "--action", "drain", "--report", "b"], 2, ""),
    ],
)
def test_a_mistake_is_named(arguments: list[str], code: int, named: str) -> None:
    found, line = ended(arguments)
    assert found == code
    assert named in line


def test_an_output_that_only_the_checkpoint_names_and_nobody_can_read_is_no_mistake_in_the_arguments(
    tmp_path: Path,
) -> None:
    (tmp_path / layout.SETTINGS).write_text('{"--output-path": "hdfs://x/y"}')
    code, line = ended(["--checkpoint", str(tmp_path)])
    wanted = "want predictions in a local folder or on gs://, found --output-path hdfs://x/y"
    assert (code, line) == (1, f"{tmp_path}: {wanted}")


def test_a_place_in_the_list_of_streams_that_nobody_can_read_is_no_mistake_in_the_arguments(tmp_path: Path) -> None:
    streams = [{"name": "a", "checkpoint": "/x"}, {"name": "b", "checkpoint": "/x", "output": "s3://x/y"}]
    (tmp_path / "list.json").write_text(json.dumps(streams))
    code, line = ended(["--streams", str(tmp_path / "list.json")])
    wanted = "want local folders or gs://BUCKET/FOLDER in it, found s3://x/y"
    assert (code, line) == (1, f"--streams {tmp_path / 'list.json'}: {wanted}")


def test_a_path_with_commas_stays_whole() -> None:
    args = serving_report.parse_args(["--stream", "name=a,checkpoint=/x,y/z,output=/o,audit=/p,q"])
    assert args.stream == [{"name": "a", "checkpoint": "/x,y/z", "output": "/o", "audit": "/p,q"}]


@pytest.mark.parametrize("given", [["--checkpoint", "/x", "--audit"], ["--stream"]])
def test_an_audit_s_file_may_be_a_uri_as_its_folders_may(given: list[str]) -> None:
    uri = "file:///a%20b/audit.json"
    value = f"name=a,checkpoint=file:///x,audit={uri}" if given == ["--stream"] else uri
    (stream,) = cli.streams(serving_report.parse_args([*given, value]))
    assert (stream.checkpoint, stream.audit) == ("/x", "/a b/audit.json")


def test_on_gs_a_stream_is_told_reported_and_asked_to_end(
    good: Served, gcs: Gcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.address())
    broken = good.newest_file()
    with Store(gcs.port) as store:
        for path in good.folder.rglob("*"):
            if path.is_file():
                store.write(
                    "sentiment-bucket", f"{tmp_path.name}/{path.relative_to(good.folder).as_posix()}", path.read_bytes()
                )
        place = f"gs://sentiment-bucket/{tmp_path.name}"
        arguments = ["--checkpoint", f"{place}/checkpoint", "--output-path", f"{place}/out"]
        assert ended([*arguments, "--report", f"{place}/report"]) == (0, "")
        found = json.loads(objects.read(f"{place}/report/report.json") or "")
        assert found["streams"][0]["figures"]["rows_last_hour"] == 60
        assert found["streams"][0]["files"]["newest_rows"] == 20
        assert objects.names(f"{place}/report") == ["report.html", "report.json", "report.md"]
        name = f"{tmp_path.name}/out/{broken.parent.name}/{broken.name}"
        store.write("sentiment-bucket", name, broken.read_bytes()[:-50])
        assert ended([*arguments, "--report", f"{place}/report"]) == (3, "")
        assert f"{broken.name} is no readable Parquet: Parquet" in (objects.read(f"{place}/report/report.md") or "")
        assert ended(["--action", "drain", "--wait-seconds", "0", "--checkpoint", f"{place}/checkpoint"]) == (0, "")
        assert objects.read(f"{place}/checkpoint/control/drain") == "{}\n"
        code, line = ended(["--checkpoint", "gs://no-such-bucket/x"])
    assert code == 1
    assert "cannot read gs://no-such-bucket/x" in line


@pytest.fixture
def driver(spark: SparkSession, zoo: Zoo, tmp_path: Path) -> Iterator[tuple[Driver, Served]]:
    """A stream over files in a process of its own, after its first batch."""
    assert spark is not None
    zoo.set_champion("1")
    place = Served(tmp_path / "live")
    place.folder.mkdir()
    place.write("0.json", tweets(0, 20))
    arguments = ["--source-type=file", "--file-format=json", "--batch-interval-seconds=0", f"--model-name={NAME}"]
    arguments += [f"--input-path={place.folder / 'in'}", f"--output-path={place.output}", f"--mlflow-uri={zoo.uri}"]
    made = Driver(tmp_path / "driver.log", [*arguments, f"--checkpoint={place.checkpoint}"])
    try:
        made.wait_until(lambda: len(made.batches) == 1, "to complete a batch")
        yield made, place
    finally:
        made.kill()


def test_a_driver_that_is_killed_is_down_and_cannot_be_drained(driver: tuple[Driver, Served]) -> None:
    stream, place = driver
    arguments = ["--checkpoint", str(place.checkpoint)]
    assert ended(arguments) == (0, "")
    stream.kill()
    assert ended([*arguments, "--max-lease-seconds", "15"])[0] == 0, "a lease of a moment ago tells nothing yet"
    time.sleep(8)
    limit = ["--max-lease-seconds", "7"]
    assert ended([*arguments, *limit]) == (4, "")
    code, line = ended([*arguments, *limit, "--action", "drain"])
    assert code == 4
    assert "want a driver that lives, found its lease renewed" in line
    assert not (place.checkpoint / layout.DRAIN).exists()


def test_an_intent_whose_time_is_no_number_is_named(tmp_path: Path) -> None:
    (tmp_path / "intents").mkdir()
    (tmp_path / "intents" / "0.json").write_text('{"created_ms": "soon"}', encoding="utf-8")
    with pytest.raises(DataError, match=rf"^{tmp_path}/intents/0\.json: want created_ms in milliseconds since 1970, "):
        streams._in_work(str(tmp_path), [])
