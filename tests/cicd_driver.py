"""Takes spark-submit's arguments and behaves as the job would, without a JVM: a stream, or a training.

A stream whose name ends in -fails, -idle or -stuck does so; one that ends in -late is stuck at its first start, and
takes ten seconds to end. Any other has completed one batch more with each start.
"""

import itertools
import json
import os
import signal
import sys
import time
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

words = sys.argv[1:]
while words[0].startswith("--"):
    words = words[2:]
script = words[0].rpartition("/")[2]
arguments = dict(itertools.pairwise(words))
client: Any = Client(
    project="local",
    credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
    client_options={"api_endpoint": os.environ["STORAGE_EMULATOR_HOST"]},
)


def blob(uri: str) -> Any:
    """An object."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    return client.bucket(bucket).blob(name)


def end(line: str) -> None:
    """The end of a job that met a user's mistake."""
    print("26/11/21 21:41:21 INFO SparkContext: chatter")
    print(f"{script}: error: {line}", flush=True)
    print("26/11/21 21:41:27 INFO ShutdownHookManager: Shutdown hook called", flush=True)
    sys.exit(1)


def train() -> None:
    """A training that leaves run.json."""
    if arguments["--models"] == "gbt":
        end("--input: want tweets, found none")
    best = {"classifier": "logisticregression", "version": "7", "aliases": ["challenger"]}
    run = {"experiment_id": "3", "run_id": "abc", "best": best}
    blob(f"{arguments['--output']}/run.json").upload_from_string(json.dumps(run))


def end_late(*_: object) -> None:
    """What SIGTERM does to a stream that takes its time."""
    time.sleep(10)
    sys.exit(143)


def serve() -> None:
    """A stream that lives until it is drained."""
    checkpoint = arguments["--checkpoint"]
    if checkpoint.endswith("-fails"):
        end("--mlflow-uri: want an MLflow server or database, found none")
    prefix = checkpoint.partition("//")[2].partition("/")[2]
    bucket = checkpoint.removeprefix("gs://").partition("/")[0]
    starts = len(list(client.list_blobs(bucket, prefix=f"{prefix}/epochs/")))
    drain = blob(f"{checkpoint}/control/drain")
    if drain.exists():
        drain.delete()
    print("12:00:00 the stream runs: query 1", flush=True)
    if not checkpoint.endswith("-idle"):
        blob(f"{checkpoint}/offsets/{starts}").upload_from_string("v1")
    if checkpoint.endswith("-late"):
        signal.signal(signal.SIGTERM, end_late)
    if not checkpoint.endswith(("-idle", "-stuck")) and not (checkpoint.endswith("-late") and starts == 0):
        manifest = {"rows_in": 5, "model_version": "1"}
        blob(f"{checkpoint}/manifests/{starts}.json").upload_from_string(json.dumps(manifest))
        blob(f"{checkpoint}/commits/{starts}").upload_from_string("v1")
    beat = 0
    while not drain.exists():
        beat += 1
        lease = json.dumps({"state": "owned", "beat": beat})
        blob(f"{checkpoint}/epochs/{starts + 1:08d}.json").upload_from_string(lease)
        time.sleep(0.5)


if __name__ == "__main__":
    serve() if "streaming" in script else train()
