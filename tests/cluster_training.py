"""A training as it is submitted to Google Cloud that loses an executor while it fits, for test_cluster.py.

By the real gcloud, out of an empty folder; code, tweets and models on gs://; in executors of the standalone cluster.
"""

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import package
import psutil
from cluster_service import Cluster
from dataproc_server import CLUSTER, wait_for
from dataproc_service import Dataproc

from sentiment import packing

SCRIPT = "sentiment_multimodel.py"
MODEL = "linearsvc"
ROWS = 800
BUCKET = "sentiment-bucket-models"
EXECUTOR = "CoarseGrainedExecutorBackend"
PATIENCE_SECONDS = 280


@dataclass
class Training:
    """How it went.

    Attributes:
        code: gcloud's exit code.
        said: gcloud's output, the driver's in it.
        folder: the folder it was submitted from, of which the place on gs:// has its name.
        place: on gs://, with raw/ and run1/.
        uri: the registry.
    """

    code: int
    said: str
    folder: Path
    place: str
    uri: str


def executors(cluster: Cluster) -> list[psutil.Process]:
    """The executor processes that its workers run."""
    found = []
    for worker in cluster.workers:
        for process in worker.family():
            with suppress(psutil.Error):
                if any(EXECUTOR in word for word in process.cmdline()):
                    found.append(process)
    return found


def driver_output(dataproc: Dataproc) -> str:
    """What the drivers of all jobs have said so far, each in its log beside the server."""
    return "".join(path.read_text(encoding="utf-8") for path in dataproc.folder.glob("jobs/*/driveroutput"))


def trained(cluster: Cluster, dataproc: Dataproc, sample_csv: Path, folder: Path, shell: dict[str, str]) -> Training:
    """The training out of `folder`, with two executors, one of which is killed as soon as the fit has begun.

    Args:
        cluster: where the server's jobs run.
        dataproc: the server.
        sample_csv: some of its tweets are trained on.
        folder: an empty one.
        shell: the environment of a shell that has sourced .local/env.
    """
    packed = packing.zipped(package.CODE / "sentiment")
    script = package.self_contained(SCRIPT, (package.CODE / SCRIPT).read_text(encoding="utf-8"), packed)
    (folder / SCRIPT).write_text(script, encoding="utf-8")
    rows = sample_csv.read_text(encoding="utf-8").splitlines(keepends=True)[:ROWS]
    (folder / "tweets.csv").write_text("".join(rows), encoding="utf-8")
    place, uri = f"gs://{BUCKET}/{folder.name}", f"sqlite:///{folder}/mlflow.db"
    for file, where in ((SCRIPT, "code"), ("tweets.csv", "raw")):
        copied = started(["storage", "cp", file, f"{place}/{where}/"], folder, shell)
        said, _ = copied.communicate(timeout=PATIENCE_SECONDS)
        assert copied.returncode == 0, said
    settings = {
        "spark.driver.memory": "1g",
        "spark.cores.max": "2",
        "spark.executor.cores": "1",
        "spark.executor.memory": "600m",
        "spark.executor.extraJavaOptions": os.environ["SPARK_SUBMIT_OPTS"],  # conftest.py's, for speed
    }
    submit = ["dataproc", "jobs", "submit", "pyspark", f"{place}/code/{SCRIPT}", "--cluster", CLUSTER]
    submit += ["--properties", ",".join(f"{name}={value}" for name, value in settings.items())]
    submit += ["--labels", "suite=sentiment,job=training"]
    arguments = ["--input", f"{place}/raw/", "--output", f"{place}/run1", "--mlflow-uri", uri, "--models", MODEL]
    process = started([*submit, "--", *arguments], folder, shell)
    try:
        # The features lie in the executors, the fit has begun.
        wait_for(lambda: f" {MODEL} ...\n" in driver_output(dataproc) or process.poll() is not None, PATIENCE_SECONDS)
        executors(cluster)[0].kill()
        assert f" {MODEL}: " not in driver_output(dataproc), "it was killed too late to show anything"
        said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
        process.communicate()
    return Training(process.returncode, said, folder, place, uri)


def started(words: list[str], folder: Path, shell: dict[str, str]) -> "subprocess.Popen[str]":
    """The real gcloud, running."""
    return subprocess.Popen(
        ["gcloud", *words], env=shell, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
