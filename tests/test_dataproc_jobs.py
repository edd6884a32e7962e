"""Jobs, by the real clients over both transports; spark-submit is a stand-in that starts no JVM."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dataproc_server import CLUSTER, PLACE, QUICK, Clients, Server, State, output, states, wait_for
from google.api_core import exceptions
from google.cloud import dataproc_v1 as dp

WriteMain = Callable[[str], Path]
SLEEP = "import time; print('begun'); time.sleep(120)"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("dataproc"), "--cancel-seconds", "2", "--conf", "spark.a=server")
    made.start()
    yield made
    made.stop()


@pytest.fixture(params=["grpc", "rest"])
def clients(server: Server, request: pytest.FixtureRequest) -> Clients:
    return Clients(server, request.param)


@pytest.fixture
def main(tmp_path: Path) -> WriteMain:
    def write(text: str) -> Path:
        path = tmp_path / "main.py"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refused(error: exceptions.GoogleAPICallError) -> str:
    """The status by its name, which HTTP's own codes do not tell apart."""
    if error.grpc_status_code is not None:
        return str(error.grpc_status_code.name)
    assert error.response is not None
    return str(error.response.json()["error"]["status"])


def test_a_job_runs_with_all_that_it_asks_for_and_goes_through_the_states(clients: Clients, main: WriteMain) -> None:
    folder = main("import sys; print('ran with', sys.argv[1:])").parent
    for name in ("a.zip", "b.jar", "c.tar.gz", "d.txt"):
        (folder / name).touch()
    pyspark = {
        "args": ["--input", "two words"],
        "python_file_uris": [str(folder / "a.zip")],
        "jar_file_uris": [(folder / "b.jar").as_uri()],
        "archive_uris": [f"{folder / 'c.tar.gz'}#env"],
        "file_uris": [str(folder / "d.txt")],
        "properties": {"spark.a": "job", "spark.jars.packages": "g:a:1", "spark.jars": "/x.jar"},
        "logging_config": {"driver_log_levels": {"root": "WARN"}},
    }
    job = clients.submit(folder / "main.py", pyspark=pyspark, labels={"env": "staging"})
    assert job.status.state == State.PENDING
    done = clients.ended(job)
    assert states(done) == ["PENDING", "SETUP_DONE", "RUNNING", "DONE"]
    assert done.done
    assert done.pyspark_job == job.pyspark_job  # kept, what the server does not act upon included
    assert dict(done.pyspark_job.logging_config.driver_log_levels) == {"root": 5}
    first, second = output(done).splitlines()
    options = dict(json.loads(first)["options"])
    conf = [value for flag, value in json.loads(first)["options"] if flag == "--conf"]
    assert second == "ran with ['--input', 'two words']"
    assert conf == ["spark.a=job", f"spark.app.name={job.reference.job_id}", "spark.jars.packages=g:a:1"]
    assert options["--jars"] == f"/x.jar,{folder / 'b.jar'}"
    assert options["--py-files"] == str(folder / "a.zip")
    assert options["--archives"] == f"{folder / 'c.tar.gz'}#env"
    assert options["--files"] == str(folder / "d.txt")
    assert options["--master"] == "local[*]"


def test_the_output_can_be_read_while_the_job_runs_and_cancel_ends_it(clients: Clients, main: WriteMain) -> None:
    job = clients.reached(clients.submit(main(SLEEP)), State.RUNNING)
    wait_for(lambda: "begun" in output(job))
    assert clients.job(job.reference.job_id).status.state == State.RUNNING
    asked = clients.jobs.cancel_job(request={**PLACE, "job_id": job.reference.job_id})
    assert asked.status.state == State.CANCEL_PENDING
    done = clients.ended(job)
    assert states(done)[-3:] == ["CANCEL_PENDING", "CANCEL_STARTED", "CANCELLED"]
    assert "SIGTERM" in done.status.details


def test_a_job_that_ignores_sigterm_is_killed(clients: Clients, main: WriteMain) -> None:
    job = clients.submit(main(f"import signal; signal.signal(15, signal.SIG_IGN); {SLEEP}"))
    wait_for(lambda: "begun" in output(job))
    clients.jobs.cancel_job(request={**PLACE, "job_id": job.reference.job_id})
    assert "SIGKILL" in clients.ended(job).status.details


