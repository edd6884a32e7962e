"""What sentiment_model_serving does to each stream: plan its job, deploy it, or show what would be submitted."""

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any

import yaml
from airflow.sdk import BaseOperator
from sentiment_dags import models, serving_jobs, staging
from sentiment_dags.jobs import digest, serving_job
from sentiment_dags.serving_jobs import Jobs, Say
from sentiment_dags.settings import FILE, PRODUCTION, Settings
from sentiment_dags.store import CONNECTION
from sentiment_dags.streams import Stream, streams
from sentiment_dags.variables import AwayError, SettingsError
from sentiment_dags.worker import at_work

SHOWN, LEFT, SUBMITTED, REPLACED = "shown", "left alone", "submitted", "replaced"
TAKES_JOBS, COMES = ("RUNNING", "UPDATING"), ("CREATING", "STARTING", "REPAIRING")
"""States of a cluster that takes jobs, as also one does that is resized, and of one that will."""

RUN = "run"
"""The label of a job that tells which run submitted it, whichever of its tries did."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """One stream's deployment. `secret_job` is hidden in Rendered Templates, where `DeployStream` shows it cleaned."""

    stream: str
    model: str
    version: str
    checkpoint: str
    secret_job: dict[str, Any]


def check_places(settings: Settings) -> None:
    """SettingsError names the cluster that is not running, or the bucket that cannot be read; AwayError: not now."""
    from airflow.providers.google.cloud.hooks.dataproc import DataprocHook
    from airflow.providers.google.cloud.hooks.gcs import GCSHook
    from google.api_core.exceptions import NotFound

    hook = DataprocHook(gcp_conn_id=CONNECTION)
    place = {"region": settings.region, "project_id": settings.project_id or hook.project_id}
    try:
        found = hook.get_cluster(cluster_name=settings.cluster_name, **place).status.state.name
    except NotFound:
        found = "none"
    if found not in TAKES_JOBS:
        raise (AwayError if found in COMES else SettingsError)(
            f"Variable cluster_name: want a running cluster in {settings.region}, "
            f"found {settings.cluster_name}: {found}"
        )
    store = GCSHook(gcp_conn_id=CONNECTION).get_conn()
    read = ["streaming_input_bucket"] * any(stream.source_type == FILE for stream in streams(settings))
    for name in ("code_bucket", "checkpoint_bucket", "predictions_bucket", *read):
        check_bucket(store, name, getattr(settings, name))


def check_bucket(store: Any, variable: str, bucket: str) -> None:
    """SettingsError: the bucket that a Variable names cannot be read; AwayError: not now."""
    from google.api_core.exceptions import ClientError, GoogleAPICallError, TooManyRequests

    try:
        next(iter(store.list_blobs(bucket, max_results=1, timeout=30)), None)
    except GoogleAPICallError as error:
        said = " ".join(str(error.message).split())[:200]
        refused = isinstance(error, ClientError) and not isinstance(error, TooManyRequests)
        raise (SettingsError if refused else AwayError)(
            f"Variable {variable}: want a bucket that can be read, found {bucket}: {said}"
        ) from None


def plans(settings: Settings, jobs: Jobs) -> list[dict[str, Any]]:
    """What each stream's deployment would submit; RegistryError: a model is not there, AwayError: MLflow is not now."""
    registry = models.client(settings.mlflow_tracking_uri)
    revision = settings.code_revision or staging.revision_of()
    return [dataclasses.asdict(_plan(settings, each, registry, revision, jobs)) for each in streams(settings)]


def _plan(settings: Settings, stream: Stream, registry: Any, revision: str, jobs: Jobs) -> Plan:
    version = models.served(registry, stream)
    number = str(len(jobs.serving(stream.name)) + 1)
    job = serving_job(dataclasses.replace(settings, project_id=jobs.project), stream, revision, number)
    return Plan(stream.name, stream.model_name, version, stream.checkpoint(settings), job)


def check_checkpoint(job: dict[str, Any]) -> None:
    """SettingsError: the job would not take up its checkpoint, which was begun with another source or output, say."""
    from sentiment import flags
    from sentiment.health import streams as seen
    from sentiment.jobs import ArgumentsError
    from sentiment.serving import cli

    parser = flags.parser(None)
    parser.exit_on_error = False
    cli.add_all(parser)
    try:
        serving = cli.settings(parser.parse_args(job["pyspark_job"]["args"]))
        serving.check_begun_with(seen.settings(serving.checkpoint) or {})
    except (argparse.ArgumentError, ArgumentsError) as error:
        raise SettingsError(f"stream {job['labels']['stream']}: {error}") from None


