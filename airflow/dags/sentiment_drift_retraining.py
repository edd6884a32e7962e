"""Retrains when the traffic has drifted away from what the champion was trained on.

**Runs** once a day, and when it is triggered: one Dataproc job per stream (`code/drift_report.py`) compares the
predictions of the last windows with the training profile of the stream's champion. The pages are stored in
`gs://<predictions_bucket>/reports/drift/<stream>/`; the button *Report* of each task `read` leads there. A model that
has drifted gets a run of `sentiment_ml_training_pipeline`, with the reason in its conf and note; `retrain` is skipped
where none has.

**Safe to run again**: a retry attaches to the job of the try before it, and asks for the same windows. A second run by
hand looks at the same rows, and may ask for a second training.

**Health**: a run is green whatever the verdicts, red if a stream could not be checked; what the others have shown
counts all the same. The verdict `too few rows` (log of `decide`) day after day means that nothing is watched: there are
fewer predictions by the present champion than `drift_min_rows` a window.
"""

from datetime import datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Param, dag, get_current_context, task, task_group
from sentiment_dags import drift_tasks, notices
from sentiment_dags.operators import AttachingSubmitJobOperator
from sentiment_dags.params import params
from sentiment_dags.reports import ReadDriftReport

SETTINGS = (
    *("drift_psi_threshold", "drift_windows", "drift_min_windows", "drift_window_hours", "drift_min_rows"),
    *("serving_model_name", "serving_models", "serving_source_type", "kafka_bootstrap_servers", "predictions_bucket"),
    *("project_id", "region", "cluster_name", "code_bucket", "code_revision", "mlflow_tracking_uri"),
    *("dataproc_properties", "notify_webhook", "notify_email"),
)
UNTIL = Param(
    "",
    type=["string", "null"],
    description="End of the last window, such as 2026-11-21T08:30:00Z; empty: when the run was due",
)


@dag(
    dag_id="sentiment_drift_retraining",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["sentiment", "drift"],
    doc_md=__doc__,
    params={**params(*SETTINGS), "until": UNTIL},
    default_args={
        "owner": "sentiment",
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": True,
    },
)
def sentiment_drift_retraining() -> None:
    """Settings, then a job and its report for each stream, then what follows from the reports."""

    @task(task_id="settings")
    def read_settings() -> dict[str, Any]:
        return drift_tasks.settings(get_current_context())

    @task
    def stage_code(found: dict[str, Any]) -> str:
        return drift_tasks.stage_code(found)

    @task
    def plan(found: dict[str, Any], revision: str) -> list[dict[str, Any]]:
        return drift_tasks.plan(get_current_context(), found, revision)

    @task(trigger_rule="all_done")
    def decide(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return drift_tasks.decide(get_current_context(), findings)

    @task
    def notify() -> None:
        notices.tell(get_current_context(), drift_tasks.outcome(get_current_context()))

    found: Any = read_settings()

    @task_group(group_id="check")
    def check(stream: str, report: str, job: dict[str, Any]) -> Any:
        compare = AttachingSubmitJobOperator(
            task_id="compare",
            job=job,
            region=found["region"],
            project_id=found["project_id"],
            deferrable=True,
            polling_interval_seconds=5,
        )
        read = ReadDriftReport(task_id="read", stream=stream, report=report, map_index_template="{{ task.stream }}")
        compare >> read
        return read.output

    revision: Any = stage_code(found)
    planned = plan(found, revision)
    findings: Any = check.expand_kwargs(planned)
    retrain = TriggerDagRunOperator.partial(
        task_id="retrain",
        trigger_dag_id="sentiment_ml_training_pipeline",
        logical_date=None,
        skip_when_already_exists=True,
    ).expand_kwargs(decide(findings))
    all_checked = EmptyOperator(task_id="all_checked")  # makes the run red where a check is
    findings >> all_checked
    [retrain, all_checked] >> notify().as_teardown()


sentiment_drift_retraining()
