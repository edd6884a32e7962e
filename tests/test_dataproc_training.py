"""A training job by the real gcloud, as it is submitted to Google Cloud: code, tweets and models on gs://."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import jars
import package
import pytest
from buckets import Store
from dataproc_server import CLUSTER
from dataproc_service import Dataproc
from gcs_service import Gcs
from mlflow.tracking import MlflowClient
from services import free_port, wait_until
from supervisor import environment

from sentiment import packing

SCRIPT = "sentiment_multimodel.py"
ROWS = 600


@pytest.fixture
def shell(gcs: Gcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The environment of a shell that has sourced .local/env, with object store and Dataproc server behind it."""
    for key in Dataproc.section_keys:
        monkeypatch.setenv(f"DATAPROC_{key.upper()}", str(free_port()))
    monkeypatch.setenv("DATAPROC_SPARK_MASTER", "local[2]")
    service = Dataproc(tmp_path / "dataproc")
    known = {**gcs.exports(), "SENTIMENT_JARS": ",".join(jars.connector_jars())}
    service.launch(environment(known))
    try:
        wait_until(service.name, service.daemon, service.is_healthy, service.start_seconds)
        yield environment({**known, **service.exports()})
    finally:
        service.stop()


@pytest.mark.gcloud
def test_gcloud_submits_a_training_that_reads_gs_and_registers_its_models(
    gcs: Gcs, shell: dict[str, str], sample_csv: Path, tmp_path: Path
) -> None:
    packed = packing.zipped(package.CODE / "sentiment")
    (tmp_path / SCRIPT).write_text(package.self_contained(SCRIPT, (package.CODE / SCRIPT).read_text(), packed))
    tweets = sample_csv.read_text(encoding="utf-8").splitlines(keepends=True)[:ROWS]
    (tmp_path / "tweets.csv").write_text("".join(tweets), encoding="utf-8")
    place = f"gs://sentiment-bucket-models/{tmp_path.name}"
    uri = f"sqlite:///{tmp_path}/mlflow.db"

    def gcloud(*words: str) -> str:
        done = subprocess.run(
            ["gcloud", *words], env=shell, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout + done.stderr

    gcloud("storage", "cp", SCRIPT, f"{place}/code/")
    gcloud("storage", "cp", "tweets.csv", f"{place}/raw/")
    submit = ["dataproc", "jobs", "submit", "pyspark", f"{place}/code/{SCRIPT}", "--cluster", CLUSTER]
    submit += ["--properties", "spark.driver.memory=1g", "--labels", "suite=sentiment,job=training"]
    arguments = ["--input", f"{place}/raw/", "--output", f"{place}/run1", "--mlflow-uri", uri]
    said = gcloud(*submit, "--", *arguments, "--models", "logisticregression")
    assert "logisticregression: registering and reading back" in said.replace("twitter-sentiment-model-", "")
    assert "finished successfully" in said
    client = MlflowClient(uri, uri)
    (version,) = client.search_model_versions("name='twitter-sentiment-model-logisticregression'")
    assert str(client.get_model_version_by_alias("twitter-sentiment-model-best", "champion").version) == "1"
    run = client.get_run(str(version.run_id))
    parent = client.get_run(run.data.tags["mlflow.parentRunId"])
    assert parent.data.params["input"] == f"{place}/raw/"
    with Store(gcs.port) as store:
        told = json.loads(store.read("sentiment-bucket-models", f"{tmp_path.name}/run1/run.json"))
        names = [str(found["name"]) for found in store.objects("sentiment-bucket-models")]
    assert told["state"] == "finished"
    assert any(name.startswith(f"{tmp_path.name}/run1/logisticregression/sparkml/") for name in names)
    counted = sum(int(count) for name, count in parent.data.params.items() if name.startswith("rows_"))
    assert 0.7 * ROWS < counted <= ROWS
    assert not os.path.lexists(tmp_path / "spark-warehouse")
