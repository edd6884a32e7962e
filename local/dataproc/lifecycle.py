"""A job's way through its states. Each step is written before the next is taken, so that any may be taken again."""

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from google.cloud import dataproc_v1 as dp

from dataproc.driver import Attempt, Outcome
from dataproc.output import DriverOutput
from dataproc.settings import Settings
from dataproc.staging import StagingError, command, stage, storage
from dataproc.store import Item, Key, Store
from dataproc.times import now

State: Any = dp.JobStatus.State
TERMINAL = frozenset({State.DONE, State.ERROR, State.CANCELLED})
POLL_SECONDS = 0.1
UPLOAD_EVERY = 1.0
LAST_UPLOAD_TRIES = 3
HOUR, THRASH_SECONDS, THRASH_FAILURES = 3600.0, 600.0, 4


def move(store: Store, key: Key, states: set[int], to: int, details: str = "", **extra: Any) -> dp.Job | None:
    """Bring a job from one of `states` to another; None, and nothing changed, when it is in none of them.

    Args:
        extra: what to note beside the message in the same transaction.
    """
    with store.transaction():
        item = store.get(key)
        if item is None:
            return None
        job: dp.Job = dp.Job.deserialize(item.body)
        if job.status.state not in states:
            return None
        job.status_history.append(job.status)
        job.status = dp.JobStatus(state=to, details=details, state_start_time=now())
        job.done = to in TERMINAL
        store.put(Item(key, dp.Job.serialize(job), not job.done, {**item.extra, **extra}))
    return job


def verdict(scheduling: dp.JobScheduling, failures: list[float], moment: float) -> str:
    """Why a job whose driver failed at these times is not restarted; empty: it is.

    Args:
        failures: when its drivers failed, in seconds, the last one included.
        moment: now, in the same seconds.
    """
    hourly, total = scheduling.max_failures_per_hour, scheduling.max_failures_total
    if not hourly and not total:
        return "the job is not restartable"
    if total and len(failures) > total:
        return f"{len(failures)} failures, max_failures_total is {total}"
    recent = sum(moment - failure < HOUR for failure in failures)
    if hourly and recent > hourly:
        return f"{recent} failures within an hour, max_failures_per_hour is {hourly}"
    thrashing = sum(moment - failure < THRASH_SECONDS for failure in failures)
    if thrashing > THRASH_FAILURES:
        return f"the job thrashes: {thrashing} failures within 10 minutes"
    return ""


