"""How long a job is watched and when it counts as well, told by jobs as Dataproc describes them; no server is asked."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.cloud import dataproc_v1 as dp
from sentiment_dags import management, streams_health
from sentiment_dags.serving_jobs import DeploymentError, Jobs
from sentiment_dags.streams_health import Batches
from sentiment_dags.variables import SettingsError

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


@pytest.mark.parametrize(
    ("job", "committed", "complaint"),
    [
        (running(5), 4, ""),
        (running(5, 300, 200), 4, ""),  # it failed in earlier hours
        (running(5, 8), 4, ""),
        (running(5, 20, 8), 4, "its driver failed 2 times"),  # it fails again and again, with a batch each time
        (running(5), 6, "no batch is complete after 0 s"),  # the batch is that of the attempt before
    ],
)
def test_a_stream_serves_once_its_present_attempt_has_completed_a_batch_unless_it_fails_again_and_again(
    monkeypatch: pytest.MonkeyPatch, job: dp.Job, committed: float, complaint: str
) -> None:
    moment = (NOW - timedelta(minutes=committed)).timestamp()
    monkeypatch.setattr(streams_health, "batches", lambda _: Batches(41, moment, 42))
    monkeypatch.setattr(streams_health, "told", lambda *_: "")

    def watched() -> str:
        return streams_health.wait_until_healthy(Jobs(Client(job), "p", "r"), "a-job", "gs://c/s", 0, print)

    if not complaint:
        assert watched() == "job a-job is RUNNING and has completed batch 41"
        return
    with pytest.raises(DeploymentError, match=f"^job a-job of stream s failed: {complaint}"):
        watched()


def test_a_name_that_no_stream_can_have_is_not_asked_for() -> None:
    assert management.named({"stream": "m-1"}) == "m-1"
    assert management.named({"stream": None}) == ""
    with pytest.raises(SettingsError, match=r"^Param stream: want a stream's name .*, found 'x AND labels.suite = y'$"):
        management.named({"stream": "x AND labels.suite = y"})
