"""Jobs on gs:// paths, through Google's connector and the local object store: written, read, streamed, killed."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jars
import pyarrow.parquet as pq
import pytest
from buckets import Store
from chaos.zoo import NAME, Zoo
from gcs_service import Gcs
from supervisor import environment

CODE = Path(__file__).resolve().parent.parent / "code"

JOBS = """
import sys
import create_splits, preprocess
from pyspark.sql import SparkSession
from sentiment.session import session
place = sys.argv[1]
for _ in range(2):  # the second time it replaces
    preprocess.main(["--input", place + "/raw/*.csv", "--output", place + "/clean"])
create_splits.main(["--input", place + "/clean", "--output", place + "/splits"])
spark = session("look")
names = ("clean/tweets", "splits/train", "splits/dev", "splits/test")
rows = [spark.read.parquet(place + "/" + name).count() for name in names]
print("rows", *rows)
"""

# One file a batch; the output's own log and the checkpoint decide what counts.
STREAM = """
import sys
from sentiment.session import session
place = sys.argv[1]
spark = session("stream")
lines = spark.readStream.option("maxFilesPerTrigger", 1).text(place + "/in")
query = (lines.writeStream.format("parquet").option("checkpointLocation", place + "/checkpoint")
         .trigger(availableNow=True).start(place + "/out"))
query.awaitTermination()
found = spark.read.parquet(place + "/out")
print("rows", found.count(), found.distinct().count())
"""
FILES, LINES = 8, 50
SERVED = 5
PATIENCE_SECONDS = 500


@pytest.fixture
def gs(gcs: Gcs, tmp_path: Path) -> tuple[str, dict[str, str]]:
    """A place of the test's own on gs://, and the environment in which a job finds it."""
    env = {
        **environment(gcs.exports()),
        "SENTIMENT_JARS": ",".join(jars.connector_jars()),
        "PYTHONPATH": str(CODE),
        "SENTIMENT_DRIVER_MEMORY": "1g",
    }
    return f"gs://sentiment-bucket/{tmp_path.name}", env


def started(code: str, place: str, env: dict[str, str], folder: Path) -> "subprocess.Popen[str]":
    return running(["-c", code, place], env, folder)


def running(words: list[str], env: dict[str, str], folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *words],
        env=env,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def ended(process: "subprocess.Popen[str]") -> str:
    """What it printed; it must end well."""
    try:
        out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        killed(process)
        raise
    assert process.returncode == 0, out[-3000:]
    return out


def killed(process: "subprocess.Popen[str]") -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)


