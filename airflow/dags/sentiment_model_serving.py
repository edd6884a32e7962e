"""Deploys the streaming job for one or several registered models, and watches until each serves.

**Runs** when it is triggered, and after a champion has moved (asset `sentiment-model`) if the Variable
`serving_auto_deploy` is true; else such a run is skipped by its first task.

**Test mode** (`serving_deploy_mode` `test`, the default): everything is checked and nothing is submitted. Each `deploy`
task shows the job as YAML in its log and under Rendered Templates.

**Production** submits a restartable job that goes on when this run ends. A stream that runs already with the same
settings and code is left alone, one with others is drained and replaced, one that was told to end is waited for and
submitted again, never doubled: safe to run again at any time.

**Health**: `monitor` is green when the job is RUNNING and has completed a batch, or has read all its input and keeps
its lease; of a job that was left alone a batch counts that is done while it looks. A job that fails twice or is not in
time is cancelled, if this run has submitted it, with its driver's last lines in the log.
"""

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import Param, dag, get_current_context, task, task_group
from sentiment_dags import notices, serving
from sentiment_dags.assets import MODEL
from sentiment_dags.deploy import DeployStream
from sentiment_dags.params import params

SETTINGS = (
    *("serving_deploy_mode", "serving_model_name", "serving_model_stage", "serving_model_alias", "serving_models"),
    *("serving_source_type", "serving_batch_interval", "serving_reload_interval", "serving_auto_deploy"),
    *("kafka_bootstrap_servers", "kafka_input_topic", "kafka_output_topic", "mlflow_tracking_uri"),
    *("project_id", "region", "cluster_name", "code_bucket", "code_revision", "checkpoint_bucket"),
    *("predictions_bucket", "streaming_input_bucket", "dataproc_properties", "notify_webhook", "notify_email"),
)
TIMEOUT = Param(
    600, type="integer", minimum=1, description="Seconds for the first batch, and before it for a drain to end"
)


@dag(
    dag_id="sentiment_model_serving",
    schedule=[MODEL],
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["sentiment", "serving"],
    doc_md=__doc__,
    params={**params(*SETTINGS), "timeout_seconds": TIMEOUT},
    default_args={
        "owner": "sentiment",
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": True,
    },
)
def sentiment_model_serving() -> None:
    """Settings, checks, then deploy and monitor for each stream."""

    @task(task_id="settings")
    def read_settings() -> dict[str, Any]:
        return serving.settings(get_current_context())

    @task
    def validate_mlflow(found: Any) -> None:
        serving.validate_mlflow(found)

    @task
    def validate_places(found: Any) -> None:
        serving.validate_places(found)

    @task
    def resolve_models(found: Any) -> list[dict[str, Any]]:
        return serving.resolve_models(found)

    @task
    def stage_code(found: Any, plans: Any) -> None:
        serving.stage_code(found, plans)

    @task
    def monitor(found: Any, deployed: Any) -> str:
        return serving.monitor(found, deployed, get_current_context())

    @task
    def notify() -> None:
        notices.tell(get_current_context(), serving.outcome(get_current_context()))

    found = read_settings()
    plans = resolve_models(found)
    staged = stage_code(found, plans)

    @task_group(group_id="stream")
    def stream(plan: Any) -> None:
        deploy = DeployStream(task_id="deploy", settings=found, plan=plan, map_index_template="{{ task.plan.stream }}")
        staged >> deploy
        monitor(found, deploy.output)

    [validate_mlflow(found), validate_places(found)] >> plans
    stream.expand(plan=plans) >> notify().as_teardown()


sentiment_model_serving()
