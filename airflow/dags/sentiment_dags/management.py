"""The tasks of sentiment_serving_management: which streams there are, their audit and report, their end or restart."""

import hashlib
import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import BaseOperator
from sentiment_dags import serving_jobs, staging, streams_health
from sentiment_dags.jobs import AUDIT, SCRIPTS, audit_arguments, job
from sentiment_dags.report_link import ReportLink
from sentiment_dags.serving_jobs import LOOK_SECONDS, TERMINAL, DeploymentError, Jobs, argument, begun, state
from sentiment_dags.settings import Settings, described
from sentiment_dags.streams import NAME
from sentiment_dags.variables import SettingsError, as_text
from sentiment_dags.worker import at_once, at_work, settings_of

log = logging.getLogger(__name__)
REPORT, DRAIN, RESTART = "report", "drain", "restart"
SCHEDULED = "scheduled"
HISTORY_SECONDS, CHECK_FILES = 86_400.0, 50
AUDIT_SECONDS = 3_600.0
"""After which an audit that is still at work is cancelled."""

Stream = dict[str, Any]
"""stream, job (its present one), state, checkpoint, output, bootstrap, output_bootstrap."""


def settings(context: Mapping[str, Any]) -> dict[str, Any]:
    """Read and check everything; a scheduled run is skipped unless serving_management_hourly is true."""
    from airflow.sdk.exceptions import AirflowSkipException

    found = settings_of(context["params"])
    with at_once():
        named(context["params"])
    kind = context["dag_run"].run_type
    if str(getattr(kind, "value", kind)) == SCHEDULED and not found.serving_management_hourly:
        raise AirflowSkipException("it is the hour, but Variable serving_management_hourly is not true")
    return described(found)


def streams(found: Mapping[str, Any], params: Mapping[str, Any]) -> list[Stream]:
    """Streams with a job that runs, and those whose last job ended otherwise than by a drain; or the Param's one."""
    wanted = named(params)
    with at_work(found) as (_, jobs):
        present = present_jobs(jobs.serving(wanted))
        if wanted and not present:
            raise SettingsError(f"Param stream: want a stream that was deployed, found no serving job of {wanted!r}")
        kept = [each for each in present if wanted or _counts(state(each), params["action"])]
    made = [_stream(each) for each in sorted(kept, key=lambda each: str(each.labels["stream"]))]
    for each in made:
        log.info("stream %s: job %s is %s", each["stream"], each["job"], each["state"])
    return made


def present_jobs(found: Sequence[Any]) -> list[Any]:
    """One job of each stream out of all it had, the oldest first: the first that is active, else the last that ended.

    The newest may be one that another deploy has submitted too late, and taken back at once.
    """
    streams: dict[str, list[Any]] = {}
    for each in found:
        streams.setdefault(each.labels["stream"], []).append(each)
    return [
        next((each for each in theirs if state(each) not in TERMINAL), None) or max(theirs, key=_since)
        for theirs in streams.values()
    ]


def _since(job: Any) -> float:
    """When it came to its state, in seconds since 1970."""
    return float(job.status.state_start_time.timestamp())


def named(params: Mapping[str, Any]) -> str:
    """The one stream that the Param names; empty: all. SettingsError: no stream can have that name."""
    wanted = as_text(params.get("stream"))
    if wanted and not NAME.fullmatch(wanted):
        raise SettingsError(f"Param stream: want a stream's name (of a-z, 0-9, _ and -), found {wanted!r}")
    return wanted


def _counts(now: str, action: str) -> bool:
    return now != "DONE" if action == REPORT else now not in TERMINAL


def _stream(found: Any) -> Stream:
    places = {"checkpoint": "--checkpoint", "output": "--output-path"}
    places |= {"bootstrap": "--kafka-bootstrap", "output_bootstrap": "--kafka-output-bootstrap"}
    return {
        "stream": str(found.labels["stream"]),
        "job": str(found.reference.job_id),
        "state": state(found),
        **{name: argument(found, flag) for name, flag in places.items()},
    }


def act(found: Mapping[str, Any], stream: Stream, params: Mapping[str, Any]) -> str:
    """Drain or restart a stream; one line on what became of it."""
    from airflow.sdk.exceptions import AirflowSkipException

    if params["action"] == REPORT:
        raise AirflowSkipException("action report: nothing is ended")
    with at_work(found) as (_, jobs):
        does = drain if params["action"] == DRAIN else restart
        line = does(jobs, stream, params["timeout_seconds"])
    log.info("%s", line)
    return line


def drain(jobs: Jobs, stream: Stream, timeout: float) -> str:
    """Ask the stream's jobs to end; DeploymentError: one ended otherwise than DONE."""
    ended = []
    for each in jobs.serving(stream["stream"], active=True):
        name = str(each.reference.job_id)
        found = serving_jobs.drain(jobs, each, timeout, log.info)
        if found != "DONE":
            raise DeploymentError(f"job {name} was asked to end and is {found}, want DONE")
        ended.append(f"job {name} is DONE")
    return f"stream {stream['stream']}: {', '.join(ended) or 'no job runs'}"


def restart(jobs: Jobs, stream: Stream, timeout: float) -> str:
    """Drain the stream's job where it runs, submit one that is like it, and wait until that serves."""
    old = jobs.get(stream["job"])
    ended = _since(old) if state(old) in TERMINAL else math.inf
    later = [each for each in jobs.serving(stream["stream"], active=True) if begun(each)[0] > ended]
    if later:  # an earlier try of this task was as far
        name = str(later[0].reference.job_id)
    else:
        if state(old) not in TERMINAL:
            serving_jobs.drain(jobs, old, timeout, log.info)
        name, _ = serving_jobs.submit_once(jobs, serving_jobs.again(old, jobs), log.info)
        log.info("stream %s is submitted as job %s", stream["stream"], name)
    line = streams_health.wait_until_healthy(jobs, name, stream["checkpoint"], timeout, log.info)
    return f"stream {stream['stream']}: {line}"


