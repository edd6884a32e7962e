"""The most telling faults of `make chaos` on one small stream: killed twice, fed poison, offered a corrupt model."""

import json
from pathlib import Path

import audit_predictions
import jars
import pytest
from broker import Broker
from chaos import checks
from chaos.lines_input import POISON
from chaos.stream import Broken
from chaos.zoo import Zoo
from chaos_story import DEAD_LETTERS, Story, told
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from pyspark.sql import SparkSession

from sentiment.jobs import DataError
from sentiment.serving import audit

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def story(broker: Broker, zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Story:
    return told(tmp_path_factory.mktemp("chaos"), broker, zoo)


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


def test_the_audit_counts_what_the_broker_has_deleted_and_passes_over_what_others_sent(
    spark: SparkSession, story: Story
) -> None:
    place = story.place
    for path in jars.connector_jars():
        spark.sql(f"ADD JAR '{path}'")
    admin = AdminClient({"bootstrap.servers": place.bootstrap})
    cuts = [(place.input_topic, 5), (place.output_topic, 5), (DEAD_LETTERS, 2)]
    for deleted in admin.delete_records([TopicPartition(topic, 0, cut) for topic, cut in cuts]).values():
        deleted.result(30)
    stranger = Producer({"bootstrap.servers": place.bootstrap})
    for name, *values in (("a", b"1", b"2"), ("batch_id", b"none")):
        stranger.produce(place.output_topic, b"{}", headers=[(name, value) for value in values])
    stranger.produce(place.output_topic, b"{}")
    assert stranger.flush(30) == 0
    found = audit.audit(spark, str(place.checkpoint), str(place.output), "", place.bootstrap)
    assert found.gaps == []
    names = ("input_deleted", "output_deleted", "kafka_records", "kafka_dead_letters")
    assert [found.checked[name] for name in names] == [5, 5 + 2, 500 - 5, len(POISON) - 2]


@pytest.mark.parametrize(
    ("firsts", "lost", "deleted"),
    [
        ([0, 0], "a is in the files, not in out (3 such)", 0),
        ([7, 0], "c is in the files, not in out (1 such)", 2),
        ([0, 9], "", 3),
    ],
    ids=["nothing was deleted", "batch 1 and what lies before it may be", "nobody knows what the empty partition had"],
)
def test_only_what_a_topic_cannot_have_lost_by_its_retention_is_a_gap(
    spark: SparkSession, firsts: list[int], lost: str, deleted: int
) -> None:
    rows = spark.createDataFrame([("a", 0), ("b", 1), ("c", 2), ("d", 1)], "source string, batch long")
    records = spark.createDataFrame([("d", 1, 0)], "source string, batch long, partition int")
    found = audit.Findings()
    written = audit._Written("--kafka-output-topic", "out", "alive", "kafka_records", 0)
    audit._compare(found, written, rows, records, audit._cut(firsts, records, 2))
    assert (found.gaps, found.checked) == ([lost] if lost else [], {"output_deleted": deleted})


def test_an_output_topic_that_is_not_on_its_broker_is_named(spark: SparkSession, story: Story, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    for name in ("metadata", "manifests/0.json", "settings.json"):
        (checkpoint / name).parent.mkdir(exist_ok=True, parents=True)
        (checkpoint / name).write_bytes((story.place.checkpoint / name).read_bytes())
    settings = json.loads((checkpoint / "settings.json").read_text())
    (checkpoint / "settings.json").write_text(json.dumps(settings | {"--kafka-output-topic": "elsewhere"}))
    words = ["--checkpoint", checkpoint, "--output-path", story.place.output, "--kafka-bootstrap", "127.0.0.1:9"]
    words += ["--kafka-output-bootstrap", story.place.bootstrap]
    wanted = f"^--kafka-output-topic elsewhere: want a topic of {story.place.bootstrap}, found none of that name$"
    assert spark is not None
    with pytest.raises(DataError, match=wanted):
        audit_predictions.main([str(word) for word in words])
