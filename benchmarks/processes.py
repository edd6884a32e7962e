"""Run a command as a process tree of its own: its wall seconds, its peak memory, and an end to it when it is stuck."""

import os
import platform
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TextIO

import psutil

EVERY_SECONDS = 0.2
CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Measured:
    """What became of a process tree.

    Attributes:
        seconds: wall seconds from start to end.
        peak_bytes: the largest sum of resident memory over the tree, looked at every 0.2 s. Pages that processes
            share are counted once for each, so the sum is rather too large than too small.
        exit_code: of the command itself; negative: the signal that ended it.
        stopped: whether it was silent for too long and killed.
        lines: what it wrote to stdout.
    """

    seconds: float
    peak_bytes: int
    exit_code: int
    stopped: bool
    lines: list[str]


def tree(pid: int) -> list[psutil.Process]:
    """The process and everything that descends from it, as far as it is still there."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def resident_bytes(pid: int) -> int:
    """Resident memory of the whole tree of `pid`.

    A child that a JVM starts is the JVM once more, memory and all, until it runs a program of its own: for milliseconds
    the sum would be twice what it is. Such a child has its parent's command line and address space, and is left out.
    """
    seen: dict[int, tuple[list[str], int]] = {}
    total = 0
    for process in tree(pid):
        try:
            memory = process.memory_info()
            own = (process.cmdline(), memory.vms)
            copied = seen.get(process.ppid()) == own
        except psutil.Error:  # it ended between the listing and this look
            continue
        seen[process.pid] = own
        total += 0 if copied else memory.rss
    return total


def run(
    command: Sequence[str],
    log: Path,
    *,
    folder: Path,
    env: dict[str, str],
    silence: float | None = None,
    on_line: Callable[[str], None] = lambda _: None,
) -> Measured:
    """Run `command` in `folder` and look after it until it ends.

    Args:
        command: the program and its arguments.
        log: file for stderr; stdout goes beside it, to the same name with ".out".
        folder: working directory.
        env: set on top of the environment here.
        silence: kill the tree when stdout stays without a new line for so many seconds.
        on_line: called with each line of stdout soon after it was written.
    """
    out = log.with_suffix(".out")
    lines: list[str] = []
    peak, stopped = 0, False
    began = last_line = time.monotonic()
    with log.open("ab") as err, out.open("wb") as sink, out.open(encoding="utf-8", errors="replace") as source:
        process = subprocess.Popen(
            command, stdout=sink, stderr=err, cwd=folder, env={**os.environ, **env}, start_new_session=True
        )
        try:
            while True:
                ended = process.poll() is not None  # before the reading, so that the last lines are not lost
                for line in _complete_lines(source):
                    last_line = time.monotonic()
                    lines.append(line)
                    on_line(line)
                if ended:
                    break
                peak = max(peak, resident_bytes(process.pid))
                if silence is not None and time.monotonic() - last_line > silence:
                    stopped = True
                    kill(process)
                time.sleep(EVERY_SECONDS)
        finally:
            kill(process)
    return Measured(time.monotonic() - began, peak, process.wait(), stopped, lines)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a command that is still running, with its process group and with descendants that left it (Spark's do)."""
    if process.poll() is not None:
        return
    descendants = tree(process.pid)
    os.killpg(process.pid, signal.SIGKILL)
    for descendant in descendants:
        try:
            descendant.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()


def machine() -> dict[str, str | int | float]:
    """What the figures were taken on."""
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr.splitlines()
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "cpu": _cpu_model(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "java": java[0] if java else "",
        **{package: version(package) for package in ("pyspark", "mlflow", "scikit-learn", "numpy", "pandas")},
        "load_at_start": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    if CPU_INFO.exists():
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _complete_lines(source: TextIO) -> list[str]:
    """Lines that were finished since the last look; half a line is left for the next one."""
    lines: list[str] = []
    while True:
        start = source.tell()
        line = source.readline()
        if not line.endswith("\n"):
            source.seek(start)
            return lines
        lines.append(line.rstrip("\n"))
