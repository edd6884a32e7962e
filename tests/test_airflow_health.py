"""How long a job is watched and when it counts as well, told by jobs as Dataproc describes them; no server is asked."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.cloud import dataproc_v1 as dp
from sentiment_dags import management
from sentiment_dags.serving_jobs import Jobs

State: Any = dp.JobStatus.State
NOW = datetime.now(UTC)


class Client:
    """Dataproc, where one job is; remembers what was cancelled."""

    def __init__(self, job: dp.Job) -> None:
        self.job = job
        self.cancelled: list[str] = []

    def get_job(self, request: dict[str, str]) -> dp.Job:
        assert request["job_id"] == self.job.reference.job_id
        return self.job

    def cancel_job(self, request: dict[str, str]) -> None:
        self.cancelled.append(request["job_id"])


def running(minutes: float, *failures: float) -> dp.Job:
    """A job whose present attempt began so many minutes ago, after others that failed so many minutes ago."""
    history = [(State.PENDING, 600.0), *((State.ATTEMPT_FAILURE, each) for each in failures)]
    return dp.Job(
        reference={"job_id": "a-job"},
        labels={"stream": "s"},
        status={"state": State.RUNNING, "state_start_time": NOW - timedelta(minutes=minutes)},
        status_history=[{"state": state, "state_start_time": NOW - timedelta(minutes=ago)} for state, ago in history],
    )


def test_an_audit_that_does_not_end_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(management, "AUDIT_SECONDS", 0.0)
    client = Client(running(90))
    management.waited(Jobs(client, "p", "r"), "a-job")
    assert client.cancelled == ["a-job"]
