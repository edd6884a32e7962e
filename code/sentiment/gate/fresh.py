"""The trial in a process of its own: started, watched, and its end explained whatever it was."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import psutil

import sentiment
from sentiment.gate import child
from sentiment.gate.trial import Request, Trial
from sentiment.jobs import DataError
from sentiment.roles import CHALLENGER

SCREEN = 2  # the descriptor of stderr: what a script is read for goes to stdout
LOG = "trial.log"
MAX_LINE = 200


class EndedEarlyError(Exception):
    """The process ended, or was ended, before it had a whole result.

    Attributes:
        role: of the version that it was busy with; empty: neither.
        seen: what it had found by then.
    """

    def __init__(self, role: str, seen: Trial, reason: str) -> None:
        super().__init__(reason)
        self.role, self.seen = role, seen


def run(request: Request, seconds: int) -> Trial:
    """Try both versions; a version that ends the process is unfit, and a champion that does so is left out.

    Args:
        request: what to try.
        seconds: after which a process is stopped.

    Raises:
        DataError: the validation data cannot be used, Spark does not start, or the process ended before it had come to
            either version.
    """
    unfit: dict[str, str] = {}
    try:
        return _run(request, seconds)
    except EndedEarlyError as error:
        found = error.seen
        unfit[_guilty(error)] = str(error)
    if CHALLENGER not in unfit:
        try:
            found = _run(replace(request, champion=""), seconds)
        except EndedEarlyError as error:
            unfit[_guilty(error)] = str(error)
    found.unfit |= unfit
    return found


def _guilty(error: EndedEarlyError) -> str:
    """The role of the version that ended the process; DataError: that was none of them."""
    if not error.role:
        raise DataError(str(error)) from error
    return error.role


def _run(request: Request, seconds: int) -> Trial:
    with tempfile.TemporaryDirectory(prefix="sentiment-trial-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / child.REQUEST).write_text(json.dumps(asdict(request)), encoding="utf-8")
        with (folder / LOG).open("wb") as log:
            command = [sys.executable, "-m", child.__name__, name]
            process = subprocess.Popen(command, stdout=SCREEN, stderr=log, env=_environment())
        try:
            code: int | None = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end(process)
        if (folder / child.RESULT).exists():
            return child.load(folder)
        raise _ended_early(folder, code, seconds)


def _environment() -> dict[str, str]:
    """This process's own, with the package where `-m` finds it, and without a JVM to share."""
    package = str(Path(sentiment.__file__).parent.parent)
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    shared = ("PYSPARK_GATEWAY_PORT", "PYSPARK_GATEWAY_SECRET")
    kept = {name: value for name, value in os.environ.items() if name not in shared}
    return {**kept, "PYTHONPATH": os.pathsep.join(paths)}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process that is still there, with its JVM and workers."""
    if process.poll() is not None:
        return
    try:
        whole = psutil.Process(process.pid)
        family = [*whole.children(recursive=True), whole]
    except psutil.NoSuchProcess:
        family = []
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()


def _ended_early(folder: Path, code: int | None, seconds: int) -> EndedEarlyError:
    step = {"role": "", "doing": "starting Python"}
    if (folder / child.STEP).exists():
        step = json.loads((folder / child.STEP).read_text(encoding="utf-8"))
    if code is None:
        how = f"was stopped after {seconds} s (--trial-seconds)"
    elif code == child.JVM_GONE:
        how = "lost its JVM, for want of memory perhaps,"
    elif code == -signal.SIGKILL:
        how = "was ended by SIGKILL, for want of memory perhaps,"
    elif code < 0:
        how = f"was ended by {signal.Signals(-code).name}"
    else:
        how = f"ended with exit code {code}"
    last = [line for line in (folder / LOG).read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    told = f"; its last line: {last[-1].strip()[:MAX_LINE]}" if last and code is not None else ""
    seen = child.load(folder, child.SEEN) if (folder / child.SEEN).exists() else Trial()
    return EndedEarlyError(step["role"], seen, f"the trial's process {how} while {step['doing']}{told}")
