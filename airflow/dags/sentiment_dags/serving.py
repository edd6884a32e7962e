"""The tasks of sentiment_model_serving, one function each; heavy imports are inside."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sentiment_dags import models, staging, streams_health
from sentiment_dags.serving_jobs import DeploymentError
from sentiment_dags.settings import PRODUCTION, described, restored
from sentiment_dags.streams import streams
from sentiment_dags.worker import at_once, at_work, settings_of

log = logging.getLogger(__name__)
ASSET = "asset_triggered"
FAILURE = "failure"  # where a stream that does not serve leaves the reason for the notice


def settings(context: Mapping[str, Any]) -> dict[str, Any]:
    """Read and check everything; a run on the asset is skipped unless serving_auto_deploy is true."""
    from airflow.sdk.exceptions import AirflowSkipException

    found = settings_of(context["params"])
    kind = context["dag_run"].run_type
    if str(getattr(kind, "value", kind)) == ASSET and not found.serving_auto_deploy:
        raise AirflowSkipException("the champion has moved, but Variable serving_auto_deploy is not true")
    with at_once():
        for stream in streams(found):
            log.info("stream %s: model %s, %s input", stream.name, stream.model_name, stream.source_type)
    log.info("mode: %s", found.serving_deploy_mode)
    return described(found)


def validate_mlflow(found: Mapping[str, Any]) -> None:
    """Whether the registry answers; AwayError: not now, a next try may find it."""
    uri = restored(found).mlflow_tracking_uri
    with at_once():
        models.client(uri)
    log.info("%s answers", models.without_password(uri))


def validate_places(found: Mapping[str, Any]) -> None:
    """Whether cluster and buckets are there."""
    from sentiment_dags.deploy import check_places

    with at_once():
        check_places(restored(found))


def resolve_models(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A plan for each stream, with the version that its alias means now."""
    from sentiment_dags.deploy import plans

    with at_work(found) as (settings, jobs):
        made = plans(settings, jobs)
    for plan in made:
        log.info("stream %s: %s version %s", plan["stream"], plan["model"], plan["version"])
    return made


def stage_code(found: Mapping[str, Any], plans: Sequence[Mapping[str, Any]]) -> None:
    """Put the job's script where the plans expect it; AirflowFailException: it would be other code than was planned."""
    (target,) = {plan["secret_job"]["pyspark_job"]["main_python_file_uri"] for plan in plans}
    settings = restored(found)
    if settings.serving_deploy_mode != PRODUCTION and not settings.code_revision:
        log.info("test mode: nothing is staged; in production it would be %s", target)
        return
    *_, planned, script = target.split("/")
    with at_once():
        revision = staging.staged(settings, [script])
        if revision != planned:  # a job of what was planned might find no files, after its stream was drained
            raise DeploymentError(
                f"want the code of revision {planned}, found {revision}: it has changed, trigger again"
            )


def monitor(found: Mapping[str, Any], deployed: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    """Wait until the stream serves; one that a try of this run has submitted and that does not is cancelled."""
    from airflow.sdk.exceptions import AirflowSkipException
    from sentiment_dags.deploy import SHOWN, is_of_run

    if deployed["done"] == SHOWN:
        raise AirflowSkipException("test mode: nothing was submitted")
    name, timeout = deployed["job"], context["params"]["timeout_seconds"]
    with at_work(found) as (_, jobs):
        ours = is_of_run(jobs.get(name), str(context["run_id"]))
        try:
            line = streams_health.wait_until_healthy(jobs, name, deployed["checkpoint"], timeout, log.info, ours=ours)
        except DeploymentError as error:
            if ours:
                jobs.cancel(name)
                log.info("job %s was cancelled", name)
            context["ti"].xcom_push(key=FAILURE, value=str(error))
            raise
    log.info("stream %s: %s", deployed["stream"], line)
    return f"stream {deployed['stream']} ({deployed['model']} version {deployed['version']}): {line}"


def outcome(context: Mapping[str, Any]) -> list[str]:
    """What came of each stream, for the notice."""
    ti = context["ti"]
    plans = ti.xcom_pull(task_ids="resolve_models") or []
    places = list(range(len(plans)))
    done = ti.xcom_pull(task_ids="stream.deploy", map_indexes=places) or []
    lines = [f"stream {each['stream']}: job {each['job']} {each['done']}" for each in done if each]
    monitored = {"task_ids": "stream.monitor", "map_indexes": places}
    seen = [*(ti.xcom_pull(**monitored) or []), *(ti.xcom_pull(**monitored, key=FAILURE) or [])]
    return [*lines, *[line for line in seen if line]]