class JobRun(threading.Thread):
    """Leads one job to its end."""

    def __init__(self, store: Store, settings: Settings, key: Key, closing: threading.Event) -> None:
        super().__init__(name=f"job {key.name}", daemon=True)
        self._store, self._settings, self._key, self._closing = store, settings, key, closing
        self._attempts: dict[int, Attempt] = {}
        self._output: DriverOutput | None = None
        self._pushed = 0.0

    def run(self) -> None:
        """Take steps until the job is done; a fault of the server's own ends the job too, and says so."""
        try:
            while not self._step():
                pass
        except Exception as error:  # noqa: BLE001  whatever it was, the job must not hang
            line = f"Internal error of the server: {type(error).__name__}: {error}"
            print(f"{self._key}: {line}", file=sys.stderr, flush=True)
            self._finish(State.ERROR, line)

    def _step(self) -> bool:
        """One step; True at the end."""
        item = self._store.get(self._key)
        if item is None:
            return True
        job = dp.Job.deserialize(item.body)
        state = job.status.state
        if state in TERMINAL:
            return True
        folder = self.folder(job)
        number = int(item.extra.get("attempt", 1))
        attempt = self._attempts.setdefault(number, Attempt(folder / f"attempt-{number}"))
        if self._output is None:
            gs = job.driver_output_resource_uri.startswith("gs://")
            client = storage(self._settings.storage_endpoint) if gs else None
            self._output = DriverOutput(folder, job.driver_output_resource_uri, client)
        if state == State.PENDING:
            move(self._store, self._key, {State.PENDING}, State.SETUP_DONE)
        elif state == State.SETUP_DONE:
            self._start(job, folder, attempt)
        elif state == State.ATTEMPT_FAILURE:
            move(self._store, self._key, {state}, State.SETUP_DONE, attempt=number + 1)
        elif state == State.CANCEL_PENDING:
            attempt.forbid("Driver was never started")
            attempt.stop()
            move(self._store, self._key, {state}, State.CANCEL_STARTED)
        else:
            self._watch(job, attempt, item.extra)
        return False

    def folder(self, job: dp.Job) -> Path:
        """The job's own folder."""
        made = self._settings.folder / "jobs" / job.job_uuid
        (made / "work").mkdir(parents=True, exist_ok=True)
        return made

    def _start(self, job: dp.Job, folder: Path, attempt: Attempt) -> None:
        cluster_key = Key("cluster", self._key.project, self._key.region, job.placement.cluster_name)
        cluster = self._store.get(cluster_key)
        try:
            files = stage(job.pyspark_job, folder / "files", self._settings.storage_endpoint)
        except StagingError as error:
            self._finish(State.ERROR, str(error), {State.SETUP_DONE})
            return
        known = dp.Cluster.deserialize(cluster.body) if cluster else dp.Cluster()
        line = command(job, known, files, self._settings)
        assert self._output is not None
        attempt.launch(line, environment(self._settings), folder / "work", self._output.log, self._settings.patience)
        move(self._store, self._key, {State.SETUP_DONE}, State.RUNNING)

    def _watch(self, job: dp.Job, attempt: Attempt, extra: dict[str, Any]) -> None:
        """Wait for the driver's end while the job is in this state, its output passed on."""
        state = job.status.state
        while (outcome := attempt.outcome()) is None:
            self._pass_on()
            if state == State.CANCEL_STARTED:
                attempt.stop()  # a signal that met the server's own end is sent again
            elif self._state() != state:
                return
            if self._closing.wait(POLL_SECONDS):
                attempt.stop()
                time.sleep(POLL_SECONDS)
        if state == State.CANCEL_STARTED:
            asked = [status.details for status in job.status_history if status.state == State.CANCEL_PENDING]
            self._finish(State.CANCELLED, f"{asked[-1] or 'Job cancelled by the user'}. {outcome.reason()}.")
        elif outcome.fine:
            self._finish(State.DONE, "", {State.RUNNING})
        elif self._closing.is_set():
            self._finish(State.ERROR, f"The Dataproc server was stopped while the job ran. {outcome.reason()}.")
        else:
            self._failed(job, outcome, [*extra.get("failures", []), time.time()])

    def _failed(self, job: dp.Job, outcome: Outcome, failures: list[float]) -> None:
        assert self._output is not None
        line = self._output.last_line()
        message = f"{outcome.reason()}{': ' + line if line else ''}"
        against = verdict(job.scheduling, failures, time.time())
        if not against:
            move(self._store, self._key, {State.RUNNING}, State.ATTEMPT_FAILURE, message, failures=failures)
            return
        restarted = f" Not restarted: {against}." if len(failures) > 1 else ""
        where = f"Additional details can be found at: {job.driver_output_resource_uri}"
        self._finish(State.ERROR, f"Job failed with message [{message}].{restarted} {where}", {State.RUNNING})

    def _finish(self, to: int, details: str, states: set[int] | None = None) -> None:
        """The whole output first, then the state: a client that sees the end finds all of it."""
        error = self._pass_on(last=True)
        if error:
            details = f"{details} The end of the driver's output could not be stored ({error}).".strip()
        move(self._store, self._key, states or set(State) - TERMINAL, to, details)

    def _pass_on(self, last: bool = False) -> str:
        """Upload what is new in the driver's output; the error's name when that failed."""
        if self._output is None or (not last and time.monotonic() - self._pushed < UPLOAD_EVERY):
            return ""
        self._pushed, failed = time.monotonic(), ""
        for _ in range(LAST_UPLOAD_TRIES if last else 1):
            try:
                self._output.push(last)
            except Exception as error:  # noqa: BLE001  the store's trouble is not the job's
                failed = type(error).__name__
                print(f"{self._key}: driver output not stored: {failed}", file=sys.stderr, flush=True)
            else:
                return ""
        return failed

    def _state(self) -> int | None:
        item = self._store.get(self._key)
        return dp.Job.deserialize(item.body).status.state if item else None


def environment(settings: Settings) -> dict[str, str]:
    """What a driver finds in its environment: this interpreter first, the object store, no cloud."""
    binaries = str(Path(sys.executable).parent)
    made = {**os.environ, "NO_GCE_CHECK": "true", "PYSPARK_PYTHON": sys.executable}
    made["PATH"] = os.pathsep.join([binaries, made.get("PATH", os.defpath)])
    for name in ("PYTHONPATH", "PYTHONSAFEPATH"):
        made.pop(name, None)  # the server's own modules are no part of a job
    if settings.storage_endpoint:
        made["STORAGE_EMULATOR_HOST"] = settings.storage_endpoint
    return made