# What a driver says while it ends, and its exit code.
CHATTER = "print('26/11/21 21:41:27 INFO ShutdownHookManager: called'); raise SystemExit(1)"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise SystemExit(1)", "Driver exited with code 1"),
        ("raise ValueError('no such column')", "code 1: ValueError: no such column"),
        (f"print('x.py: error: --input: want it'); {CHATTER}", "code 1: x.py: error: --input: want it]"),
        (f"print('E: no room'); {CHATTER}", "code 1: E: no room]"),
        ("import os; os.kill(os.getpid(), 9)", "Driver was killed by signal 9 (SIGKILL)"),
    ],
)
def test_a_failed_driver_is_an_error_that_says_why(clients: Clients, main: WriteMain, text: str, reason: str) -> None:
    done = clients.ended(clients.submit(main(text)))
    assert states(done) == ["PENDING", "SETUP_DONE", "RUNNING", "ERROR"]
    assert reason in done.status.details
    assert done.driver_output_resource_uri in done.status.details


@pytest.mark.parametrize("uri", ["/nowhere/main.py", "file:///nowhere/main.py", "gs://bucket/main.py"])
def test_a_missing_main_file_is_an_error_that_names_it(clients: Clients, uri: str) -> None:
    done = clients.ended(clients.submit(uri))
    assert states(done) == ["PENDING", "SETUP_DONE", "ERROR"]
    assert uri in done.status.details


def test_a_restartable_job_is_started_again_until_it_is_well(clients: Clients, main: WriteMain, tmp_path: Path) -> None:
    text = f"from pathlib import Path; p = Path({str(tmp_path / 'n')!r}); n = p.stat().st_size if p.exists() else 0\n"
    text += "p.write_text('x' * (n + 1)); print('attempt', n); raise SystemExit(n < 2)"
    done = clients.ended(clients.submit(main(text), scheduling={"max_failures_per_hour": 3}))
    assert states(done) == [
        *["PENDING", "SETUP_DONE", "RUNNING", "ATTEMPT_FAILURE"],
        *["SETUP_DONE", "RUNNING", "ATTEMPT_FAILURE"],
        *["SETUP_DONE", "RUNNING", "DONE"],
    ]
    assert [line for line in output(done).splitlines() if line.startswith("att")] == [
        "attempt 0",
        "attempt 1",
        "attempt 2",
    ]


@pytest.mark.parametrize("scheduling", [{"max_failures_per_hour": 1}, {"max_failures_total": 1}])
def test_a_job_is_restarted_no_oftener_than_it_says(
    clients: Clients, main: WriteMain, scheduling: dict[str, int]
) -> None:
    done = clients.ended(clients.submit(main("raise SystemExit(3)"), scheduling=scheduling))
    assert states(done).count("ATTEMPT_FAILURE") == 1
    assert done.status.state == State.ERROR
    assert "2 failures" in done.status.details
    assert next(iter(scheduling)) in done.status.details


def test_a_repeated_request_id_gives_the_first_job_and_a_repeated_job_id_an_error(
    clients: Clients, main: WriteMain
) -> None:
    name = f"named-{clients.transport}"
    request_id = f"request-{clients.transport}"
    first = clients.submit(main("pass"), request_id, reference={"job_id": name})
    again = clients.submit(main("pass"), request_id, reference={"job_id": "another"})
    assert (again.reference.job_id, again.job_uuid) == (name, first.job_uuid)
    with pytest.raises(exceptions.Conflict) as caught:
        clients.submit(main("pass"), f"{request_id}-2", reference={"job_id": name})
    assert refused(caught.value) == "ALREADY_EXISTS"
    clients.ended(first)
    clients.jobs.delete_job(request={**PLACE, "job_id": name})
    anew = clients.submit(main("pass"), request_id)
    assert anew.job_uuid != first.job_uuid
    clients.ended(anew)


def test_an_argument_that_no_process_takes_is_named_as_the_reason(clients: Clients, main: WriteMain) -> None:
    done = clients.ended(clients.submit(main("pass"), pyspark={"args": ["a\0b"]}))
    assert "embedded null byte" in done.status.details


def test_what_is_unknown_is_not_found(clients: Clients, main: WriteMain) -> None:
    unknown = {**PLACE, "job_id": "unknown"}
    calls: list[Callable[[], object]] = [
        lambda: clients.jobs.get_job(request=unknown),
        lambda: clients.jobs.cancel_job(request=unknown),
        lambda: clients.jobs.delete_job(request=unknown),
        lambda: clients.jobs.update_job(request={**unknown, "job": {}, "update_mask": {"paths": ["labels"]}}),
        lambda: clients.submit(main("pass"), placement={"cluster_name": "unknown"}),
    ]
    for call in calls:
        with pytest.raises(exceptions.NotFound, match="unknown") as caught:
            call()
        assert refused(caught.value) == "NOT_FOUND"


