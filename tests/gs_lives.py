"""A serving job with all but its registry on gs://, killed and started again, and the batch jobs; for test_gs_paths.py.

After the kill one process does all the rest: a JVM that starts and warms up costs more than the work.
"""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import jars
from buckets import Store
from chaos.zoo import NAME, Zoo
from gcs_service import Gcs
from services import ROOT
from supervisor import environment

BUCKET = "sentiment-bucket"
FILES, LINES = 5, 50
PATIENCE_SECONDS = 500
KILLED_AT = "after-parquet:2"
WORDS = ("good", "bad", "fine", "awful", "nice", "sad", "great", "poor")
TWEETS = 200

REST = """
import sys
import audit_predictions, create_splits, preprocess, streaming_serving_mlflow_hdfs_kafka as serving
from sentiment.session import session
place = sys.argv[1]
serving.main(sys.argv[2:])
audit_predictions.main(["--checkpoint", place + "/checkpoint", "--output-path", place + "/predictions"])
for _ in range(2):  # the second time it replaces
    preprocess.main(["--input", place + "/raw/*.csv", "--output", place + "/clean"])
create_splits.main(["--input", place + "/clean", "--output", place + "/splits"])
spark = session("look")
names = ("clean/tweets", "splits/train", "splits/dev", "splits/test")
print("rows", *[spark.read.parquet(place + "/" + name).count() for name in names])
"""


@dataclass
class Lives:
    """What they left.

    Attributes:
        place: on gs://, with in/, predictions/, checkpoint/, raw/, clean/ and splits/.
        ids: of the messages.
        after_kill: the names of all objects when the first life had been killed.
        said: the output of the second life.
        folder: their working directory.
    """

    place: str
    ids: list[str]
    after_kill: list[str]
    said: str
    folder: Path


def lived(gcs: Gcs, zoo: Zoo, folder: Path) -> Lives:
    """Two lives of the serving job in `folder`; the first is killed between a batch's files and its manifest.

    Args:
        gcs: the object store.
        zoo: the registry, of which version 1 becomes champion.
        folder: an empty one, whose name the place on gs:// has.
    """
    zoo.set_champion("1")
    env = environment(gcs.exports()) | {
        "SENTIMENT_JARS": ",".join(jars.connector_jars()),
        "PYTHONPATH": str(ROOT / "code"),
        "SENTIMENT_DRIVER_MEMORY": "1g",
    }
    place = f"gs://{BUCKET}/{folder.name}"
    ids = [f"{number}-{line}" for number in range(FILES) for line in range(LINES)]
    with Store(gcs.port) as store:
        for number in range(FILES):
            messages = [json.dumps({"id": f"{number}-{line}", "text": f"I love day {line}"}) for line in range(LINES)]
            store.write(BUCKET, f"{folder.name}/in/{number}.json", "\n".join([*messages, "no json"]).encode())
        tweets = [
            f'"{4 * (number % 2)}","{number}","","","","{WORDS[number % len(WORDS)]} day number {number}"'
            for number in range(TWEETS)
        ]
        store.write(BUCKET, f"{folder.name}/raw/tweets.csv", "\n".join(tweets).encode())
        arguments = serving(place, zoo.uri)
        script = str(ROOT / "code" / "streaming_serving_mlflow_hdfs_kafka.py")
        killed_at([script, *arguments], {**env, "SENTIMENT_PAUSE_AT": KILLED_AT}, folder)
        after_kill = [str(found["name"]) for found in store.objects(BUCKET)]
    return Lives(place, ids, after_kill, ended(["-c", REST, place, *arguments], env, folder), folder)


def serving(place: str, uri: str) -> list[str]:
    """Arguments for everything but the registry on gs://, one file a batch, until all is scored."""
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
    return [*(f"--{name}={value}" for name, value in arguments.items()), "--available-now"]


def killed_at(words: list[str], env: dict[str, str], folder: Path) -> None:
    """Start it, and kill it where it stands still."""
    process = running(words, env, folder)
    said = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if "standing still at" in line:
                break
    finally:
        killed(process)
    assert "standing still" in said[-1], "".join(said)[-3000:]


def ended(words: list[str], env: dict[str, str], folder: Path) -> str:
    """What it printed; it must end well."""
    process = running(words, env, folder)
    try:
        out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        killed(process)
        raise
    assert process.returncode == 0, out[-3000:]
    return out


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


def killed(process: "subprocess.Popen[str]") -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
