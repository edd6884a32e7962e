"""A training job by the real gcloud, code, tweets and models on gs://, for test_dataproc_training.py."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jars
import package
import pytest
from daemons import wait_until
from dataproc_server import CLUSTER
from dataproc_service import Dataproc
from gcs_service import Gcs
from services import free_port
from supervisor import environment

from sentiment import packing

SCRIPT = "sentiment_multimodel.py"
ROWS = 600


@dataclass
class GcloudTraining:
    """What gcloud said, the place on gs:// with raw/ and run1/, and the registry; both named after the folder."""

    said: str
    folder: Path
    place: str
    uri: str


@contextmanager
def shell_environment(gcs: Gcs, folder: Path) -> Iterator[dict[str, str]]:
    """The environment of a shell that has sourced .local/env, with object store and Dataproc server behind it."""
    service = Dataproc(folder)
    known = {**gcs.exports(), "SENTIMENT_JARS": ",".join(jars.connector_jars())}
    try:
        with pytest.MonkeyPatch.context() as patched:
            for key in Dataproc.section_keys:
                patched.setenv(f"DATAPROC_{key.upper()}", str(free_port()))
            patched.setenv("DATAPROC_SPARK_MASTER", "local[2]")
            service.launch(environment(known))
            wait_until(service.name, service.daemon, service.is_healthy, service.start_seconds)
            env = environment({**known, **service.exports()})
        yield env
    finally:
        service.stop()


def trained(gcs: Gcs, sample_csv: Path, folder: Path) -> GcloudTraining:
    """The training, as it is submitted to Google Cloud, out of an empty folder."""
    packed = packing.zipped(package.CODE / "sentiment")
    (folder / SCRIPT).write_text(package.self_contained(SCRIPT, (package.CODE / SCRIPT).read_text(), packed))
    tweets = sample_csv.read_text(encoding="utf-8").splitlines(keepends=True)[:ROWS]
    (folder / "tweets.csv").write_text("".join(tweets), encoding="utf-8")
    with shell_environment(gcs, folder / "dataproc") as shell:
        return submitted(shell, folder)


def submitted(shell: dict[str, str], folder: Path) -> GcloudTraining:
    def gcloud(*words: str) -> str:
        done = subprocess.run(
            ["gcloud", *words], env=shell, cwd=folder, capture_output=True, text=True, timeout=280, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout + done.stderr

    place, uri = f"gs://sentiment-bucket-models/{folder.name}", f"sqlite:///{folder}/mlflow.db"
    gcloud("storage", "cp", SCRIPT, f"{place}/code/")
    gcloud("storage", "cp", "tweets.csv", f"{place}/raw/")
    submit = ["dataproc", "jobs", "submit", "pyspark", f"{place}/code/{SCRIPT}", "--cluster", CLUSTER]
    submit += ["--properties", "spark.driver.memory=1g", "--labels", "suite=sentiment,job=training"]
    arguments = ["--input", f"{place}/raw/", "--output", f"{place}/run1", "--mlflow-uri", uri]
    said = gcloud(*submit, "--", *arguments, "--models", "logisticregression")
    return GcloudTraining(said, folder, place, uri)