@pytest.mark.parametrize(
    ("job", "named"),
    [
        ({}, "job.placement"),
        ({"placement": {"cluster_name": "UPPER"}}, "job.placement.cluster_name"),
        ({"placement": {"cluster_name": CLUSTER}}, "type of job"),
        ({"pyspark_job": {}}, "main_python_file_uri"),
        ({"pyspark_job": {"main_python_file_uri": "x.txt"}}, "main_python_file_uri"),
        ({"pyspark_job": {"main_python_file_uri": "x.py", "python_file_uris": ["x.whl"]}}, "python_file_uris"),
        ({"pyspark_job": {"main_python_file_uri": "x.py"}, "labels": {"UPPER": "x"}}, "job.labels"),
        ({"pyspark_job": {"main_python_file_uri": "x.py"}, "reference": {"job_id": "a b"}}, "job_id"),
        ({"pyspark_job": {"main_python_file_uri": "x.py"}, "reference": {"project_id": "other"}}, "project_id"),
        ({"pyspark_job": {"main_python_file_uri": "x.py"}, "scheduling": {"max_failures_per_hour": 11}}, "per_hour"),
        ({"pyspark_job": {"main_python_file_uri": "x.py"}, "scheduling": {"max_failures_total": 241}}, "total"),
    ],
)
def test_a_malformed_job_is_refused_and_the_field_named(clients: Clients, job: dict[str, object], named: str) -> None:
    placed = {"placement": {"cluster_name": CLUSTER}, **job} if "pyspark_job" in job else job
    with pytest.raises(exceptions.BadRequest, match=named) as caught:
        clients.jobs.submit_job(request={**PLACE, "job": placed})
    assert refused(caught.value) == "INVALID_ARGUMENT"


def test_other_kinds_of_job_are_not_implemented(clients: Clients) -> None:
    job = {"placement": {"cluster_name": CLUSTER}, "hive_job": {"query_file_uri": "gs://b/q"}}
    with pytest.raises(exceptions.MethodNotImplemented, match="hive_job"):
        clients.jobs.submit_job(request={**PLACE, "job": job})


def test_labels_are_updated_by_mask_and_nothing_else(clients: Clients, main: WriteMain) -> None:
    job = clients.ended(clients.submit(main("pass"), labels={"env": "staging", "old": "1"}))
    request = {**PLACE, "job_id": job.reference.job_id, "job": {"labels": {"env": "prod"}}}
    updated = clients.jobs.update_job(request={**request, "update_mask": {"paths": ["labels"]}})
    assert dict(updated.labels) == dict(clients.job(job.reference.job_id).labels) == {"env": "prod"}
    assert updated.status == job.status
    for mask in (["placement"], ["labels", "scheduling"], []):
        with pytest.raises(exceptions.BadRequest, match="update_mask"):
            clients.jobs.update_job(request={**request, "update_mask": {"paths": mask}})


def test_only_a_job_that_is_done_can_be_deleted_and_only_one_that_is_not_cancelled(
    clients: Clients, main: WriteMain
) -> None:
    job = clients.submit(main(SLEEP))
    name = {**PLACE, "job_id": job.reference.job_id}
    with pytest.raises(exceptions.BadRequest, match="Cannot delete") as caught:
        clients.jobs.delete_job(request=name)
    assert refused(caught.value) == "FAILED_PRECONDITION"
    clients.jobs.cancel_job(request=name)
    clients.ended(job)
    with pytest.raises(exceptions.BadRequest, match="Cannot cancel") as caught:
        clients.jobs.cancel_job(request=name)
    assert refused(caught.value) == "FAILED_PRECONDITION"
    clients.jobs.delete_job(request=name)
    with pytest.raises(exceptions.NotFound):
        clients.job(job.reference.job_id)


