"""The training DAGs whole: real spark-submits on small data, on a cluster of the run's own and on this machine."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow_run import Airflow
from dag_world import World, running
from dataproc_server import CLUSTER
from gcs_service import Gcs
from mlflow.tracking import MlflowClient
from services import ROOT

pytestmark = pytest.mark.dags

DAG = "sentiment_ml_training_pipeline"
SMALL = {"training_models": "logisticregression", "training_args": ["--num-features", "4096"]}
LENIENT = ["--min-accuracy", "0.5", "--max-regression", "0.3", "--max-slice-regression", "1"]
LENIENT += ["--max-calibration-error", "0.6", "--max-latency-ratio", "50"]
BEST = "twitter-sentiment-model-best"
FINE: tuple[str, ...] = (
    "settings",
    "check_data",
    "stage_code",
    "cluster_config",
    "cluster_due",
    "create_cluster",
    "training_job",
    "train",
    "verify",
)
FINE += ("gate_job", "gate", "decide", "delete_cluster", "notify")


@pytest.fixture(scope="module")
def world(airflow: Airflow, gcs: Gcs, sample_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(airflow, gcs, tmp_path_factory.mktemp("world")) as made:
        made.upload(sample_csv, "sentiment-bucket-data", "dags/raw/tweets.csv")
        yield made


def test_the_pipeline_trains_decides_and_leaves_no_cluster(world: World, caplog: pytest.LogCaptureFixture) -> None:
    conf = {**SMALL, "raw_data_prefix": "dags/raw", "gate_args": LENIENT}
    states = world.run(DAG, **conf)
    assert states == {"": "success", "announce": "success", **dict.fromkeys(FINE, "success")}
    assert f"{BEST}: version 1 is the champion now" in caplog.text
    assert world.clusters() == [CLUSTER]
    (train,), (gate,) = world.jobs("training"), world.jobs("gate")
    assert (train.status.state.name, gate.status.state.name) == ("DONE", "DONE")
    assert train.reference.job_id.endswith("-1")
    assert train.placement.cluster_name == train.reference.job_id[:-2]
    assert world.aliases(BEST) == {"champion": "1", "challenger": "1"}
    output = f"training/{train.placement.cluster_name}"
    assert world.read("sentiment-bucket-models", f"{output}/run.json")["state"] == "finished"
    revision = train.labels["revision"]
    assert f"code/{revision}/sentiment.zip" in world.objects("sentiment-bucket-code", f"code/{revision}/")

    # A second training on the cluster that is there: good enough, and then not.
    states = world.run(DAG, **conf, create_cluster="false", reason="the second")
    assert states == {"": "success", "announce": "success", **dict.fromkeys(FINE, "success")}
    assert "triggered because: the second" in caplog.text
    assert world.aliases(BEST)["champion"] == "2"
    caplog.clear()
    strict = {**conf, "gate_args": ["--min-accuracy", "1"]}
    states = world.run(DAG, **strict, create_cluster="false")
    assert states == {"": "success", "announce": "skipped", **dict.fromkeys(FINE, "success")}
    assert f"{BEST}: version 3 is kept as challenger; version 2 stays champion" in caplog.text
    assert "kept: min-accuracy: accuracy" in caplog.text
    assert world.aliases(BEST)["champion"] == "2"
    assert world.clusters() == [CLUSTER]


def test_the_local_training_goes_from_tweets_to_a_champion(
    airflow: Airflow, sample_csv: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with sample_csv.open(encoding="utf-8", newline="") as file:
        assert len(list(csv.reader(file))) > 1000
    words = ["--models", "logisticregression", "--num-features", "4096"]
    conf = {"data": str(sample_csv), "folder": str(tmp_path), "training_args": words, "gate_args": LENIENT}
    states = airflow.run("sentiment_training_local", conf)
    steps = ("settings", "preprocess", "create_splits", "train", "verify", "gate", "notify")
    assert states == {"": "success", **dict.fromkeys(steps, "success")}
    assert f"{BEST}: version 1 is the champion now" in caplog.text
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert str(MlflowClient(uri, uri).get_model_version_by_alias(BEST, "champion").version) == "1"
    assert not (ROOT / "mlflow.db").exists()
