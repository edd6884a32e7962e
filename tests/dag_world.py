"""What a whole run of a DAG needs: object store, MLflow server, Dataproc server with real spark-submits, connection."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jars
import pytest
from airflow_run import CONNECTION, Airflow, google_connection
from buckets import Store
from daemons import wait_until
from dataproc_server import PLACE, Clients, Server
from dataproc_service import DRIVER_CONF
from gcs_service import Gcs
from google.cloud import dataproc_v1 as dp
from mlflow.tracking import MlflowClient
from mlflow_service import Mlflow
from services import free_port
from supervisor import environment


@dataclass
class World:
    """Where the DAGs find everything."""

    airflow: Airflow
    gcs: Gcs
    server: Server
    mlflow_uri: str

    def run(self, dag_id: str, **conf: Any) -> dict[str, str]:
        """Run a DAG with the places of this world; the states of the run ("") and its tasks."""
        places = {
            "project_id": PLACE["project_id"],
            "region": PLACE["region"],
            "mlflow_tracking_uri": self.mlflow_uri,
            "ledger_uri": "gs://sentiment-bucket-mlflow/ledger",
        }
        return self.airflow.run(dag_id, {**places, **conf})

    def upload(self, path: Path, bucket: str, name: str) -> None:
        """Copy a local file into a bucket."""
        with Store(self.gcs.port) as store:
            store.write(bucket, name, path.read_bytes())

    def objects(self, bucket: str, prefix: str) -> list[str]:
        """The names of the objects below a prefix."""
        with Store(self.gcs.port) as store:
            names = [str(found["name"]) for found in store.objects(bucket)]
        return sorted(name for name in names if name.startswith(prefix))

    def read(self, bucket: str, name: str) -> Any:
        """An object's JSON."""
        with Store(self.gcs.port) as store:
            return json.loads(store.read(bucket, name))

    def jobs(self, kind: str = "") -> list[dp.Job]:
        """The jobs with a label `job`, the newest first."""
        found = Clients(self.server, "grpc").jobs.list_jobs(request=PLACE)
        return [job for job in found if kind in ("", job.labels["job"])]

    def aliases(self, model: str) -> dict[str, str]:
        """The version by alias of a registered model; none where it is not there."""
        client = MlflowClient(self.mlflow_uri, self.mlflow_uri)
        found = client.search_registered_models(filter_string=f"name='{model}'")
        return {name: str(version) for each in found for name, version in each.aliases.items()}

    def clusters(self) -> list[str]:
        """The names of the clusters there are."""
        return [found.cluster_name for found in Clients(self.server, "grpc").clusters.list_clusters(request=PLACE)]


@contextmanager
def running(airflow: Airflow, gcs: Gcs, folder: Path, submit: str = "") -> Iterator[World]:
    """A world whose Dataproc jobs are real spark-submits, unless `submit` is a command that stands in for it."""
    mlflow = Mlflow(folder / "mlflow", free_port())
    mlflow.launch(environment(gcs.exports()))
    connectors = ",".join(jars.connector_jars()) if not submit else ""
    options = ["--storage-endpoint", gcs.address(), "--staging-bucket", "sentiment-bucket-staging"]
    options += ["--master", "local[2]", *(["--jars", connectors] if connectors else [])]
    options += [word for name, value in DRIVER_CONF.items() for word in ("--conf", f"{name}={value}")]
    server = Server(folder / "dataproc", *options, submit=submit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", gcs.address())
        if connectors:
            patch.setenv("SENTIMENT_JARS", connectors)
        patch.setenv(CONNECTION, google_connection(f"127.0.0.1:{server.grpc_port}"))
        server.start()
        try:
            wait_until(mlflow.name, mlflow.daemon, mlflow.is_healthy, mlflow.start_seconds)
            yield World(airflow, gcs, server, mlflow.address())
        finally:
            server.stop()
            mlflow.stop()
