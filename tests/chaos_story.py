"""One small stream that meets the most telling faults of `make chaos`, for test_chaos_short.py."""

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from broker import Broker
from chaos import checks
from chaos.lines_input import POISON
from chaos.place import Place, World
from chaos.zoo import Zoo

DEAD_LETTERS = "short-dead-letters"


@dataclass
class Story:
    """What the stream left behind.

    Attributes:
        place: its topics and folders, in the end.
        drained: its predictions when it was drained.
        drain_said: the output of that life.
        last: its predictions after a commit was deleted and the stream started again.
    """

    place: Place
    drained: pd.DataFrame
    drain_said: str
    last: pd.DataFrame


def told(folder: Path, broker: Broker, zoo: Zoo) -> Story:
    """Killed after Parquet with the champion moved, killed after Kafka, drained, started again without a commit.

    Args:
        folder: for everything, a copy of the registry included.
        broker: of the topics.
        zoo: the registry that is copied.
    """
    zoo = zoo.copied(folder)
    place = Place(World(folder, broker, zoo, random.Random(1)), "short")  # noqa: S311  no secret
    broker.make_topics({DEAD_LETTERS: 1})
    setting: dict[str, Any] = {"dead_letter_topic": DEAD_LETTERS}
    try:
        zoo.set_champion("1")
        place.feed(300)
        stream = place.standing_at("after-parquet:1", **setting)
        zoo.set_champion("2")
        stream.kill()
        place.standing_at("after-kafka:2", **setting).kill()

        place.feed(100)
        place.send([content for content, _ in POISON])
        stream = place.running(**setting)
        zoo.set_champion(zoo.bad["corrupt"])
        stream.wait_for(f"version {zoo.bad['corrupt']} is not taken live")
        place.feed(100)
        place.await_all(stream, extra=len(POISON))
        drain = place.checkpoint / "control" / "drain"
        drain.parent.mkdir(exist_ok=True)
        drain.write_text(json.dumps({}))
        stream.ends(0)
        drained = checks.rows(place.output)

        last = max(place.manifests())
        for name in (f"commits/{last}", f"commits/.{last}.crc"):
            (place.checkpoint / name).unlink(missing_ok=True)
        place.start("--available-now", **setting).ends(0)
        return Story(place, drained, stream.text, checks.rows(place.output))
    finally:
        place.close()
