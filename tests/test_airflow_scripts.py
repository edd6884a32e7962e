"""The scripts of airflow/ say what they do and what they want; nothing is started."""

import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import airflow_home
import daemons
import psutil
import pytest
from services import ROOT

PID = "standalone.pid"
SCRIPTS = ("setup_local.sh", "start_services.sh", "stop_services.sh", "setup.sh")
STAND_IN = """
import os, signal, time
os.setsid()
signal.signal(signal.SIGINT, signal.SIG_IGN)
if task := os.fork():
    os.setpgid(task, task)  # as Airflow does with each of its tasks
    print(task, flush=True)
time.sleep(100)
"""


def run(script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "airflow" / script), *arguments]
    env = {**os.environ, "COLUMNS": "80", **variables}  # of a narrow terminal: a checkout may lie deep
    return subprocess.run(command, env=env, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_the_head_of_the_script_and_other_arguments_are_refused(script: str) -> None:
    told = run(script, "--help")
    assert told.returncode == 0
    assert f"airflow/{script}" in told.stdout
    assert "set -euo" not in told.stdout
    refused = run(script, "--hepl")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "found --hepl" in refused.stderr


def test_an_airflow_that_nobody_made_is_not_started(tmp_path: Path) -> None:
    ended = run("start_services.sh", AIRFLOW_HOME=str(tmp_path))
    assert ended.returncode == 1
    assert f"want an Airflow home at {tmp_path}, found none: airflow/setup_local.sh makes it" in ended.stderr


@pytest.mark.parametrize("port", ["http", "0", "080", "65536", "99999", "1e3"])
@pytest.mark.parametrize(("script", "words"), [("setup_local.sh", []), ("setup.sh", ["--no-start"])])
def test_a_port_that_is_none_is_named_before_anything_is_made(
    tmp_path: Path, script: str, words: list[str], port: str
) -> None:
    (tmp_path / "airflow").mkdir()
    for name in (script, "home.sh"):  # a copy, for the day on which such a port is taken: no checkout to set up
        shutil.copy(ROOT / "airflow" / name, tmp_path / "airflow")
    before = set(tmp_path.rglob("*"))
    env = {**os.environ, "AIRFLOW_HOME": str(tmp_path / "home"), "AIRFLOW_PORT": port}
    command = [str(tmp_path / "airflow" / script), *words]
    ended = subprocess.run(command, env=env, check=False, capture_output=True, text=True)
    assert (ended.returncode, set(tmp_path.rglob("*"))) == (2, before)
    assert ended.stderr.endswith(f": want AIRFLOW_PORT to be a port number from 1 to 65535, found {port}\n")


def test_a_home_keeps_its_port_and_its_login_unless_another_port_is_given(tmp_path: Path) -> None:
    def port(*given: int) -> str:
        airflow_home.write_shell(tmp_path, *given)
        lines = (tmp_path / "env").read_text(encoding="utf-8").splitlines()
        return next(line.partition("=")[2] for line in lines if line.startswith("export AIRFLOW__API__BASE_URL="))

    assert port() == "http://127.0.0.1:8080"
    (tmp_path / "passwords.json").write_text('{"admin": "changed"}', encoding="utf-8")
    assert port(8090) == port() == "http://127.0.0.1:8090"
    assert port(8091) == "http://127.0.0.1:8091"
    assert (tmp_path / "passwords.json").read_text(encoding="utf-8") == '{"admin": "changed"}'


def test_a_number_too_large_for_a_port_is_one_line(tmp_path: Path) -> None:
    airflow_home.write_shell(tmp_path, 99999)
    ended = run("start_services.sh", AIRFLOW_HOME=str(tmp_path))
    line = "start_services: want AIRFLOW_PORT for airflow/setup_local.sh to be a port from 1 to 65535, found 99999\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", line)


def test_a_port_that_another_program_has_is_told_and_nothing_starts(tmp_path: Path) -> None:
    (tmp_path / PID).write_text(str(os.getpid()), encoding="utf-8")  # a stranger has the number of one that has ended
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        airflow_home.write_shell(tmp_path, port)
        ended = run("start_services.sh", AIRFLOW_HOME=str(tmp_path))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"start_services: want port {port} on 127.0.0.1, but another program has it")
    assert ended.stderr.endswith("or set AIRFLOW_PORT for airflow/setup_local.sh to a free port\n")


