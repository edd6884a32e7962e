"""The scripts of airflow/ say what they do and what they want; nothing is started."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import airflow_home
import pytest
from services import ROOT

PID = "standalone.pid"
SCRIPTS = ("setup_local.sh", "start_services.sh", "stop_services.sh", "setup.sh")


def run(script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "airflow" / script), *arguments]
    return subprocess.run(command, env={**os.environ, **variables}, check=False, capture_output=True, text=True)


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


def test_a_port_that_is_none_is_named_before_anything_is_made(tmp_path: Path) -> None:
    ended = run("setup_local.sh", AIRFLOW_HOME=str(tmp_path / "home"), AIRFLOW_PORT="http")
    assert (ended.returncode, (tmp_path / "home").exists()) == (2, False)
    assert "want AIRFLOW_PORT to be a port number, found http" in ended.stderr


def test_a_port_that_another_program_has_is_told_and_nothing_starts(tmp_path: Path) -> None:
    (tmp_path / PID).write_text(str(os.getpid()), encoding="utf-8")  # a stranger has the number of one that has ended
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        airflow_home.write_shell(tmp_path, port)
        ended = run("start_services.sh", AIRFLOW_HOME=str(tmp_path))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"start_services: want port {port} on 127.0.0.1, but another program has it")
    assert ended.stderr.endswith("or set AIRFLOW_PORT for airflow/setup_local.sh to a free port\n")


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
