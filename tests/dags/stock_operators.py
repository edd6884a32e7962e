"""The provider's own operators in the order in which the suite's DAGs use them.

The main file and the cluster come from the run's conf: `main`, `cluster`; `deferrable` decides how the job is awaited.
"""

from datetime import datetime
from typing import Any

from airflow.providers.google.cloud.operators.dataproc import (
    DataprocCreateClusterOperator,
    DataprocDeleteClusterOperator,
    DataprocSubmitJobOperator,
)
from airflow.sdk import dag

PLACE: dict[str, Any] = {"project_id": "sentiment-local", "region": "us-central1"}
CONFIG = {
    "master_config": {"num_instances": 1, "machine_type_uri": "n2-standard-4"},
    "software_config": {"image_version": "3.0-ubuntu22"},
}
CLUSTER = "{{ dag_run.conf['cluster'] }}"


def build(dag_id: str, deferrable: bool) -> None:
    """Make one DAG: create the cluster, run a job on it, delete the cluster whatever happened."""

    @dag(dag_id=dag_id, schedule=None, start_date=datetime(2026, 1, 1), catchup=False, tags=["tests"], doc_md=__doc__)
    def stock() -> None:
        create_cluster = DataprocCreateClusterOperator(
            task_id="create_cluster", cluster_name=CLUSTER, cluster_config=CONFIG, **PLACE
        )
        job = {
            "placement": {"cluster_name": CLUSTER},
            "pyspark_job": {"main_python_file_uri": "{{ dag_run.conf['main'] }}", "args": ["{{ run_id }}"]},
        }
        submit_job = DataprocSubmitJobOperator(
            task_id="submit_job", job=job, deferrable=deferrable, polling_interval_seconds=1, **PLACE
        )
        delete_cluster = DataprocDeleteClusterOperator(task_id="delete_cluster", cluster_name=CLUSTER, **PLACE)
        create_cluster >> submit_job >> delete_cluster.as_teardown(setups=create_cluster)

    stock()


build("stock_plain", deferrable=False)
build("stock_deferrable", deferrable=True)
