"""A server killed and started again finds its jobs; one that is stopped stops them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest
from daemons import lives
from dataproc.driver import WRAPPER, Attempt
from dataproc_server import PLACE, Clients, Server, State, environment, output, states, wait_for
from google.cloud import dataproc_v1 as dp


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "with space", "--cancel-seconds", "2")
    made.start()
    yield made
    if made.process is not None and made.process.poll() is None:
        made.stop()


def holds(job: dp.Job, word: str) -> bool:
    return word in output(job)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_server_killed_with_jobs_at_work_finds_them_again(server: Server, tmp_path: Path) -> None:
    first = Clients(server, "grpc")
    gate = tmp_path / "go"
    text = "import os, time\nfrom pathlib import Path\nprint('pid', os.getpid())\n"
    waits = write(
        tmp_path / "waits.py", f"{text}while not Path({str(gate)!r}).exists(): time.sleep(0.05)\nprint('end')"
    )
    quick = write(tmp_path / "quick.py", f"{text}time.sleep(1)\nraise SystemExit(7)")
    running = first.reached(first.submit(waits), State.RUNNING)
    cancelled = first.reached(first.submit(waits), State.RUNNING)
    ending = first.reached(first.submit(quick, "the-request"), State.RUNNING)
    for job in (running, cancelled, ending):
        wait_for(partial(holds, job, "pid"))
    first.jobs.cancel_job(request={**PLACE, "job_id": cancelled.reference.job_id})
    server.kill()
    time.sleep(1.5)  # one of them ends while nobody looks
    server.start()
    again = Clients(server, "rest")
    assert again.job(running.reference.job_id).status.state == State.RUNNING
    gate.touch()
    done = again.ended(running)
    assert states(done) == ["PENDING", "SETUP_DONE", "RUNNING", "DONE"]
    assert [output(done).count(word) for word in ("pid", "end")] == [1, 1]  # one driver, and the same
    failed = again.ended(ending)
    assert "exited with code 7" in failed.status.details
    assert again.ended(cancelled).status.state == State.CANCELLED
    assert again.submit(quick, "the-request").job_uuid == ending.job_uuid


def test_a_driver_whose_watcher_was_killed_is_lost_and_stopped(server: Server, tmp_path: Path) -> None:
    clients = Clients(server, "grpc")
    main = write(tmp_path / "main.py", "import os, time; print(os.getpid()); time.sleep(120)")
    job = clients.reached(clients.submit(main), State.RUNNING)
    pid = int(wait_for(lambda: output(job).splitlines()[1:])[0])
    driver = psutil.Process(pid)
    os.kill(driver.ppid(), signal.SIGKILL)
    assert "Driver lost" in clients.ended(job).status.details
    wait_for(lambda: not lives(driver))


def test_a_stopped_server_stops_its_drivers_and_exits_with_0(server: Server, tmp_path: Path) -> None:
    clients = Clients(server, "grpc")
    main = write(tmp_path / "main.py", "import os, time; print(os.getpid()); time.sleep(120)")
    job = clients.reached(clients.submit(main), State.RUNNING)
    pid = int(wait_for(lambda: output(job).splitlines()[1:])[0])
    assert server.stop() == 0
    assert not psutil.pid_exists(pid)
    server.start()
    ended = Clients(server, "grpc").job(job.reference.job_id)
    assert ended.status.state == State.ERROR
    assert "server was stopped" in ended.status.details


def test_an_attempt_launched_twice_runs_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", "print('ran')"]
    attempt = Attempt(tmp_path / "attempt")
    attempt.launch(command, dict(os.environ), tmp_path, log, 1.0)
    assert wait_for(attempt.outcome).fine
    for _ in range(2):  # as a server would that was killed before it noted the launch
        subprocess.run([sys.executable, "-P", str(WRAPPER), str(attempt.folder)], check=True)
    assert log.read_text(encoding="utf-8") == "ran\n"


def test_a_forbidden_attempt_never_runs_and_a_missing_command_says_so(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path / "forbidden")
    attempt.forbid("not wanted")
    attempt.launch([sys.executable, "-c", "print('ran')"], {}, tmp_path, tmp_path / "log", 1.0)
    subprocess.run([sys.executable, "-P", str(WRAPPER), str(attempt.folder)], check=True)
    outcome = wait_for(attempt.outcome)
    assert (outcome.fine, outcome.reason()) == (False, "not wanted")
    assert not (tmp_path / "log").exists()
    missing = Attempt(tmp_path / "missing")
    missing.launch(["/nowhere/spark-submit"], {}, tmp_path, tmp_path / "log", 1.0)
    assert wait_for(missing.outcome).reason() == "/nowhere/spark-submit: No such file or directory"


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("--grpc-port", "x", "argument --grpc-port: want a port number"),
        ("--storage-endpoint", "https://storage.googleapis.com", "argument --storage-endpoint: want http://127.0.0.1"),
        ("--conf", "spark.secret", "argument --conf: want NAME=VALUE, got ***"),
        ("--cluster", "c", "argument --cluster: want PROJECT/REGION/NAME"),
        ("--cluster", "p/us-central1/UPPER", "--cluster: cluster"),
        ("--storage-endpoint", "http://127.0.0.1:9", "--storage-endpoint: want an object store"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(tmp_path: Path, option: str, value: str, named: str) -> None:
    server = Server(tmp_path)
    command = [*server.command(), option, value]
    ran = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode in (1, 2)
    assert named in ran.stderr.splitlines()[-1]
    assert "Traceback" not in ran.stderr


def test_a_port_or_folder_in_use_is_one_line_that_names_the_setting(server: Server) -> None:
    for flag, port in (("--rest-port", server.rest_port), ("--grpc-port", server.grpc_port)):
        other = Server(server.folder / "other")
        command = [*other.command(), flag, str(port)]
        ran = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)
        assert (ran.returncode, len(ran.stderr.splitlines())) == (1, 1)
        assert ran.stderr.startswith(f"dataproc: want port {port} on 127.0.0.1, but another program has it")
        assert flag in ran.stderr
    other = Server(server.folder)
    ran = subprocess.run(other.command(), env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert ran.stderr.startswith("--folder: want one that no other server uses")