@pytest.mark.spark
def test_the_jobs_read_and_replace_on_gs(gcs: Gcs, gs: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    place, env = gs
    words = ["good", "bad", "fine", "awful", "nice", "sad", "great", "poor"]
    lines = [
        f'"{4 * (number % 2)}","{number}","","","","{words[number % 8]} day number {number}"' for number in range(200)
    ]
    with Store(gcs.port) as store:
        store.write("sentiment-bucket", f"{tmp_path.name}/raw/tweets.csv", "\n".join(lines).encode())
    out = ended(started(JOBS, place, env, tmp_path))
    rows = [int(word) for word in out.splitlines()[-1].split()[1:]]
    assert rows[0] == sum(rows[1:]) == 200
    assert [path.name for path in tmp_path.iterdir() if path.name != "artifacts"] == []


@pytest.mark.spark
def test_a_stream_on_gs_that_is_killed_and_restarted_has_every_row_once(
    gcs: Gcs, gs: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    place, env = gs
    with Store(gcs.port) as store:
        for number in range(FILES):
            lines = "\n".join(f"{number} {line}" for line in range(LINES))
            store.write("sentiment-bucket", f"{tmp_path.name}/in/{number}.txt", lines.encode())
        first = started(STREAM, place, env, tmp_path)
        try:
            until = time.monotonic() + 120
            while not any("/checkpoint/commits/1" in found["name"] for found in store.objects("sentiment-bucket")):
                assert first.poll() is None, first.communicate()[0][-3000:]
                assert time.monotonic() < until
                time.sleep(0.1)
        finally:
            killed(first)
        commits = [
            found["name"] for found in store.objects("sentiment-bucket") if "/checkpoint/commits/" in found["name"]
        ]
        assert not any(name.endswith(f"/{FILES - 1}") for name in commits), "it was killed too late to show anything"
    out = ended(started(STREAM, place, env, tmp_path))
    assert out.splitlines()[-1] == f"rows {FILES * LINES} {FILES * LINES}"


def serving(place: str, uri: str) -> list[str]:
    """The suite's own stream with everything but the registry on gs://, one file a batch, until all is scored."""
    arguments = {
        "source-type": "file",
        "input-path": f"{place}/in",
        "file-format": "json",
        "max-files-per-trigger": "1",
        "output-path": f"{place}/predictions",
        "checkpoint": f"{place}/checkpoint",
        "mlflow-uri": uri,
        "model-name": NAME,
    }
    flags = [f"--{name}={value}" for name, value in arguments.items()]
    return [str(CODE / "streaming_serving_mlflow_hdfs_kafka.py"), *flags, "--available-now"]


def named(store: Store, place: str, part: str, ending: str) -> list[str]:
    """The objects under a folder of a place whose names end so."""
    bucket, _, prefix = place.removeprefix("gs://").partition("/")
    names = [str(found["name"]) for found in store.objects(bucket)]
    return [name for name in names if name.startswith(f"{prefix}/{part}/") and name.endswith(ending)]


@pytest.mark.spark
def test_the_serving_job_on_gs_that_is_killed_and_restarted_has_every_message_once(
    gcs: Gcs, gs: tuple[str, dict[str, str]], zoo: Zoo, tmp_path: Path
) -> None:
    place, env = gs
    zoo.set_champion("1")
    ids = [f"{number}-{line}" for number in range(SERVED) for line in range(LINES)]
    with Store(gcs.port) as store:
        for number in range(SERVED):
            messages = [json.dumps({"id": f"{number}-{line}", "text": f"I love day {line}"}) for line in range(LINES)]
            lines = [*messages, "no json"]
            store.write("sentiment-bucket", f"{tmp_path.name}/in/{number}.json", "\n".join(lines).encode())
        first = running(serving(place, zoo.uri), {**env, "SENTIMENT_PAUSE_AT": "after-parquet:2"}, tmp_path)
        said = []
        try:
            assert first.stdout is not None
            for line in first.stdout:
                said.append(line)
                if "standing still at after-parquet" in line:
                    break
        finally:
            killed(first)
        assert "standing still" in said[-1], "".join(said)[-3000:]
        written = len(named(store, place, "predictions", ".parquet"))
        assert written == 3, "batch 2 was to be in the files when it was killed"
        manifests = [name.rpartition("/")[2] for name in named(store, place, "checkpoint/manifests", ".json")]
        assert sorted(manifests) == ["0.json", "1.json"]
        ended(running(serving(place, zoo.uri), env, tmp_path))
        audit = [str(CODE / "audit_predictions.py"), "--checkpoint", f"{place}/checkpoint"]
        out = ended(running([*audit, "--output-path", f"{place}/predictions"], env, tmp_path))
        assert out.splitlines()[-1] == "every message once"
        counts = {words[0]: words[1].replace(",", "") for words in map(str.split, out.splitlines()) if len(words) == 2}
        wanted = {"batches": SERVED, "rows_in": SERVED * (LINES + 1), "predictions": len(ids), "dead_letters": SERVED}
        assert counts == {name: str(count) for name, count in wanted.items()}
        found: list[str] = []
        for name in named(store, place, "predictions", ".parquet"):
            content = store.read("sentiment-bucket", name)
            found += pq.read_table(io.BytesIO(content), columns=["id"])["id"].to_pylist()
    assert sorted(found) == sorted(ids)
