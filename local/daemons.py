"""A detached process, found again by its pid file: started, watched, stopped, frozen, killed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM
from typing import Any

import psutil
from services import ServiceError

STOP_SECONDS = 60.0
POLL_SECONDS = 0.1
HEARTBEAT_SECONDS = 10
MARK = "SENTIMENT_SERVICE"  # in the environment of a daemon and of all that it starts: its pid file


def wait_until(name: str, daemons: "Daemon | Sequence[Daemon]", is_healthy: Callable[[], bool], seconds: float) -> None:
    """Wait for a service that was started; ServiceError with the end of a log if one ends or it takes too long."""
    all_of_it = [daemons] if isinstance(daemons, Daemon) else daemons
    began = told = time.monotonic()
    while not is_healthy():
        now = time.monotonic()
        ended = [daemon for daemon in all_of_it if daemon.pid() is None]
        if ended or now - began > seconds:
            what = "it ended while it started" if ended else f"no answer after {seconds:.0f} s"
            telling = ended[0] if ended else all_of_it[0]
            raise ServiceError(f"{name}: {what}; the end of {telling.log_file}:\n{telling.tail()}")
        if now - told >= HEARTBEAT_SECONDS:
            told = now
            print(f"{name}: starting, {now - began:.0f} s", file=sys.stderr, flush=True)
        time.sleep(POLL_SECONDS)


def lives(process: psutil.Process) -> bool:
    """Whether a process is there and no zombie: in a container nobody may ever collect those."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end(processes: Sequence[psutil.Process], patience: float = 5.0) -> None:
    """SIGTERM, wait for processes to end, SIGKILL after `patience` seconds."""
    until = time.monotonic() + patience
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    while left := [process for process in processes if lives(process)]:
        if time.monotonic() > until:
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        time.sleep(POLL_SECONDS)


class Daemon:
    """A process in a session of its own, with `<folder>/<name>.pid` and `<folder>/<name>.log`.

    The pid file holds the process's start time too: a pid that the system gave to another program since is never
    taken for ours.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.pid_file = folder / f"{name}.pid"
        self.log_file = folder / f"{name}.log"
        self._child: subprocess.Popen[bytes] | None = None

    def pid(self) -> int | None:
        """The pid of the running process, or None."""
        note = self.note()
        if self._child is not None:
            self._child.poll()  # a dead child of ours stays a zombie until it is asked for
        identity = _identity(note["pid"]) if note else None
        return int(note["pid"]) if note and identity and identity == note.get("identity") else None

    def note(self) -> dict[str, Any] | None:
        """What was noted when the process was started: pid, identity and the caller's own details."""
        try:
            note = json.loads(self.pid_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return note if isinstance(note, dict) and isinstance(note.get("pid"), int) else None

    def start(
        self, command: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path | None = None, **details: Any
    ) -> int:
        """Start `command` with its output in the log file (the one before is kept as .log.1); its pid."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.log_file.exists():
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        marked = {**(os.environ if env is None else env), MARK: str(self.pid_file)}
        with self.log_file.open("wb") as log:
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=marked, cwd=cwd, start_new_session=True
            )
        note = {"pid": self._child.pid, "identity": _identity(self._child.pid), **details}
        partial = self.pid_file.with_suffix(".pid.partial")
        partial.write_text(json.dumps(note), encoding="utf-8")
        partial.replace(self.pid_file)
        return self._child.pid

    def family(self) -> list[psutil.Process]:
        """The living processes of its session, itself too; also those that a killed daemon left behind.

        What it started into a session of their own is not among them, nor is a stranger: the mark tells.
        """
        note = self.note()
        return self.marked(note["pid"]) if note else []

    def marked(self, session: int | None = None) -> list[psutil.Process]:
        """The living processes that it started, and those that these did, in any session or the one given.

        No pid file is wanted: the mark tells.
        """
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                asked = session is None or os.getsid(process.pid) == session
                if asked and process.environ().get(MARK) == str(self.pid_file):
                    found.append(process)
        return found

    def memory(self) -> int:
        """Bytes of memory of the family; where the system tells, pages shared by several are counted once."""
        total = 0
        for process in self.family():
            with suppress(psutil.Error):
                full = process.memory_full_info()
                total += getattr(full, "pss", 0) or full.rss
        return total

    def signal(self, number: int) -> bool:
        """Send a signal to our process, and to no other; whether there was one."""
        pid = self.pid()
        if pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        return True

    def stop(self, patience: float = STOP_SECONDS, number: int = SIGTERM) -> bool:
        """SIGTERM or the signal given, wait, SIGKILL after `patience` seconds; whether it ended of its own accord."""
        clean = True
        if self.signal(number) and not self.wait(patience):
            clean = False
            self.kill()
        self.pid_file.unlink(missing_ok=True)
        return clean

    def freeze(self) -> None:
        """SIGSTOP; returns when every thread has stopped: one that has not yet been told still answers. `thaw` ends it.

        Raises:
            ServiceError: there is no process, or it goes on for STOP_SECONDS.
        """
        self.signal(SIGSTOP)
        until = time.monotonic() + STOP_SECONDS
        while not ((pid := self.pid()) and _is_stopped(pid)):
            if pid is None or time.monotonic() > until:
                raise ServiceError(f"{self.name}: want a process that SIGSTOP stops, found {pid or 'none'}")
            time.sleep(POLL_SECONDS / 10)

    def thaw(self) -> None:
        """SIGCONT."""
        self.signal(SIGCONT)

    def kill(self) -> None:
        """SIGKILL, as a crash would; returns when the process is gone."""
        self.signal(SIGKILL)
        self.wait(STOP_SECONDS)

    def wait(self, patience: float) -> bool:
        """Wait for the process to end; whether it did."""
        until = time.monotonic() + patience
        while self.pid() is not None:
            if time.monotonic() > until:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def tail(self, lines: int = 15) -> str:
        """The last lines of the log."""
        try:
            text = self.log_file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:]) or "(the log is empty)"


def _identity(pid: int) -> str | None:
    """When a living process began, as text to compare; None when there is none.

    The command is no part of it: for a moment after the start it is not readable yet. A zombie is none, unless other
    threads of it live on: a killed JVM looks like a zombie for a while in which it still holds its port.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    except OSError:
        return None if Path("/proc/self/stat").exists() else _identity_by_ps(pid)
    state, began = fields[0], fields[19]  # began: in ticks since the machine was booted
    return None if state in "ZX" and threads < 2 else f"{boot} {began}"


def _is_stopped(pid: int) -> bool:
    """Whether no thread of a process goes on; where there is no /proc, whether the process says so of itself."""
    try:
        if not Path("/proc/self/stat").exists():
            return psutil.Process(pid).status() == psutil.STATUS_STOPPED
        threads = [
            path.read_text(encoding="utf-8", errors="replace") for path in Path(f"/proc/{pid}/task").glob("*/stat")
        ]
    except (OSError, psutil.NoSuchProcess):  # one has ended since the list was made, so it went on
        return False
    return {thread.rpartition(")")[2].split()[0] for thread in threads} == {"T"}


def _identity_by_ps(pid: int) -> str | None:
    """The same where there is no /proc: macOS."""
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    line = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    state, _, began = line.partition(" ")
    return began.strip() if began and not state.startswith("Z") else None
