"""How jobs are watched, left alone and replaced, told by jobs as Dataproc describes them; no server is asked."""

import itertools
import time
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from google.api_core.exceptions import NotFound
from google.cloud import dataproc_v1 as dp
from sentiment_dags import deploy, management, serving_jobs, settings, staging, streams_health, worker
from sentiment_dags import serving as dag_serving
from sentiment_dags.serving_jobs import DeploymentError, Jobs
from sentiment_dags.streams_health import Batches
from sentiment_dags.variables import AwayError, SettingsError

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


@pytest.mark.parametrize(
    ("seen", "healthy"),
    [
        ([(41, 42)] * 9, ""),  # it hangs in batch 42
        ([(41, 42), (41, 42), (42, 42)], "job a-job is RUNNING and has completed batch 42"),
        ([(41, 41)] * 9, "job a-job is RUNNING, has read all its input and waits for more"),
    ],
)
def test_a_stream_that_was_left_alone_serves_once_it_does_something_while_it_is_watched(
    monkeypatch: pytest.MonkeyPatch, seen: list[tuple[int, int]], healthy: str
) -> None:
    looks, renewals, clock = iter(seen), itertools.count(1.0), itertools.count(0.0)
    done = (NOW - timedelta(hours=50)).timestamp()

    def batches(_: str) -> Batches:
        committed, begun = next(looks)
        return Batches(committed, time.time() if committed > 41 else done, begun)

    monkeypatch.setattr(streams_health, "batches", batches)
    monkeypatch.setattr(streams_health, "told", lambda *_: "")
    monkeypatch.setattr(streams_health, "said", lambda _: streams_health.RUNS)
    monkeypatch.setattr(streams_health, "renewal", lambda _: next(renewals))
    passing = SimpleNamespace(monotonic=lambda: next(clock), time=time.time, sleep=lambda _: None)
    monkeypatch.setattr(streams_health, "time", passing)
    jobs = Jobs(Client(running(51 * 60)), "p", "r")
    if healthy:
        assert streams_health.wait_until_healthy(jobs, "a-job", "gs://c/s", 9, print, ours=False) == healthy
        return
    with pytest.raises(DeploymentError, match=r"failed: no batch is complete after 5 s$"):
        streams_health.wait_until_healthy(jobs, "a-job", "gs://c/s", 5, print, ours=False)


@pytest.mark.parametrize(("run_id", "ours"), [("this-run", True), ("another-run", False)])
def test_a_run_knows_whether_it_has_submitted_the_job_that_it_watches(
    monkeypatch: pytest.MonkeyPatch, run_id: str, ours: bool
) -> None:
    job = running(5)
    job.labels.update(deploy.of_run({"labels": {}}, "this-run")["labels"])
    asked = list[bool]()
    monkeypatch.setattr(dag_serving, "at_work", lambda _: nullcontext((None, Jobs(Client(job), "p", "r"))))
    monkeypatch.setattr(streams_health, "wait_until_healthy", lambda *_, ours: asked.append(ours))
    deployed = {"done": "left alone", "job": "a-job", "checkpoint": "gs://c/s", "stream": "s", "model": "m"}
    dag_serving.monitor({}, {**deployed, "version": "1"}, {"params": {"timeout_seconds": 1}, "run_id": run_id})
    assert asked == [ours]


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


def test_a_stream_whose_cluster_is_gone_is_not_restarted_and_fails_at_once_with_both_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def submit(**_: Any) -> None:
        raise NotFound("Not found: Cluster projects/p/regions/r/clusters/c")  # type: ignore[no-untyped-call]

    client = Client(serving(1, State.ERROR, 5))
    monkeypatch.setattr(client, "submit_job", submit)
    stream = {"stream": "s", "job": "serving-s-0123-1", "checkpoint": "gs://c/s"}
    line = "^stream s: want cluster c in r for its job, found no such cluster$"
    with pytest.raises(AirflowFailException, match=line), worker.at_once():
        management.restart(Jobs(client, "p", "r"), stream, 60)


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ("RUNNING", None),
        ("UPDATING", None),  # it is resized, and takes jobs
        ("CREATING", AwayError),
        ("STARTING", AwayError),
        ("REPAIRING", AwayError),
        ("STOPPED", SettingsError),
        ("ERROR", SettingsError),
    ],
)
def test_a_cluster_that_does_not_take_jobs_yet_is_asked_again_and_one_that_never_will_is_told(
    monkeypatch: pytest.MonkeyPatch, state: str, error: type[Exception] | None
) -> None:
    found = dp.Cluster(status={"state": state})
    hook = SimpleNamespace(project_id="p", get_cluster=lambda **_: found)
    store = SimpleNamespace(list_blobs=lambda *_, **__: [])
    monkeypatch.setattr("airflow.providers.google.cloud.hooks.dataproc.DataprocHook", lambda **_: hook)
    monkeypatch.setattr(
        "airflow.providers.google.cloud.hooks.gcs.GCSHook", lambda **_: SimpleNamespace(get_conn=lambda: store)
    )
    wanted = settings.read({}, {"serving_source_type": "file", "mlflow_tracking_uri": "http://m:5000"}.get)
    if error is None:
        deploy.check_places(wanted)
        return
    with pytest.raises(error, match=f"^Variable cluster_name: want a running cluster .*: {state}$"):
        deploy.check_places(wanted)


def test_a_name_that_no_stream_can_have_is_not_asked_for() -> None:
    assert management.named({"stream": "m-1"}) == "m-1"
    assert management.named({"stream": None}) == ""
    with pytest.raises(SettingsError, match=r"^Param stream: want a stream's name .*, found 'x AND labels.suite = y'$"):
        management.named({"stream": "x AND labels.suite = y"})


@pytest.mark.parametrize(
    ("given", "brokers"),
    [
        (["--kafka-bootstrap", "in:1"], ["--kafka-bootstrap", "in:1"]),
        (
            ["--kafka-bootstrap=in:1", "--kafka-output-bootstrap", "out:1"],
            ["--kafka-bootstrap", "in:1", "--kafka-output-bootstrap", "out:1"],
        ),
        (["--source-type", "file", "--kafka-output-bootstrap=out:1"], ["--kafka-output-bootstrap", "out:1"]),
        (["--source-type", "file"], []),
    ],
)
def test_an_audit_asks_the_brokers_that_the_stream_was_deployed_with(
    monkeypatch: pytest.MonkeyPatch, given: list[str], brokers: list[str]
) -> None:
    job = serving(1, State.RUNNING, 5)
    job.pyspark_job.args.extend(["--output-path", "gs://p/s", *given])
    client, read = Client(job), settings.read({}, {"mlflow_tracking_uri": "http://m:5000", "project_id": "p"}.get)
    monkeypatch.setattr(management, "at_work", lambda _: nullcontext((read, Jobs(client, "p", "r"))))
    monkeypatch.setattr(staging, "staged", lambda *_: "0123456789ab")
    monkeypatch.setattr(management, "waited", lambda *_: None)
    monkeypatch.setattr(objects, "read", lambda _: "{}")
    params = {"stream": "s", "action": "report", "audit": True}
    (stream,) = management.streams({}, params)
    run = {"params": params, "run_id": "r", "dag_run": SimpleNamespace(run_after=NOW)}
    report = management.audit({}, stream, run)["report"]
    (words,) = (list(each.pyspark_job.args) for name, each in client.jobs.items() if name.startswith("audit-s-"))
    assert words == ["--checkpoint", "gs://c/s", "--output-path", "gs://p/s", "--report", report, *brokers]
