"""Ends that were asked for: a drain, SIGTERM to Python and to spark-submit; and storage that does not take a write."""

import json
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

from chaos.place import Place
from chaos.stream import SCRIPT, Broken, Stream

LARGE_BATCH = 10_000
LOCAL_MASTER = "local[2]"


def drain(place: Place) -> None:
    """Asked to drain within a batch: 0, and the batch is complete; the next life goes on."""
    stream = _in_a_large_batch(place)
    request = place.checkpoint / "control" / "drain"
    request.parent.mkdir(exist_ok=True)
    request.write_text(json.dumps({"asked": time.time()}))
    stream.ends(0)
    _is_complete(place, "a drain")
    place.settle()


def terminated_python(place: Place) -> None:
    """SIGTERM to the Python process within a batch: 143, and the batch is complete."""
    stream = _in_a_large_batch(place)
    os.kill(stream.process.pid, signal.SIGTERM)
    stream.ends(128 + signal.SIGTERM)
    _is_complete(place, "SIGTERM")
    place.settle()


def terminated_submit(place: Place) -> None:
    """SIGTERM to spark-submit within a batch: 143, and the next life completes what was cut."""
    stream = _in_a_large_batch(place, master=LOCAL_MASTER)
    os.kill(stream.process.pid, signal.SIGTERM)
    stream.ends(128 + signal.SIGTERM)
    place.settle()


def output_below_a_file(place: Place) -> None:
    """The output's parent is a plain file."""
    _below_a_file(place, "output_path")


def checkpoint_below_a_file(place: Place) -> None:
    """The checkpoint's parent is a plain file."""
    _below_a_file(place, "checkpoint")


def full_output(place: Place) -> None:
    """Files cannot grow beyond 8 kB (ulimit -f): checkpoints still can be written, Parquet cannot."""
    _full(place, 8_192)


def full_everything(place: Place) -> None:
    """Files cannot grow beyond 16 bytes: neither lease nor checkpoint nor output can be written."""
    _full(place, 16)


def _in_a_large_batch(place: Place, master: str = "") -> Stream:
    place.feed(100)
    stream = place.start(max_offsets_per_trigger=LARGE_BATCH, master=master)
    place.await_batch(stream, 0)
    place.feed(2 * LARGE_BATCH)
    before = max(place.manifests())
    intents = place.checkpoint / "intents"
    stream.wait_until(lambda: (intents / f"{before + 1}.json").exists(), "to begin a batch")
    return stream


def _is_complete(place: Place, what: str) -> None:
    begun = {int(path.stem) for path in place.checkpoint.glob("intents/[0-9]*.json")}
    if begun != set(place.manifests()):
        raise Broken(f"after {what} batches without manifest: {sorted(begun - set(place.manifests()))}")
    uncommitted = [number for number in begun if not (place.checkpoint / "commits" / str(number)).exists()]
    if uncommitted:
        raise Broken(f"after {what} batches without commit: {uncommitted}")


def _below_a_file(place: Place, setting: str) -> None:
    obstacle = place.folder / "obstacle"
    obstacle.write_text("not a folder")
    place.feed(200)
    changed: dict[str, Any] = {setting: obstacle / "below", "batch_retry_seconds": 3}
    if setting == "output_path":
        place.output, place.dead = obstacle / "below", obstacle / "below-dead-letters"
    else:
        place.checkpoint = obstacle / "below"
    place.start(**changed).fails(str(obstacle))
    obstacle.unlink()
    place.settle(place.start(**changed))


def _full(place: Place, limit: int) -> None:
    place.feed(200)
    stream = place.start(batch_retry_seconds=3)
    place.await_all(stream)
    for pid in _processes(stream):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, limit))
    place.feed(1_000)
    code = stream.wait()
    said = [line for line in stream.text.splitlines() if line.startswith(f"{SCRIPT}: error: ")]
    if code <= 0 or len(said) != 1:
        raise Broken(f"want a non-zero end and one line, got {code} and {said}")
    place.settle()


def _processes(stream: Stream) -> list[int]:
    """The driver and its JVM: its process group."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(path.name)) == stream.process.pid:
                found.append(int(path.name))
        except ProcessLookupError:
            continue
    return found
