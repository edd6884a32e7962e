"""Models that must not go live, models that follow each other quickly, a registry that does not answer."""

import itertools
import subprocess
import sys
import time

from services import ROOT, free_port

from chaos import checks, zoo
from chaos.away import Gate, Server
from chaos.place import UNDER_LOAD, Place, metrics
from chaos.stream import RUNS, Broken, Stream
from sentiment.live.entries import PROMOTED
from sentiment.live.opening import open_ledger

SWAPS = 20
AWAY_SECONDS = 60.0
STALENESS = "sentiment_model_staleness_seconds"


def bad_models(place: Place) -> None:
    """The champion is moved to each kind of bad model; the old one goes on serving, and says why."""
    place.feed(100)
    stream = place.running(max_offsets_per_trigger=UNDER_LOAD)
    with place.load(60):
        for fault, version in place.world.zoo.bad.items():
            place.world.zoo.set_champion(version)
            stream.wait_for(f"version {version} is not taken live", 60)
            place.await_rows(stream, place.rows_done() + 50, 60)
            noted = place.world.zoo.client.get_model_version(zoo.NAME, version).tags
            if not noted.get("serving_rejected"):
                raise Broken(f"{fault}: no reason stands at version {version}")
    place.settle(stream)
    versions = set(checks.rows(place.output)["model_version"])
    if versions != {"1"}:
        raise Broken(f"want version 1 on every row, found {sorted(versions)}")


def bad_at_start(place: Place) -> None:
    """The champion is a bad model when the driver starts: the last good copy serves."""
    place.feed(100)
    stream = place.running()
    place.await_batch(stream, 0)
    stream.kill()
    place.world.zoo.set_champion(place.world.zoo.bad["corrupt"])
    place.feed(100)
    place.settle()
    versions = set(checks.rows(place.output)["model_version"])
    if versions != {"1"}:
        raise Broken(f"want version 1 on every row, found {sorted(versions)}")


def swaps(place: Place) -> None:
    """The champion moves again and again under load."""
    place.feed(100)
    stream = place.running(max_offsets_per_trigger=UNDER_LOAD)
    place.await_batch(stream, 0)
    said = len(stream.text)
    with place.load(150):
        for number in range(SWAPS):
            version = str(1 + (number + 1) % zoo.GOOD)
            words = f"for version {version}"
            seen = stream.text.count(words)
            place.world.zoo.set_champion(version)
            stream.wait_for(words, 60, seen + 1)
    if "failed, trying again" in stream.text[said:]:
        raise Broken("a batch failed under the swaps")
    place.settle(stream)
    swapped = stream.text.count("swapping chaos-best version")
    if swapped != SWAPS:
        raise Broken(f"want {SWAPS} swaps, counted {swapped}")


def promoted(place: Place) -> None:
    """A promotion and a rollback under load: the stream follows both, and the ledger explains every row."""
    record = place.folder / "ledger"
    live = open_ledger(place.world.zoo.client, zoo.NAME, str(record))
    live.settle()
    place.feed(100)
    stream = place.running(max_offsets_per_trigger=UNDER_LOAD)
    place.await_batch(stream, 0)
    with place.load(60):
        live.move(PROMOTED, "2", live="1", seen=1, previous="1", reason="a chaos line", evidence={})
        stream.wait_for("version 1 for version 2", 60)
        place.await_rows(stream, place.rows_done() + 50, 60)
        _tool(place, "rollback-model.py", "--reason", "a chaos line")
        stream.wait_for("version 2 for version 1", 60)
        place.await_rows(stream, place.rows_done() + 50, 60)
    place.settle(stream)
    by_batch = [manifest["model_version"] for _, manifest in sorted(place.manifests().items())]
    served = [version for version, _ in itertools.groupby(by_batch)]
    if served != ["1", "2", "1"]:
        raise Broken(f"want versions 1, 2 and 1 again, batch by batch, found {served}")
    lag = ("--grace-seconds", "30", "--max-lag-seconds", "90")
    _tool(place, "model-history.py", "--check", str(place.output), *lag)


def _tool(place: Place, script: str, *arguments: str) -> None:
    """Run one of ci-cd's scripts on the line's own ledger."""
    registry = ("--mlflow-uri", place.world.zoo.uri, "--model-name", zoo.NAME, "--ledger", str(place.folder / "ledger"))
    command = [sys.executable, str(ROOT / "ci-cd" / script), *registry, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    if done.returncode:
        raise Broken(f"{script} {' '.join(arguments)} ended with {done.returncode}: {done.stderr[-300:]}")


def registry_absent(place: Place) -> None:
    """No registry when the driver starts: without a copy it ends; with the last good copy it serves."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    place.feed(100)
    began = time.monotonic()
    place.start(mlflow_uri=nowhere).fails("registry")
    if time.monotonic() - began > 90:
        raise Broken("the driver took more than 90 s to miss its registry")
    stream = place.running()
    place.await_all(stream)
    stream.kill()
    place.feed(100)
    port = free_port()
    stream = place.start(mlflow_uri=nowhere, metrics_port=port)
    stream.wait_for("serving the last good copy").wait_for(RUNS)
    place.await_all(stream)
    before = metrics(port, STALENESS)
    time.sleep(3)
    if metrics(port, STALENESS) < before + 2:
        raise Broken("staleness does not grow while the registry is away")
    place.settle(stream)


def registry_away(place: Place) -> None:
    """A real MLflow server: gone for a minute while the stream runs, answering 500, hanging, and back."""
    with Server(place.folder, place.world.zoo.uri) as server, Gate(server.port) as gate:
        place.feed(100)
        port = free_port()
        address = f"http://127.0.0.1:{gate.port}"
        stream = place.running(mlflow_uri=address, metrics_port=port, max_offsets_per_trigger=UNDER_LOAD)
        with place.load(40):
            for mode, seconds in (("refuse", AWAY_SECONDS), ("fail", 15.0), ("hang", 15.0)):
                _while_away(place, stream, gate, mode, seconds, port)
            place.world.zoo.set_champion("2")
            stream.wait_for("for version 2", 90)
            if metrics(port, STALENESS) > 30:
                raise Broken("staleness goes on growing although the registry is back")
        place.settle(stream)


def _while_away(place: Place, stream: Stream, gate: Gate, mode: str, seconds: float, port: int) -> None:
    gate.mode = mode
    time.sleep(seconds / 2)
    seen = place.rows_done()
    time.sleep(seconds / 2)
    if place.rows_done() <= seen:
        raise Broken(f"no batch was completed while the registry would {mode}")
    stale = metrics(port, STALENESS)
    if stale < seconds - 10:
        raise Broken(f"the registry would {mode} for {seconds:.0f} s, /metrics says {stale:.0f} s")
    if stream.process.poll() is not None:
        raise Broken(f"the stream ended while the registry would {mode}: {stream.last_line()}")
    gate.mode = "pass"
    stream.wait_until(lambda: metrics(port, STALENESS) < 10, "to hear from the registry again", 90)
