"""The most telling faults of `make chaos` on one small stream: killed twice, fed poison, offered a corrupt model."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import pytest
from broker import Broker
from chaos import checks
from chaos.lines_input import POISON
from chaos.place import Place, World
from chaos.stream import RUNS, Broken
from chaos.zoo import Zoo
from pyspark.sql import SparkSession

from sentiment.serving import audit

pytestmark = pytest.mark.spark


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


@pytest.fixture(scope="module")
def story(spark: SparkSession, broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Killed after Parquet with the champion moved, killed after Kafka, drained, started again without a commit."""
    folder = tmp_path_factory.mktemp("chaos")
    zoo = Zoo(folder)
    zoo.make(spark, good=2, faults=["corrupt"], pyfunc=False)
    world = World(folder, broker, zoo, random.Random(1))  # noqa: S311  no secret
    place = Place(world, "short")
    try:
        place.feed(300)
        stream = place.standing_at("after-parquet:1")
        world.zoo.set_champion("2")
        stream.kill()
        place.standing_at("after-kafka:2").kill()

        place.feed(100)
        place.send([content for content, _ in POISON])
        stream = place.start().wait_for(RUNS)
        world.zoo.set_champion(world.zoo.bad["corrupt"])
        stream.wait_for(f"version {world.zoo.bad['corrupt']} is not taken live")
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
        place.start("--available-now").ends(0)
        yield Story(place, drained, stream.text, checks.rows(place.output))
    finally:
        place.close()


def test_every_message_is_in_parquet_and_kafka_once_after_two_kills(story: Story) -> None:
    story.place.every_message_once()
    assert story.place.checked == 500


def test_a_replayed_batch_keeps_its_model_in_both_sinks(story: Story) -> None:
    versions = story.last.groupby("batch_id")["model_version"].first()
    assert set(versions[versions.index <= 1]) == {"1"}
    assert set(versions[versions.index > 1]) == {"2"}


def test_a_corrupt_model_never_goes_live_and_its_reason_is_told(story: Story) -> None:
    corrupt = story.place.world.zoo.bad["corrupt"]
    assert corrupt not in set(story.last["model_version"])
    assert f"version {corrupt} is not taken live" in story.drain_said
    assert "drained" in story.drain_said


def test_a_deleted_commit_changes_no_row(story: Story) -> None:
    assert len(story.last) == len(story.drained) == 500
    assert checks.digest(story.last) == checks.digest(story.drained)


def test_each_poisoned_message_is_a_dead_letter_with_reason_and_coordinates(story: Story) -> None:
    dead = checks.rows(story.place.dead)
    assert len(dead) == len(POISON)
    assert dead["source"].is_unique
    assert dead["source"].str.startswith(f"kafka:{story.place.input_topic}/").all()
    left = list(dead["reason"])
    for _, reason in POISON:
        left.remove(next(each for each in left if reason in each))


def test_the_audit_finds_every_message_once(spark: SparkSession, story: Story) -> None:
    found = audit.audit(spark, str(story.place.checkpoint), str(story.place.output), "", "")
    assert found.gaps == []
    assert (found.checked["predictions"], found.checked["dead_letters"]) == (500, len(POISON))


def test_the_checks_see_a_lost_and_a_doubled_row(story: Story) -> None:
    ids = list(story.last["id"])
    with pytest.raises(Broken, match=r"^Parquet: 1 lost .*, 0 too many"):
        checks.each_once(story.place.ids, ids[1:], "Parquet")
    with pytest.raises(Broken, match=r"^Parquet: 0 lost .*, 1 too many"):
        checks.each_once(story.place.ids, [*ids, ids[0]], "Parquet")
