"""The Airflow of the test run: its own AIRFLOW_HOME and database, DAGs run in this process by `dag.test()`.

`prepare` must be called before anybody imports airflow: conftest.py does. Nothing else here imports it at the top.
"""

import json
import os
import sys
from functools import cache
from tempfile import TemporaryDirectory
from typing import Any

from dataproc_server import PLACE, Server
from services import ROOT

HOME = TemporaryDirectory(prefix="airflow-home-")
BUNDLES = {"dags-folder": ROOT / "airflow" / "dags", "tests": ROOT / "tests" / "dags"}
LOCAL_BUNDLE = "airflow.dag_processing.bundles.local.LocalDagBundle"
CONNECTION = "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT"


def prepare() -> None:
    """Set the environment in which every later import of airflow finds this run's home, DAGs and plugins."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        del os.environ[name]  # should the shell have sourced .local/env
    bundles = [
        {"name": name, "classpath": LOCAL_BUNDLE, "kwargs": {"path": str(path)}} for name, path in BUNDLES.items()
    ]
    os.environ |= {
        "AIRFLOW_HOME": HOME.name,
        "AIRFLOW__CORE__DAGS_FOLDER": str(BUNDLES["dags-folder"]),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "airflow" / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "false",
        "grpc_proxy": "http://127.0.0.1:1",  # nothing gets to Google, should a hook ask there
        "no_grpc_proxy": "127.0.0.1,localhost",
    }
    sys.path += [str(path) for path in BUNDLES.values()]  # as Airflow does for the files of a bundle


def google_connection(endpoint: str) -> str:
    """The connection to a Dataproc server at host:port, for the environment variable CONNECTION."""
    extra = {"project": PLACE["project_id"], "is_anonymous": True, "dataproc_endpoint": endpoint}
    return json.dumps({"conn_type": "google_cloud_platform", "extra": extra})


class Airflow:
    """An initialised Airflow whose connection google_cloud_default leads to a server."""

    def __init__(self, server: Server) -> None:
        from airflow.utils.db import initdb

        initdb()
        self.server = server
        self._params: dict[str, dict[str, Any]] = {}
        os.environ[CONNECTION] = google_connection(f"127.0.0.1:{server.grpc_port}")

    @cache  # noqa: B019  one object a run
    def bag(self, bundle: str) -> Any:
        """The DagBag of a bundle. Fails with the trace of a DAG that cannot be imported."""
        from airflow.dag_processing.dagbag import DagBag

        found = DagBag(dag_folder=str(BUNDLES[bundle]), bundle_name=bundle)
        assert not found.import_errors, "\n".join(found.import_errors.values())
        return found

    def dag(self, dag_id: str) -> Any:
        """The DAG, out of airflow/dags or tests/dags."""
        found = [bag.dags[dag_id] for bag in map(self.bag, BUNDLES) if dag_id in bag.dags]
        assert found, f"no DAG {dag_id}"
        return found[0]

    def run(self, dag_id: str, conf: dict[str, Any] | None = None) -> dict[str, str]:
        """Run a DAG as a trigger without a logical date does; the state of the run ("") and of each task.

        A mapped task has its place after its name: "deploy[0]".
        """
        dag = self.dag(dag_id)
        # A run in this process writes its conf into the DAG's own Params, where the next one would find it.
        defaults = self._params.setdefault(dag_id, dag.params.dump())
        run = dag.test(logical_date=None, run_conf={**defaults, **(conf or {})})
        states = {"": str(run.state)}
        for task in run.get_task_instances():
            place = f"[{task.map_index}]" if task.map_index >= 0 else ""
            states[task.task_id + place] = str(task.state)
        return states
