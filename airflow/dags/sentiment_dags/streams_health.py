"""Whether a stream serves: its job runs, and has completed a batch or has nothing to do."""

import dataclasses
import re
import time
from typing import Any

from sentiment_dags.driver import last_lines
from sentiment_dags.serving_jobs import LOOK_SECONDS, TERMINAL, DeploymentError, Jobs, Say, state

QUIET_SECONDS = 12.0
"""Without a batch in work, after which a stream counts as idle: twice what its lease takes to be renewed."""

FAILURES, WITHIN_SECONDS = 2, 3600.0
"""Of the driver in so short a time, after which a deploy is given up; a stream may have failed in earlier days."""

RUNS = "the stream runs: query"


@dataclasses.dataclass(frozen=True)
class Batches:
    """The newest batch that is done, when that was (seconds since 1970), and the newest that was begun; -1: none."""

    committed: int
    moment: float
    begun: int


def wait_until_healthy(jobs: Jobs, job_id: str, checkpoint: str, timeout: float, say: Say, *, ours: bool = True) -> str:
    """One line on what shows that it serves.

    Args:
        jobs: of the region.
        job_id: its job.
        checkpoint: of the stream.
        timeout: seconds.
        say: is told the driver's last lines.
        ours: this run has submitted the job: any batch of its present attempt will do, and it gets time to begin one.
            Of another's job the batches say nothing that were done before: it may hang since then.

    Raises:
        DeploymentError: the job ended, failed twice or was not in time; the driver's last lines were said.
    """
    until = time.monotonic() + timeout
    known, idle = (-1, QUIET_SECONDS) if ours else (batches(checkpoint).committed, 0.0)
    quiet, renewed, runs = 0.0, 0.0, False
    while True:
        job = jobs.get(job_id)
        now = state(job)
        seen = batches(checkpoint)
        if now in TERMINAL:
            raise failed(job, f"it is {now}", say)
        if (failures := lately_failed(job)) >= FAILURES:
            raise failed(job, f"its driver failed {failures} times", say)
        fresh = seen.committed > known and seen.moment > job.status.state_start_time.timestamp()
        if now == "RUNNING" and fresh:
            return f"job {job_id} is RUNNING and has completed batch {seen.committed}{told(checkpoint, seen.committed)}"
        if time.monotonic() >= until:
            raise failed(job, f"no batch is complete after {timeout:.0f} s", say)
        runs = runs or RUNS in said(job)
        if now == "RUNNING" and seen.begun == seen.committed and runs:
            lease = renewal(checkpoint)
            if not quiet:
                quiet, renewed = time.monotonic(), lease
            if time.monotonic() - quiet >= idle and lease > renewed:
                return f"job {job_id} is RUNNING, has read all its input and waits for more"
        else:
            quiet = 0.0
        time.sleep(LOOK_SECONDS)


def lately_failed(job: Any) -> int:
    """How often its driver has failed within WITHIN_SECONDS."""
    since = time.time() - WITHIN_SECONDS
    failed = [each for each in job.status_history if each.state.name == "ATTEMPT_FAILURE"]
    return sum(each.state_start_time.timestamp() > since for each in failed)


def batches(checkpoint: str) -> Batches:
    """What Spark's own folders say; it keeps the last hundred of each, however long the stream has run."""
    from sentiment import objects

    done = {int(each.name): each for each in objects.entries(f"{checkpoint}/commits") if each.name.isdecimal()}
    planned = [int(name) for name in objects.names(f"{checkpoint}/offsets") if name.isdecimal()]
    newest = max(done, default=-1)
    return Batches(newest, done[newest].modified if done else 0.0, max(planned, default=-1))


def told(checkpoint: str, batch: int) -> str:
    """Rows and model of a batch, for the end of a line; empty: it has no manifest."""
    import json

    from sentiment import objects
    from sentiment.serving import layout

    text = objects.read(f"{checkpoint}/{layout.MANIFESTS}/{batch}.json")
    manifest = json.loads(text) if text else {}
    if not manifest:
        return ""
    return f", {manifest['rows_in']} rows in, scored by version {manifest['model_version']}"


def renewal(checkpoint: str) -> float:
    """When the newest driver renewed its lease, in seconds since 1970; 0: none came as far, or it has ended."""
    from sentiment.health import streams
    from sentiment.serving import layout

    lease = streams.lease(checkpoint)
    return lease.renewed if lease and lease.state == layout.OWNED else 0.0


def said(job: Any) -> str:
    """All that the driver has said so far."""
    from sentiment import objects

    folder, _, name = str(job.driver_output_resource_uri).rpartition("/")
    if not folder.startswith("gs://"):
        return ""
    parts = [part for part in objects.names(folder) if part.startswith(f"{name}.")]
    return b"".join(objects.read_bytes(f"{folder}/{part}") or b"" for part in parts).decode("utf-8", "replace")


def failed(job: Any, what: str, say: Say) -> DeploymentError:
    """The error, after the driver's last lines were said; the job script's own line of error is part of it."""
    lines, name = last_lines(job), job.reference.job_id
    say(f"the last lines of the driver of job {name}:")
    for line in lines:
        say(f"  {line}")
    found = [match[1] for line in lines if (match := re.match(r"[a-z_]*\.py: error: (.*)", line))]
    details = f": {found[-1]}" if found else ""
    return DeploymentError(f"job {name} of stream {job.labels.get('stream')} failed: {what}{details}")
