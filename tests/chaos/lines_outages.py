"""A broker that goes away for half a minute, as sink and as source; one that stands still again and again."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from broker import Broker
from services import free_port

from chaos.place import PARTITIONS, UNDER_LOAD, Place

AWAY_SECONDS = 30.0
FREEZES, FROZEN_SECONDS, THAWED_SECONDS = 12, 3.3, 1.5
"""A little longer than a broker's session (3 s here): its controller has given it up when it goes on."""


def sink(place: Place) -> None:
    """The output's broker is stopped while batches run; the input's stays."""
    _outage(place, stop_output=True)


def source(place: Place) -> None:
    """The input's broker is stopped; the output's stays."""
    _outage(place, stop_output=False)


def sink_frozen(place: Place) -> None:
    """The output's broker stands still for moments under load: the stream goes on by itself, soon."""
    with _second_broker(place, for_output=True) as other:
        stream = place.running(max_offsets_per_trigger=UNDER_LOAD, batch_retry_seconds=300)
        with place.load(400):
            place.await_batch(stream, 0)
            for _ in range(FREEZES):
                other.freeze()
                time.sleep(FROZEN_SECONDS)
                other.thaw()
                time.sleep(THAWED_SECONDS)
        place.settle(stream)


def _outage(place: Place, stop_output: bool) -> None:
    """Stop the broker for a while; the stream resumes by itself, or by a restart."""
    with _second_broker(place, for_output=stop_output) as other:
        place.feed(300)
        stream = place.running(batch_retry_seconds=120)
        place.await_batch(stream, 0)
        if stop_output:
            place.feed(500)
        other.stop()
        time.sleep(AWAY_SECONDS)
        other.start()
        place.feed(300)
        if stream.process.poll() is not None:
            stream = place.start()
        place.settle(stream)


@contextmanager
def _second_broker(place: Place, for_output: bool) -> Iterator[Broker]:
    """A broker of this line's own, for its output or for its input."""
    other = Broker(place.folder / "kafka", free_port(), free_port())
    other.start()
    try:
        if for_output:
            other.make_topics({place.output_topic: PARTITIONS})
            place.output_broker = other
        else:
            other.make_topics({place.input_topic: PARTITIONS})
            place.input_broker = other
        yield other
    finally:
        other.kill()