class Slow(http.server.BaseHTTPRequestHandler):
    """An Airflow whose parts are healthy when it is asked for the second time."""

    asked = 0

    def do_GET(self) -> None:
        Slow.asked += 1
        status = "healthy" if Slow.asked > 1 else "unhealthy"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"scheduler": {"status": status}}).encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_a_second_start_waits_for_the_airflow_that_was_started_where_that_listens(tmp_path: Path) -> None:
    sleeping = [sys.executable, "-c", "import time; time.sleep(60)", "airflow/standalone.py"]
    with (
        socket.create_server(("127.0.0.1", 0)) as other,  # held, so that nothing can be started there
        http.server.HTTPServer(("127.0.0.1", 0), Slow) as server,
        subprocess.Popen(sleeping) as process,
    ):
        new_port = other.getsockname()[1]
        airflow_home.write_shell(tmp_path, new_port)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        (tmp_path / PID).write_text(f"{process.pid} {address}\n", encoding="utf-8")
        ended = run("start_services.sh", AIRFLOW_HOME=str(tmp_path), START_SECONDS="20")
        process.kill()
        server.shutdown()
    assert (ended.returncode, ended.stderr, Slow.asked) == (0, "", 2)
    assert ended.stdout == (
        f"start_services: it runs already, at {address}\n"
        f"start_services: http://127.0.0.1:{new_port} counts after airflow/stop_services.sh\n"
    )


def test_a_relative_home_counts_from_the_caller(tmp_path: Path) -> None:
    command, env = [str(ROOT / "airflow" / "stop_services.sh")], {**os.environ, "AIRFLOW_HOME": "home"}
    ended = subprocess.run(command, env=env, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert ended.stdout == f"stop_services: nothing was started in {tmp_path}/home\n"


def test_sigint_counts_while_airflow_is_still_loading(tmp_path: Path) -> None:
    (tmp_path / "airflow").mkdir()
    slow = "import time\nprint('loading', flush=True)\ntime.sleep(60)\n"
    (tmp_path / "airflow" / "__init__.py").write_text(slow, encoding="utf-8")
    shell = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-P", str(ROOT / "airflow" / "standalone.py")]
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(shell, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "loading\n"
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(20) == 130
        finally:
            process.kill()


def test_stopping_ends_no_stranger_and_leaves_the_note_of_make_up(tmp_path: Path) -> None:
    (tmp_path / "airflow.pid").write_text('{"pid": 1}', encoding="utf-8")
    assert "nothing was started" in run("stop_services.sh", AIRFLOW_HOME=str(tmp_path)).stdout
    (tmp_path / PID).write_text(str(os.getpid()), encoding="utf-8")
    assert "it had ended already" in run("stop_services.sh", AIRFLOW_HOME=str(tmp_path)).stdout
    assert [path.name for path in tmp_path.iterdir()] == ["airflow.pid"]


def test_an_airflow_that_does_not_end_is_killed_with_its_tasks(tmp_path: Path) -> None:
    stand_in = tmp_path / "airflow" / "standalone.py"
    stand_in.parent.mkdir()
    stand_in.write_text(STAND_IN, encoding="utf-8")
    with subprocess.Popen([sys.executable, str(stand_in)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        family = [psutil.Process(process.pid), psutil.Process(int(process.stdout.readline()))]
        try:
            (tmp_path / PID).write_text(str(process.pid), encoding="utf-8")
            ended = run("stop_services.sh", AIRFLOW_HOME=str(tmp_path), STOP_SECONDS="0")
            assert ended.stderr == "stop_services: it goes on 0 s after SIGINT, and is killed with its children\n"
            assert [each for each in family if daemons.lives(each)] == []
        finally:
            daemons.end(family, 0)
    assert (ended.returncode, ended.stdout) == (0, "stop_services: ended\n")
