"""The closing lines of a test run, on a real one."""

import os
import subprocess
import sys
from types import SimpleNamespace

import closing
import pytest
from services import ROOT

CLIENTS = "tests/test_clients.py::test_the_real_clients_reach_this_machine_only"
STORE = "tests/test_gcs.py::test_the_buckets_of_the_suite_are_there_and_a_second_up_leaves_what_they_hold"


def run(*words: str, **env: str) -> list[str]:
    """What pytest prints at last, its own last line left out."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-4:-1]


def test_they_say_what_was_skipped_for_want_of_a_tool() -> None:
    # A version that is in no .local/bin stands for a machine without the store.
    said = run(CLIENTS, STORE, PATH="/nowhere", GCS_VERSION="v0")
    assert "gcloud: 0 tests ran, 2 skipped because it is absent" in said
    assert "fake-gcs-server: 1 test skipped, because it is not in .local/bin and Go not on PATH" in said


def test_they_are_silent_where_no_tool_was_asked_for() -> None:
    said = run("tests/test_arguments.py")
    assert not [line for line in said if "gcloud" in line or "skipped, because" in line]


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        (f"Skipped: {closing.GCLOUD}", "gcloud: 1 test ran, 1 skipped because it is absent"),
        ("Skipped: want Chromium on PATH", "Chromium: 1 test skipped, because it is absent"),
    ],
)
def test_what_ran_and_what_was_skipped_is_counted_apart(reason: str, line: str) -> None:
    passed = SimpleNamespace(nodeid="a", keywords={"gcloud": 1}, longrepr=None)
    skipped = SimpleNamespace(nodeid="b", keywords={}, longrepr=("file", 1, reason))
    assert line in closing.lines({"passed": [passed, passed], "skipped": [skipped]})
