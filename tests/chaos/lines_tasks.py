"""Tasks, Python workers and executors that die in mid-batch; the model scores in Python workers here."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from chaos import cluster as clusters
from chaos import zoo
from chaos.place import Place
from chaos.stream import Broken

WORKER = "pyspark.daemon"
EXECUTOR = "CoarseGrainedExecutorBackend"
BUSY_SECONDS = 2.5
"""How long after its intent a slow batch is surely at work in its Python workers."""


def local_worker(place: Place) -> None:
    """local[2,4]: a Python worker is killed in mid-batch, its task is tried again."""
    _die(place, "local[2,4]", [WORKER])


def cluster(place: Place) -> None:
    """A standalone cluster of two workers: a Python worker, then an executor is killed in mid-batch."""
    with clusters.running(place.folder / "cluster") as made:
        _die(place, made.url(), [WORKER, EXECUTOR])


def _die(place: Place, master: str, victims: list[str]) -> None:
    place.feed(60)
    stream = place.start(master=master, model_name=zoo.PYFUNC_NAME, model_flavor="pyfunc")
    place.await_all(stream)
    for victim in victims:
        before = max(place.manifests())
        place.feed(30, f"please {zoo.SLOW_WORD} over this")
        intent = place.checkpoint / "intents" / f"{before + 1}.json"
        stream.wait_until(intent.exists, "to begin the slow batch")
        time.sleep(BUSY_SECONDS)
        if not _kill(victim):
            raise Broken(f"no {victim} to kill")
        if (place.checkpoint / "manifests" / f"{before + 1}.json").exists():
            raise Broken(f"the {victim} was killed too late: its batch was complete")
        place.await_all(stream)
    if stream.process.poll() is not None:
        raise Broken(f"the driver ended: {stream.last_line()}")
    place.settle(stream)


def _kill(name: str) -> int:
    """SIGKILL to what belongs to this process and bears that name: every Python worker, or one executor; how many."""
    mine = {pid: _command(pid) for pid in _descendants(os.getpid())}
    named = [pid for pid, command in mine.items() if name in command]
    if name == WORKER:
        named = [pid for pid in named if not _children(pid)]  # the daemon that forks them lives on
    victims = named if name == WORKER else named[:1]
    for pid in victims:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(victims)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _descendants(pid: int) -> list[int]:
    found = []
    for child in _children(pid):
        found += [child, *_descendants(child)]
    return found


def _children(pid: int) -> list[int]:
    said = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in said.stdout.split()]