def test_lists_are_filtered_matched_and_paged(clients: Clients, main: WriteMain) -> None:
    mark = f"list-{clients.transport}"
    before = datetime.now(UTC).isoformat()
    made = [clients.submit(main("pass"), labels={"mark": mark, "n": str(n)}) for n in range(3)]
    for job in made:
        clients.ended(job)
    running = clients.submit(main(SLEEP), labels={"mark": mark})
    expected = [job.reference.job_id for job in [running, *reversed(made)]]

    def listed(filter_: str = "", **fields: object) -> list[str]:
        pages = clients.jobs.list_jobs(request={**PLACE, "filter": filter_, **fields})
        return [job.reference.job_id for job in pages if job.labels.get("mark") == mark]

    matcher = dp.ListJobsRequest.JobStateMatcher
    assert listed(page_size=2) == expected
    assert listed(cluster_name=CLUSTER) == expected
    assert listed(cluster_name="other") == []
    assert listed(f'labels.mark = {mark} AND insertTime >= "{before}"') == expected
    assert listed(f"labels.mark = {mark} labels.n = 1") == [expected[2]]
    assert listed(f"status.state = ACTIVE AND labels.mark = {mark} AND clusterName = {CLUSTER}") == expected[:1]
    assert listed(job_state_matcher=matcher.ACTIVE) == expected[:1]
    assert listed(job_state_matcher=matcher.NON_ACTIVE, page_size=1) == expected[1:]
    for wrong in ({"filter": "status.state = ASLEEP"}, {"page_token": "x"}, {"page_size": -1}):
        with pytest.raises(exceptions.BadRequest) as caught:
            clients.jobs.list_jobs(request={**PLACE, **wrong})
        assert refused(caught.value) == "INVALID_ARGUMENT"
    first = next(clients.jobs.list_jobs(request={**PLACE, "page_size": 1}).pages)
    with pytest.raises(exceptions.BadRequest, match="page_token"):  # another query's token
        clients.jobs.list_jobs(request={**PLACE, "page_token": first.next_page_token, "cluster_name": CLUSTER})
    clients.jobs.cancel_job(request={**PLACE, "job_id": running.reference.job_id})
    clients.ended(running)


def test_a_job_as_an_operation_gives_the_job_or_its_error(clients: Clients, main: WriteMain) -> None:
    def submit(text: str) -> object:
        job = {"placement": {"cluster_name": CLUSTER}, "pyspark_job": {"main_python_file_uri": str(main(text))}}
        return clients.jobs.submit_job_as_operation(request={**PLACE, "job": job})

    operation = submit("print('fine')")
    job = operation.result(timeout=30, polling=QUICK)  # type: ignore[attr-defined]
    assert job.status.state == State.DONE
    assert operation.metadata.job_id == job.reference.job_id  # type: ignore[attr-defined]
    failing = submit("raise SystemExit(1)")
    with pytest.raises(exceptions.GoogleAPICallError, match="exited with code 1"):
        failing.result(timeout=30, polling=QUICK)  # type: ignore[attr-defined]


def test_a_job_placed_by_labels_goes_to_a_cluster_that_has_them(clients: Clients, main: WriteMain) -> None:
    job = clients.submit(main("pass"), placement={"cluster_labels": {"goog-dataproc-cluster-name": CLUSTER}})
    assert job.placement.cluster_name == CLUSTER
    with pytest.raises(exceptions.NotFound):
        clients.submit(main("pass"), placement={"cluster_labels": {"goog-dataproc-cluster-name": "other"}})
    clients.ended(job)


def test_rest_refuses_what_is_no_request_and_who_is_no_client(server: Server) -> None:
    base = f"http://127.0.0.1:{server.rest_port}/v1/projects/p/regions/us-central1"

    def status(path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
        request = urllib.request.Request(f"{base}{path}", body, headers)  # noqa: S310
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=10)  # noqa: S310
        error = json.loads(caught.value.read())["error"]
        assert error["code"] == caught.value.code
        return error["code"], error["status"]

    assert status("/jobs:submit", b'{"job": {"unknownField": 1}}') == (400, "INVALID_ARGUMENT")
    assert status("/jobs:submit", b"{") == (400, "INVALID_ARGUMENT")
    assert status("/jobs:submit", b"[]") == (400, "INVALID_ARGUMENT")
    assert status("/jobs:submit", b"[" * 100_000) == (400, "INVALID_ARGUMENT")
    assert status("/jobs?unknown=1") == (400, "INVALID_ARGUMENT")
    assert status("/jobs/x:fly", b"{}") == (404, "NOT_FOUND")
    assert status("/jobs", Origin="http://evil.example") == (403, "PERMISSION_DENIED")
    assert status("/jobs", Host="evil.example") == (403, "PERMISSION_DENIED")


def test_eight_jobs_at_once_all_end_and_lists_stay_quick(clients: Clients, main: WriteMain) -> None:
    mark = f"eight-{clients.transport}"
    path = main("import time; time.sleep(2)")
    jobs = [clients.submit(path, labels={"mark": mark}) for _ in range(8)]
    took = []
    for _ in range(40):
        began = time.monotonic()
        found = list(clients.jobs.list_jobs(request={**PLACE, "filter": f"labels.mark = {mark}"}))
        took.append(time.monotonic() - began)
        assert len(found) == 8
    assert sorted(took)[37] < 1.0  # p95
    assert [clients.ended(job).status.state for job in jobs] == [State.DONE] * 8
