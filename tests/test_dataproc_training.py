"""A training job by the real gcloud, as it is submitted to Google Cloud: code, tweets and models on gs://."""

import json
import os
from pathlib import Path

import pytest
from buckets import Store
from gcloud_training import ROWS, trained
from gcs_service import Gcs
from mlflow.tracking import MlflowClient


@pytest.mark.gcloud
def test_gcloud_submits_a_training_that_reads_gs_and_registers_its_models(
    gcs: Gcs, sample_csv: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    training = trained(gcs, sample_csv, tmp_path_factory.mktemp("gcloud-training"))
    folder, place = training.folder, training.place
    assert "logisticregression: registering and reading back" in training.said.replace("twitter-sentiment-model-", "")
    assert "finished successfully" in training.said
    client = MlflowClient(training.uri, training.uri)
    (version,) = client.search_model_versions("name='twitter-sentiment-model-logisticregression'")
    assert str(client.get_model_version_by_alias("twitter-sentiment-model-best", "champion").version) == "1"
    run = client.get_run(str(version.run_id))
    parent = client.get_run(run.data.tags["mlflow.parentRunId"])
    assert parent.data.params["input"] == f"{place}/raw/"
    with Store(gcs.port) as store:
        told = json.loads(store.read("sentiment-bucket-models", f"{folder.name}/run1/run.json"))
        names = [str(found["name"]) for found in store.objects("sentiment-bucket-models")]
    assert told["state"] == "finished"
    assert any(name.startswith(f"{folder.name}/run1/logisticregression/sparkml/") for name in names)
    counted = sum(int(count) for name, count in parent.data.params.items() if name.startswith("rows_"))
    assert 0.7 * ROWS < counted <= ROWS
    assert not os.path.lexists(folder / "spark-warehouse")
