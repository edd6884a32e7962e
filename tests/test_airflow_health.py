"""How jobs are watched, left alone and replaced, told by jobs as Dataproc describes them; no server is asked."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.cloud import dataproc_v1 as dp
from sentiment_dags import deploy, management, serving_jobs, streams_health
from sentiment_dags.serving_jobs import DeploymentError, Jobs
from sentiment_dags.streams_health import Batches
from sentiment_dags.variables import SettingsError

from sentiment import objects

State: Any = dp.JobStatus.State
NOW = datetime.now(UTC)


class Client:
    """Dataproc, where some jobs are; remembers what was cancelled. One that is being cancelled ends once it is seen."""

    def __init__(self, *jobs: dp.Job) -> None:
        self.jobs = {job.reference.job_id: job for job in jobs}
        self.cancelled: list[str] = []

    def get_job(self, request: dict[str, str]) -> dp.Job:
        job = self.jobs[request["job_id"]]
        if job.status.state == State.CANCEL_STARTED:
            job.status.state = State.CANCELLED
        return job

    def list_jobs(self, request: dict[str, str]) -> list[dp.Job]:
        active = "status.state = ACTIVE" in request["filter"]
        return [job for job in self.jobs.values() if not active or job.status.state.name not in serving_jobs.TERMINAL]

    def submit_job(self, request: dict[str, Any]) -> None:
        job = dp.Job({**request["job"], "status": {"state": State.PENDING, "state_start_time": datetime.now(UTC)}})
        assert self.jobs.setdefault(job.reference.job_id, job) is job

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


def serving(number: int, state: Any, minutes: float, settings: str = "0123") -> dp.Job:
    """A stream's job that was submitted an hour before it came to its state, so many minutes ago."""
    moment = NOW - timedelta(minutes=minutes)
    return dp.Job(
        reference={"job_id": f"serving-s-{settings}-{number}"},
        placement={"cluster_name": "c"},
        labels={"stream": "s", "settings": settings, "revision": "r"},
        pyspark_job={"args": ["--checkpoint", "gs://c/s"]},
        status={"state": state, "state_start_time": moment},
        status_history=[{"state": State.PENDING, "state_start_time": moment - timedelta(hours=1)}],
    )


def wanted(settings: str = "0123") -> dict[str, Any]:
    """A deploy's job, with the settings of `serving` unless told otherwise."""
    return {
        "reference": {"job_id": "a-deploy-names-it"},
        "placement": {"cluster_name": "c"},
        "labels": {"stream": "s", "settings": settings, "revision": "r"},
        "pyspark_job": {"args": ["--checkpoint", "gs://c/s"]},
    }


@pytest.mark.parametrize(
    ("state", "drained", "done"),
    [
        (State.RUNNING, None, "left alone"),
        (State.RUNNING, 90.0, "left alone"),  # a request of before it was submitted, which goes when the driver starts
        (State.RUNNING, 1.0, "replaced"),
        (State.CANCEL_STARTED, None, "replaced"),
    ],
)
def test_a_job_that_was_told_to_end_is_not_left_alone_but_waited_for_and_submitted_again(
    monkeypatch: pytest.MonkeyPatch, state: Any, drained: float | None, done: str
) -> None:
    job, said, asked = serving(1, state, 5), list[str](), list[str]()
    requests = [] if drained is None else [objects.Entry("drain", 3, (NOW - timedelta(minutes=drained)).timestamp())]

    def ask(location: str, _: str) -> None:
        asked.append(location)
        job.status.state = State.DONE

    monkeypatch.setattr(objects, "entries", lambda folder: requests if folder == "gs://c/s/control" else [])
    monkeypatch.setattr(objects, "replace", ask)
    monkeypatch.setattr(serving_jobs, "LOOK_SECONDS", 0.0)
    client = Client(job)
    deploy.show(Jobs(client, "p", "r"), wanted(), said.append)
    assert ("it would be left alone" if done == "left alone" else "it would be waited for: it was told") in said[0]
    name, what = deploy.deploy(Jobs(client, "p", "r"), wanted(), 60, said.append)
    assert (name, what) == (f"serving-s-0123-{1 if done == 'left alone' else 2}", done)
    assert asked == ["gs://c/s/control/drain"] * (done == "replaced" and state == State.RUNNING)
    active = [each.reference.job_id for each in Jobs(client, "p", "r").serving("s", active=True)]
    assert active == [name]


@pytest.mark.parametrize("state", [State.RUNNING, State.DONE])
def test_a_job_that_another_deploy_took_back_at_once_is_not_its_stream_s(state: Any) -> None:
    ours, taken_back = serving(1, state, 5), serving(2, State.CANCELLED, 20, "4567")
    assert management.present_jobs([ours, taken_back]) == [ours]


def test_a_stream_is_restarted_while_another_deploy_takes_its_job_back_and_a_second_try_restarts_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, taken_back = serving(1, State.RUNNING, 5), serving(2, State.CANCEL_PENDING, 0, "4567")

    def drain(_: Jobs, job: dp.Job, *__: Any) -> None:
        assert job == ours
        for each, state in ((ours, State.DONE), (taken_back, State.CANCELLED)):
            each.status = dp.JobStatus(state=state, state_start_time=datetime.now(UTC))

    monkeypatch.setattr(serving_jobs, "drain", drain)
    monkeypatch.setattr(streams_health, "wait_until_healthy", lambda _, name, *__: name)
    jobs = Jobs(Client(ours, taken_back), "p", "r")
    stream = {"stream": "s", "job": ours.reference.job_id, "checkpoint": "gs://c/s"}
    assert [management.restart(jobs, stream, 60) for _ in range(2)] == ["stream s: serving-s-0123-3"] * 2


def test_a_name_that_no_stream_can_have_is_not_asked_for() -> None:
    assert management.named({"stream": "m-1"}) == "m-1"
    assert management.named({"stream": None}) == ""
    with pytest.raises(SettingsError, match=r"^Param stream: want a stream's name .*, found 'x AND labels.suite = y'$"):
        management.named({"stream": "x AND labels.suite = y"})
