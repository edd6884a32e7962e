"""A broker that goes away for half a minute, as sink and as source."""

import time

from broker import Broker
from services import free_port

from chaos.place import Place

AWAY_SECONDS = 30.0


def sink(place: Place) -> None:
    """The output's broker is stopped while batches run; the input's stays."""
    _outage(place, stop_output=True)


def source(place: Place) -> None:
    """The input's broker is stopped; the output's stays."""
    _outage(place, stop_output=False)


def _outage(place: Place, stop_output: bool) -> None:
    """Stop a second broker of this line's own for a while; the stream resumes by itself, or by a restart."""
    other = Broker(place.folder / "kafka", free_port(), free_port())
    other.start()
    try:
        topic = place.output_topic if stop_output else place.input_topic
        other.make_topics({topic: 3})
        if stop_output:
            place.output_broker = other
        else:
            place.input_broker = other
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
    finally:
        other.kill()
