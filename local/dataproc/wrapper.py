"""The process between server and driver: it outlives the server, and notes how the driver ended.

`python wrapper.py FOLDER` runs the command of FOLDER/spec.json once, whoever starts this program how often: the
claim is made by the first. The driver gets a process group of its own. SIGTERM here is SIGTERM to that group, and
SIGKILL after some patience.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

POLL_SECONDS = 0.1
CLAIM, CHILD, EXIT, SPEC = "claim.json", "child.json", "exit.json", "spec.json"


def identity(pid: int) -> dict[str, float]:
    """What tells a process from a later one of the same pid."""
    return {"pid": pid, "created": psutil.Process(pid).create_time()}


def write_new(path: Path, content: dict[str, Any]) -> bool:
    """Write a file whole, or leave the one that is there; whether it was written."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="utf-8", delete=False) as file:
        json.dump(content, file)
    try:
        os.link(file.name, path)
    except FileExistsError:
        return False
    finally:
        Path(file.name).unlink()
    return True


def run(folder: Path) -> None:
    """Run the command and write exit.json: the exit code, negative for a signal, or what prevented the start."""
    asked: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        asked.append(number)

    signal.signal(signal.SIGTERM, note)
    if not write_new(folder / CLAIM, identity(os.getpid())):
        return
    spec = json.loads((folder / SPEC).read_text(encoding="utf-8"))
    try:
        with Path(spec["output"]).open("ab") as output:
            driver = subprocess.Popen(
                spec["command"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=spec["env"],
                cwd=spec["cwd"],
                start_new_session=True,
            )
    except (OSError, ValueError) as error:  # ValueError: a zero byte in an argument
        why = error.strerror if isinstance(error, OSError) else error
        write_new(folder / EXIT, {"code": 127, "error": f"{spec['command'][0]}: {why}"})
        return
    write_new(folder / CHILD, identity(driver.pid))
    until = None
    while driver.poll() is None:
        if asked and until is None:
            until = time.monotonic() + spec["patience"]
            signal_group(driver.pid, signal.SIGTERM)
        elif until is not None and time.monotonic() > until:
            signal_group(driver.pid, signal.SIGKILL)
        time.sleep(POLL_SECONDS)
    signal_group(driver.pid, signal.SIGKILL)  # what the driver left behind
    write_new(folder / EXIT, {"code": driver.returncode})


def signal_group(group: int, number: int) -> None:
    """Signal a process group, if it is still there."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
