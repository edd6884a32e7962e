"""The training DAG when the driver fails: red with the driver's last lines, no cluster left, three tries, no more."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow_run import CONNECTION, Airflow, google_connection
from dag_world import World
from dataproc_server import CLUSTER, Server
from gcs_service import Gcs

pytestmark = pytest.mark.dags


@pytest.fixture
def world(airflow: Airflow, gcs: Gcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A Dataproc server whose drivers need no JVM to fail, and a registry in a file."""
    options = ["--storage-endpoint", gcs.address(), "--staging-bucket", "sentiment-bucket-staging"]
    server = Server(tmp_path / "dataproc", *options)
    server.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.address())
    monkeypatch.setenv(CONNECTION, google_connection(f"127.0.0.1:{server.grpc_port}"))
    yield World(airflow, gcs, server, f"sqlite:///{tmp_path}/mlflow.db")
    server.stop()


def test_a_training_that_fails_leaves_no_cluster_and_says_why(
    world: World, sample_csv: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    world.upload(sample_csv, "sentiment-bucket-data", "fault/raw/tweets.csv")
    conf = {"raw_data_prefix": "fault/raw", "training_args": ["--train-ratio", "0.9", "--val-ratio", "0.9"]}
    states = world.run("sentiment_ml_training_pipeline", **conf)
    assert (states[""], states["train"], states["verify"]) == ("failed", "failed", "upstream_failed")
    assert (states["gate"], states["announce"]) == ("upstream_failed", "upstream_failed")
    assert (states["delete_cluster"], states["notify"]) == ("success", "success")
    assert world.clusters() == [CLUSTER]
    assert [job.status.state.name for job in world.jobs()] == ["ERROR"] * 3
    assert [job.reference.job_id[-2:] for job in world.jobs()] == ["-3", "-2", "-1"]
    assert "driver: sentiment_multimodel.py: error: --train-ratio" in capsys.readouterr().out
    assert "failed: train" in caplog.text
    assert world.aliases("twitter-sentiment-model-best") == {}