def deploy(jobs: Jobs, job: dict[str, Any], timeout: float, say: Say) -> tuple[str, str]:
    """Bring about that this job is the stream's only one; its id, and what was done.

    A job that runs already with these settings and this code is left alone; with others it is drained first. One that
    was told to end is no such job: its end is waited for.
    """
    stream = job["labels"]["stream"]
    running = [(each, serving_jobs.is_ending(each)) for each in jobs.serving(stream, active=True)]
    for each, ending in running:
        if serving_jobs.is_as(each, job) and not ending:
            name = str(each.reference.job_id)
            say(f"stream {stream} runs already as job {name}, with these settings and this code: it is left alone")
            return name, LEFT
    for each, ending in running:
        why = "which was told to end" if ending else f"with {difference(each, job)}"
        say(f"stream {stream} runs as job {each.reference.job_id}, {why}")
        serving_jobs.drain(jobs, each, timeout, say)
    make_input(job)
    name, ours = serving_jobs.submit_once(jobs, job, say)
    if not ours:
        return name, LEFT
    say(f"stream {stream} is submitted as job {name}")
    return name, REPLACED if running else SUBMITTED


def of_run(job: dict[str, Any], run_id: str) -> dict[str, Any]:
    """The job with the label of the run that submits it."""
    return {**job, "labels": {**job["labels"], RUN: digest([run_id])}}


def is_of_run(job: Any, run_id: str) -> bool:
    """Whether a try of this run submitted the job."""
    return bool(job.labels.get(RUN) == digest([run_id]))


def make_input(job: dict[str, Any]) -> None:
    """The folder that a file stream watches has to be there; names with a leading dot are no input."""
    from sentiment import objects

    words = job["pyspark_job"]["args"]
    if "--input-path" in words:
        objects.create(f"{words[words.index('--input-path') + 1]}/.keep", "")


def difference(running: Any, wanted: dict[str, Any]) -> str:
    """In what a running job is not as it is wanted."""
    if running.labels.get("settings") != wanted["labels"]["settings"]:
        return "other settings"
    if running.placement.cluster_name != wanted["placement"]["cluster_name"]:
        return f"another cluster ({running.placement.cluster_name}, now {wanted['placement']['cluster_name']})"
    return f"other code (revision {running.labels.get('revision')}, now {wanted['labels']['revision']})"


def show(jobs: Jobs, job: dict[str, Any], say: Say) -> None:
    """Say what `deploy` would do, the job as YAML with it."""
    stream = job["labels"]["stream"]
    running = jobs.serving(stream, active=True)
    for each in running:
        if serving_jobs.is_ending(each):
            fate = "waited for: it was told to end"
        elif serving_jobs.is_as(each, job):
            fate = "left alone"
        else:
            fate = f"drained and replaced: it has {difference(each, job)}"
        say(f"stream {stream} runs as job {each.reference.job_id}: it would be {fate}")
    say(f"test mode: nothing is submitted. In production this would be{', after that' if running else ''}:")
    say(rendered(job))


def rendered(job: dict[str, Any]) -> str:
    """The job as YAML, without the passwords that addresses may hold."""
    return models.without_password(str(yaml.safe_dump(job, sort_keys=False)))


class DeployStream(BaseOperator):
    """Deploys one stream, or in test mode shows the job; the page of the task has the YAML under Rendered Templates.

    Airflow's task SDK cannot write a task's note; a rendered field that is written again after the task is as near.
    """

    template_fields: Sequence[str] = ("settings", "plan", "job")
    template_fields_renderers = {"settings": "json", "plan": "json", "job": "yaml"}  # noqa: RUF012  Airflow's own form
    overwrite_rtif_after_execution = True

    def __init__(self, settings: Any, plan: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settings, self.plan = settings, plan
        self.job = ""

    def execute(self, context: Any) -> dict[str, Any]:
        """Deploy or show; gives stream, job, checkpoint and what was done."""
        plan = Plan(**self.plan)
        wanted = of_run(plan.secret_job, str(context["run_id"]))
        self.job = rendered(wanted)
        done = {"stream": plan.stream, "model": plan.model, "version": plan.version, "checkpoint": plan.checkpoint}
        with at_work(self.settings) as (settings, jobs):
            check_checkpoint(wanted)
            if settings.serving_deploy_mode != PRODUCTION:
                show(jobs, wanted, self.log.info)
                return {**done, "job": wanted["reference"]["job_id"], "done": SHOWN}
            name, what = deploy(jobs, wanted, context["params"]["timeout_seconds"], self.log.info)
        return {**done, "job": name, "done": what}
