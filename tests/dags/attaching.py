"""A job by the DAGs' own operator. The run's conf: `main`, `job_id`, `cluster`."""

from datetime import datetime
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import dag
from sentiment_dags.operators import AttachingSubmitJobOperator, ClusterGoneOperator, ClusterOperator


@dag(schedule=None, start_date=datetime(2026, 1, 1), catchup=False, tags=["tests"], doc_md=__doc__)
def attaching() -> None:
    place: dict[str, Any] = {"project_id": "sentiment-local", "region": "us-central1"}
    cluster = {"cluster_name": "{{ dag_run.conf['cluster'] }}", "wanted": "{{ dag_run.conf.get('create', '') }}"}
    config = {"master_config": {"num_instances": 1}}
    create = ClusterOperator(task_id="create", cluster_config=config, **cluster, **place)
    submit = AttachingSubmitJobOperator(
        task_id="submit",
        job={
            "reference": {"job_id": "{{ dag_run.conf['job_id'] }}"},
            "placement": {"cluster_name": "{{ dag_run.conf['cluster'] }}"},
            "pyspark_job": {"main_python_file_uri": "{{ dag_run.conf['main'] }}"},
        },
        deferrable=True,
        polling_interval_seconds=1,
        **place,
    )
    delete = ClusterGoneOperator(task_id="delete", **cluster, **place)
    due = EmptyOperator(task_id="due")
    due >> create >> submit >> delete.as_teardown(setups=[due, create])


attaching()
