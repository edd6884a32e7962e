"""What the tests of the serving DAGs share: an Airflow led to a Dataproc server with an object store, a registry."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jars
import pytest
from airflow_run import CONNECTION, Airflow, google_connection
from dataproc_server import PLACE, Clients, Server, wait_for
from dataproc_service import DRIVER_CONF
from gcs_service import Gcs
from google.cloud import dataproc_v1 as dp
from mlflow.tracking import MlflowClient

ACTIVE = dp.ListJobsRequest.JobStateMatcher.ACTIVE
CHECKPOINTS, PREDICTIONS = "gs://sentiment-bucket-checkpoint/checkpoint", "gs://sentiment-bucket-predictions"


def registry(folder: Path, *names: str) -> str:
    """A registry on SQLite with a champion of each name, whose files nobody has; its URI."""
    uri = f"sqlite:///{folder / 'registry.db'}"
    client = MlflowClient(uri, uri)
    for name in names:
        client.create_registered_model(name)
        made = client.create_model_version(name, str(folder))
        client.set_registered_model_alias(name, "champion", made.version)
    return uri


class Place:
    """Airflow, the server of its jobs, and the store."""

    def __init__(self, airflow: Airflow, server: Server, gcs: Gcs, mlflow: str) -> None:
        self.airflow, self.server, self.gcs, self.mlflow = airflow, server, gcs, mlflow

    def run(self, dag_id: str, **conf: Any) -> dict[str, str]:
        """Run a DAG; the states of run and tasks."""
        return self.airflow.run(dag_id, {"mlflow_tracking_uri": self.mlflow, "timeout_seconds": 90, **conf})

    def serve(self, model: str, **conf: Any) -> dict[str, str]:
        """Run sentiment_model_serving for one model on files, in production unless told otherwise."""
        how = {"serving_deploy_mode": "production", "serving_source_type": "file", "serving_model_name": model}
        return self.run("sentiment_model_serving", **{**how, **conf})

    def manage(self, **conf: Any) -> dict[str, str]:
        """Run sentiment_serving_management."""
        return self.run("sentiment_serving_management", **conf)

    def jobs(self, stream: str, active: bool = False) -> list[dp.Job]:
        """The serving jobs of a stream, the newest first."""
        matcher = {"job_state_matcher": ACTIVE} if active else {}
        listed = Clients(self.server, "grpc").jobs.list_jobs(request={**PLACE, **matcher})
        return [job for job in listed if job.labels.get("stream") == stream and job.labels["job"] == "serving"]

    def all_jobs(self) -> list[dp.Job]:
        """Every job."""
        return list(Clients(self.server, "grpc").jobs.list_jobs(request=PLACE))

    def cancel(self, job: dp.Job) -> None:
        """Kill a job, and wait for its end."""
        clients = Clients(self.server, "grpc")
        clients.jobs.cancel_job(request={**PLACE, "job_id": job.reference.job_id})
        clients.ended(job)

    def blobs(self, uri: str) -> dict[str, Any]:
        """The objects below a folder, by name."""
        from sentiment import objects

        return {each.name: each for each in objects.entries(uri)}

    def reached(self, stream: str, state: str) -> dp.Job:
        """The stream's newest job once it is in a state."""

        def look() -> dp.Job | None:
            newest = self.jobs(stream)[0]
            return newest if newest.status.state.name == state else None

        found: dp.Job = wait_for(look)
        return found


@contextmanager
def led(airflow: Airflow, server: Server, gcs: Gcs, mlflow: str) -> Iterator[Place]:
    """A Place; the environment leads tasks to it until it is left."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONNECTION, google_connection(f"127.0.0.1:{server.grpc_port}"))
        patch.setenv("STORAGE_EMULATOR_HOST", gcs.address())
        yield Place(airflow, server, gcs, mlflow)


def a_server(folder: Path, gcs: Gcs, submit: str) -> Server:
    """A server whose jobs reach the store; `submit` empty: the real spark-submit."""
    options = ["--storage-endpoint", gcs.address(), "--staging-bucket", "sentiment-bucket-staging"]
    if not submit:
        options += ["--master", "local[2]", "--jars", ",".join(jars.connector_jars())]
        options += [word for name, value in DRIVER_CONF.items() for word in ("--conf", f"{name}={value}")]
    made = Server(folder, *options, submit=submit)
    made.start()
    return made


def said(capture: pytest.CaptureFixture[str]) -> str:
    """What tasks have logged since the last look."""
    found = capture.readouterr()
    return found.out + found.err
