"""Jobs on gs:// paths, through Google's connector and the local object store: written, read, streamed, killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jars
import pytest
from buckets import Store
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
    return subprocess.Popen(
        [sys.executable, "-c", code, place],
        env=env,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def ended(process: "subprocess.Popen[str]") -> str:
    """What it printed; it must end well."""
    out, _ = process.communicate(timeout=180)
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
