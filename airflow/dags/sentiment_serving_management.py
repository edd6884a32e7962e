"""How the streams do, by a report in the bucket; and their end or restart.

**Action `report`** (the default): the streams with a serving job that runs, and those whose last job failed or was
killed. For each: rows per second, seconds of a batch, lag, share of dead letters, model version, the newest files, and
the audit's verdict (a Spark job; Param `audit`). The verdict is healthy, degraded, down or unreadable, with the
reasons. The page is the button *Report* of the task `report`.

**Action `drain`**: each stream completes its batch and ends; its job is DONE. **Action `restart`**: the same, then a
job with the same settings and code. Param `stream` names one stream; empty: all whose job runs.

**Every hour** only if the Variable `serving_management_hourly` is true. The schedule of a DAG is fixed when its file is
parsed, so that neither Param nor Variable can set it: it is hourly, and the first task skips the run otherwise.

Safe to run again. The run is green whatever the verdict: look at the notice or the page.
"""

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import Param, dag, get_current_context, task
from sentiment_dags import management, notices
from sentiment_dags.management import DRAIN, REPORT, RESTART, ReportStreams
from sentiment_dags.params import params

SETTINGS = (
    *("project_id", "region", "cluster_name", "code_bucket", "code_revision", "predictions_bucket"),
    *("dataproc_properties", "serving_management_hourly", "notify_webhook", "notify_email"),
)
PARAMS = {
    "action": Param(REPORT, enum=[REPORT, DRAIN, RESTART], description="what to do"),
    "stream": Param("", type=["string", "null"], description="one stream only; empty: all"),
    "audit": Param(True, type="boolean", description="let a Spark job count whether every message is there once"),
    "timeout_seconds": Param(
        600, type="integer", minimum=1, description="Seconds for a drain, and for a restarted stream's first batch"
    ),
}


@dag(
    dag_id="sentiment_serving_management",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["sentiment", "serving"],
    doc_md=__doc__,
    params={**PARAMS, **params(*SETTINGS)},
    default_args={
        "owner": "sentiment",
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": True,
    },
)
def sentiment_serving_management() -> None:
    """Settings, the streams, then what was asked for."""

    @task(task_id="settings")
    def read_settings() -> dict[str, Any]:
        return management.settings(get_current_context())

    @task
    def list_streams(found: Any) -> list[dict[str, Any]]:
        return management.streams(found, get_current_context()["params"])

    @task(map_index_template="{{ task.op_kwargs['stream']['stream'] }}")
    def act(found: Any, stream: Any) -> str:
        return management.act(found, stream, get_current_context()["params"])

    @task(map_index_template="{{ task.op_kwargs['stream']['stream'] }}")
    def audit(found: Any, stream: Any) -> dict[str, str]:
        return management.audit(found, stream, get_current_context())

    @task
    def notify() -> None:
        notices.tell(get_current_context(), management.outcome(get_current_context()))

    found = read_settings()
    streams = list_streams(found)
    acted = act.partial(found=found).expand(stream=streams)
    audits = audit.partial(found=found).expand(stream=streams)
    report = ReportStreams(task_id="report", settings=found, streams=streams, audits=audits, trigger_rule="all_done")
    [acted, report] >> notify().as_teardown()


sentiment_serving_management()
