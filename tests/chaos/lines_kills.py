"""kill -9 at named points and at random moments; commits deleted; a model moved in the middle of a batch."""

import time
from collections.abc import Callable
from functools import partial

import pandas as pd

from chaos import checks
from chaos.place import UNDER_LOAD, Place
from chaos.stream import RUNS, Broken

POINTS = ("after-offsets", "after-parquet", "after-kafka", "after-manifest")
EARLY_SHARE = 0.2
"""Of the random kills, those that may hit the start, the wait for the lease too."""

MOST_SECONDS_UNDER_WAY = 4.0
MOST_SECONDS_FROM_START = 25.0
REPLAYED = 10
LARGE_BATCH = 30_000
TRIES = 3


def points(place: Place) -> None:
    """Killed at each named point, the start of the next life included."""
    place.feed(600)
    for number, point in enumerate(POINTS):
        place.standing_at(f"{point}:{number + 1}").kill()
        place.feed(50)
    place.settle()


def mid_send(place: Place) -> None:
    """Killed while a transaction is open: what it sent is aborted, and sent again by the next life."""
    place.feed(100)
    aborted = 0
    for _ in range(TRIES):
        stream = place.start(max_offsets_per_trigger=LARGE_BATCH)
        place.await_all(stream)
        length = checks.length(place.bootstrap, place.output_topic)
        before = length()
        place.feed(LARGE_BATCH)
        stream.wait_until(partial(_has_grown, length, before), "to send", look=0.005)
        stream.kill()
        place.settle(place.start(max_offsets_per_trigger=LARGE_BATCH))
        sent = checks.records(place.bootstrap, place.output_topic, "read_uncommitted")
        aborted = len(sent) - len(place.ids)
        if aborted:
            return
    raise Broken("no kill came while a transaction was open")


def _has_grown(length: Callable[[], int], before: int) -> bool:
    return length() > before + 10


def mid_swap(place: Place) -> None:
    """Killed while the next model is being prepared."""
    place.feed(300)
    stream = place.running()
    place.await_batch(stream, 0)
    stream.kill()
    place.world.zoo.set_champion("2")
    stream = place.standing_at("in-mid-swap")
    place.feed(100)
    stream.kill()
    stream = place.start()
    place.await_all(stream)
    stream.wait_until(lambda: "version 2" in stream.text, "to swap")
    place.feed(50)
    place.settle(stream)


def random_kills(place: Place) -> None:
    """Killed at random moments under load; most while batches run, some while the driver starts."""
    chance = place.world.random
    for _ in range(place.world.kills):
        with place.load(60):
            stream = place.start(max_offsets_per_trigger=UNDER_LOAD)
            if chance.random() < EARLY_SHARE:
                time.sleep(chance.uniform(0, MOST_SECONDS_FROM_START))
            else:
                stream.wait_for(RUNS)
                time.sleep(chance.uniform(0, MOST_SECONDS_UNDER_WAY))
            stream.kill()
    stream = place.start(max_offsets_per_trigger=UNDER_LOAD)
    place.settle(stream)


def deleted_commits(place: Place) -> None:
    """For N = 0 to 9: ended after batch N, commits/N deleted, started again.

    Every third time its manifest goes too, and every third time also the note that its files are complete.
    """
    before = pd.DataFrame()
    for number in range(REPLAYED + 1):
        place.feed(20)
        place.start("--available-now").ends(0)
        frame = place.every_message_once()
        if sorted(frame["batch_id"].unique()) != list(range(number + 1)):
            raise Broken(f"want batches 0 to {number}, found {sorted(frame['batch_id'].unique())}")
        old = frame[frame["batch_id"] < number]
        if number and checks.digest(old) != checks.digest(before):
            raise Broken(f"the rows up to batch {number - 1} changed when it was replayed")
        before = frame
        for kind in ("commits", "manifests", "written")[: 1 + number % 3]:
            _forget(place, kind, number)


def _forget(place: Place, kind: str, number: int) -> None:
    """As if the driver had died before it wrote this."""
    name = str(number) if kind == "commits" else f"{number}.json"
    (place.checkpoint / kind / name).unlink()
    (place.checkpoint / kind / f".{name}.crc").unlink(missing_ok=True)


def champion_moved(place: Place) -> None:
    """The alias moves between a batch's Parquet and its Kafka write, then the driver is killed."""
    place.feed(300)
    stream = place.standing_at("after-parquet:1")
    place.world.zoo.set_champion("2")
    stream.kill()
    place.feed(200)
    stream = place.start()
    place.await_all(stream)
    stream.kill()
    frame = place.every_message_once()
    first = set(frame[frame["batch_id"] <= 1]["model_version"])
    later = set(frame[frame["batch_id"] > 1]["model_version"])
    if first != {"1"} or later != {"2"}:
        raise Broken(f"want version 1 up to batch 1 and 2 after it, found {first} and {later}")