def folder(settings: Settings, run_id: str, moment: Any) -> str:
    """Where the run's report goes, gs://."""
    return f"gs://{settings.predictions_bucket}/reports/serving/{moment:%Y-%m-%dT%H%M%SZ}-{key(run_id)}"


def key(run_id: str) -> str:
    """Eight hex digits for a run."""
    return hashlib.sha256(run_id.encode()).hexdigest()[:8]


def audit(found: Mapping[str, Any], stream: Stream, context: Mapping[str, Any]) -> dict[str, str]:
    """Let Spark count whether every message is there once; stream and report, empty where the audit failed.

    A try that finds the job of an earlier one waits for that.
    """
    from airflow.sdk.exceptions import AirflowSkipException
    from google.api_core.exceptions import AlreadyExists
    from sentiment_dags.driver import last_lines

    if context["params"]["action"] != REPORT or not context["params"]["audit"]:
        raise AirflowSkipException("no audit was asked for")
    run_id = str(context["run_id"])
    with at_work(found) as (settings, jobs):
        from sentiment import objects

        report = f"{folder(settings, run_id, context['dag_run'].run_after)}/audit-{stream['stream']}.json"
        revision = staging.staged(settings, [SCRIPTS[AUDIT]])
        brokers = stream["bootstrap"], stream["output_bootstrap"]
        words = audit_arguments(stream["checkpoint"], stream["output"], report, *brokers)
        name = f"audit-{stream['stream']}-{key(run_id)}"
        wanted = job(settings, AUDIT, words, revision, name)
        wanted["labels"]["stream"] = stream["stream"]
        try:
            jobs.submit(wanted)
        except AlreadyExists:
            log.info("job %s is there already", name)
        ended = waited(jobs, name)
        if objects.read(report) is not None:
            return {"stream": stream["stream"], "report": report}
        for line in last_lines(ended):
            log.warning("driver: %s", line)
    return {"stream": stream["stream"], "report": ""}


def waited(jobs: Jobs, name: str) -> Any:
    """A job at its end; one that is at work after AUDIT_SECONDS is cancelled."""
    until = time.monotonic() + AUDIT_SECONDS
    while state(ended := jobs.get(name)) not in TERMINAL:
        if time.monotonic() >= until:
            log.warning("job %s is still %s after %.0f s: it is cancelled", name, state(ended), AUDIT_SECONDS)
            jobs.cancel(name)
            return ended
        time.sleep(LOOK_SECONDS)
    log.info("job %s is %s", name, state(ended))
    return ended


class ReportStreams(BaseOperator):
    """Reports on streams, as code/serving_report.py does; the button "Report" of the task leads to the page.

    Args:
        settings: out of the first task.
        streams: those to report on.
        audits: what `audit` gave for them; may be none.
    """

    template_fields: Sequence[str] = ("settings", "streams", "audits")
    operator_extra_links = (ReportLink(),)

    def __init__(self, settings: Any, streams: Any, audits: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settings, self.streams, self.audits = settings, streams, audits
        self.report = ""

    def execute(self, context: Any) -> dict[str, Any]:
        """Write report.json, report.md and report.html; verdict, a line per stream, and the folder."""
        from airflow.sdk.exceptions import AirflowSkipException

        if context["params"]["action"] != REPORT:
            raise AirflowSkipException("no report was asked for")
        if not self.streams:
            raise AirflowSkipException("no serving job runs, and none ended otherwise than by a drain")
        audits = {each["stream"]: each["report"] for each in self.audits or [] if each}
        with at_work(self.settings) as (settings, _):
            self.report = folder(settings, str(context["run_id"]), context["dag_run"].run_after)
            found = written(self.report, self.streams, audits, context["params"]["audit"])
        for line in found["streams"]:
            self.log.info("%s", line)
        self.log.info("%s", ReportLink().get_link(self, ti_key=None))
        return {**found, "report": self.report}


def written(where: str, streams: Sequence[Stream], audits: Mapping[str, str], audited: bool) -> dict[str, Any]:
    """Write the report; its verdict and a line per stream. An audit that was asked for and has no file has failed."""
    from datetime import UTC, datetime

    from sentiment.health import page, report, verdict
    from sentiment.health import streams as seen

    limits, now = verdict.Limits(), time.time()
    asked = []
    for each in streams:
        audit = audits.get(each["stream"], "")
        asked.append(seen.Stream(each["stream"], each["checkpoint"], each["output"], audit, audited and not audit))
    told = report.tell_all(asked, limits, HISTORY_SECONDS, CHECK_FILES, now)
    worst = verdict.worst([each.verdict for each in told])
    page.write(where, told, limits, worst, f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
    log.info("%s", report.text(told))
    return {"verdict": worst, "streams": [f"{each.stream.name}: {each.verdict}" for each in told]}


def outcome(context: Mapping[str, Any]) -> list[str]:
    """What came of the run, for the notice."""
    ti = context["ti"]
    told = ti.xcom_pull(task_ids="report")
    if told:
        return [f"verdict: {told['verdict']}", *told["streams"], f"{told['report']}/report.html"]
    places = list(range(len(ti.xcom_pull(task_ids="list_streams") or [])))
    return [line for line in ti.xcom_pull(task_ids="act", map_indexes=places) or [] if line]
