"""One attempt of a job's driver, found again by its folder whatever became of the server that started it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from dataproc.wrapper import CHILD, CLAIM, EXIT, SPEC, signal_group, write_new

WRAPPER = Path(__file__).with_name("wrapper.py")
START_SECONDS = 60.0
SAME_SECONDS = 1.0


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended: the driver's exit code (negative: the signal that killed it), or why there is none."""

    code: int | None
    lost: str = ""

    @property
    def fine(self) -> bool:
        """Whether the driver ran and exited with 0."""
        return self.code == 0 and not self.lost

    def reason(self) -> str:
        """One line for people."""
        if self.code is None or self.lost:
            return self.lost
        if self.code < 0:
            return f"Driver was killed by signal {-self.code} ({signal.Signals(-self.code).name})"
        return f"Driver exited with code {self.code}"


class Attempt:
    """The attempt whose files are in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self, command: Sequence[str], env: Mapping[str, str], cwd: Path, output: Path, patience: float) -> None:
        """Start the driver, unless an earlier call did; returns when it is certain that it was started once.

        Args:
            patience: seconds between SIGTERM and SIGKILL when it is stopped.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        spec = {
            "command": list(command),
            "env": dict(env),
            "cwd": str(cwd),
            "output": str(output),
            "patience": patience,
        }
        partial = self.folder / f"{SPEC}.partial"
        partial.touch(mode=0o600)  # the environment may hold secrets
        partial.write_text(json.dumps(spec), encoding="utf-8")
        partial.replace(self.folder / SPEC)
        with (self.folder / "wrapper.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(WRAPPER), str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + START_SECONDS
        while not (self.folder / CLAIM).exists():
            if self._process.poll() is not None or time.monotonic() > until:
                self.forbid("Driver could not be started: see wrapper.log in the server's folder")
                return
            time.sleep(0.02)

    def forbid(self, reason: str) -> None:
        """Let the attempt never start, if it did not yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if write_new(self.folder / CLAIM, {"pid": 0, "created": 0.0}):
            write_new(self.folder / EXIT, {"code": 0, "error": reason})

    def outcome(self) -> Outcome | None:
        """How it ended; None while it runs."""
        if self._process is not None:
            self._process.poll()  # else a dead wrapper stays a zombie
        alive = self._alive(CLAIM)
        ended = self._read(EXIT)
        if ended:
            return Outcome(ended["code"], ended.get("error", ""))
        if alive:
            return None
        if self._alive(CHILD):  # nobody would ever know how it ends
            signal_group(int(self._read(CHILD)["pid"]), signal.SIGKILL)
        return Outcome(None, "Driver lost: the process that watched over it was killed")

    def stop(self) -> None:
        """Ask it to stop; `outcome` tells when it did."""
        if self._alive(CLAIM):
            with suppress(ProcessLookupError):
                os.kill(int(self._read(CLAIM)["pid"]), signal.SIGTERM)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            content = json.loads((self.folder / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return dict(content)

    def _alive(self, name: str) -> bool:
        """Whether the process that a file names lives: the same one, not a later one of its pid, and no zombie."""
        noted = self._read(name)
        try:
            process = psutil.Process(int(noted["pid"])) if noted.get("pid") else None
            return (
                process is not None
                and abs(process.create_time() - noted["created"]) < SAME_SECONDS
                and process.status() != psutil.STATUS_ZOMBIE
            )
        except psutil.NoSuchProcess:
            return False
