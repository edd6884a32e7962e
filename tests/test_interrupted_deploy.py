"""What a deploy does in its drain, and what it leaves behind when it is interrupted; gcloud's answers are stand-ins."""

import os
import signal
import subprocess

import pytest
from services import ROOT

SOURCED = "set -euo pipefail; NAME=t; for file in lib jobs stream; do . ci-cd/$file.sh; done"
SETTINGS = "REGION=r CLUSTER=c stream=s settings=0 revision=1 checkpoint=gs://c/s arguments=(x) timeout=60 staged=x"
ANSWERS = """
LOOK_SECONDS=0.1
cloud() {
  case "$*" in
    *pysparkJob.args*) answer=$'--checkpoint\\ngs://c/s' ;;
    *describe*) echo looked; answer=RUNNING ;;
    *) answer='' ;;
  esac
}
"""
DRAIN = "running=old; drain_running"
SUBMIT = "submit_stream; wait_until_healthy"
# The child says it: a signal between bash's own word and the start of a child would find bash alone, and wait for it.
HANGS = "submit() { sh -c 'echo submits; exec sleep 60'; }"
TOLD = "t: stream s was told to end and nothing was submitted; the same command again starts it"
UNSURE = "t: job serving-s-0-1 may be submitted or not; the same command again waits for it or submits it"
GOES_ON = "t: job serving-s-0-1 goes on; to end it: gcloud dataproc jobs kill serving-s-0-1 --region=r"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(
    ("steps", "sign", "line"),
    [
        (DRAIN, "looked\n", TOLD),
        (f"{HANGS}; {SUBMIT}", "submits\n", UNSURE),
        (SUBMIT, "looked\n", GOES_ON),
    ],
)
def test_an_interruption_is_told_from_the_drain_on(
    steps: str, sign: str, line: str, number: signal.Signals, code: int
) -> None:
    shell = ["bash", "-c", f"{SOURCED}; {SETTINGS}{ANSWERS}{steps}"]
    with subprocess.Popen(
        shell, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert sign in iter(process.stdout.readline, "")
        os.killpg(process.pid, number)
        err = process.communicate(timeout=20)[1]
    # bash may name a child that a signal has ended, before its own trap.
    assert (err.splitlines()[-1:], process.returncode) == ([line], code)


def test_a_job_that_has_ended_meanwhile_is_asked_nothing() -> None:
    # The request would stay behind, and end the job that another deploy has submitted.
    ended = ANSWERS.replace("answer=RUNNING", "answer=DONE")
    ask = 'put() { echo "asked at $1"; }'
    shell = ["bash", "-c", f"{SOURCED}; {SETTINGS}{ended}{ask}; {DRAIN}"]
    said = subprocess.run(shell, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert said == ["t: job old is asked to complete its batch and end", "looked", "t: job old is DONE after 0 s"]
