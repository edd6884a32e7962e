"""One transaction per batch: readers of committed records see each prediction once, whoever dies when."""

import time
import uuid
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from broker import Broker
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from kafka.partitioner.default import murmur2
from pyspark.sql import SparkSession

from sentiment.jobs import ArgumentsError, DataError
from sentiment.serving import kafka, kafka_topics, rows, service
from sentiment.serving.kafka import KafkaSendError, Records, Sender
from sentiment.serving.kafka_topics import Topic
from sentiment.serving.lease import LeaseLostError
from sentiment.serving.rows import SparkRows
from sentiment.serving.settings import KAFKA, ModelChoice, Serving, Sinks, Source

pytestmark = pytest.mark.spark
HEADERS = {"model_version": "7", "query_id": "", "batch_id": ""}


class Stage:
    """A topic of its own, and what a reader of committed records sees in it."""

    def __init__(self, broker: Broker, spark: SparkSession, config: dict[str, str] | None = None) -> None:
        name, self.query = f"out-{uuid.uuid4().hex[:8]}", str(uuid.uuid4())
        broker.make_topics({name: 3}, config)
        self.spark = spark
        self.topic = kafka_topics.describe(broker.bootstrap, name, "--kafka-output-topic", for_output=True)

    def records(self, batch: int, count: int = 10) -> list[Records]:
        made = [(f"k{n}", bytearray(f"{batch}/{n}".encode()), f"kafka:in/0/{100 * batch + n}") for n in range(count)]
        frame = self.spark.createDataFrame(made, "key string, inner_value binary, source string")
        return [Records(self.topic, SparkRows(frame, count), "key")]

    def send(
        self, sender: Sender, batch: int, since_ms: int | None = None, marker: Topic | None = None, count: int = 10
    ) -> bool:
        headers = {"model_version": "7", "query_id": self.query, "batch_id": str(batch)}
        return sender.send(batch, self.records(batch, count), marker or self.topic, headers, since_ms)

    def seen(self) -> list[Any]:
        """All up to where the topic ends now; a commit is there for its sender a moment before it is for readers."""
        settings = {"bootstrap.servers": self.topic.bootstrap, "group.id": "reader"}
        places = [TopicPartition(self.topic.name, part, 0) for part in range(self.topic.partitions)]
        all_seeing = Consumer({**settings, "isolation.level": "read_uncommitted"})
        left = {(place.partition, all_seeing.get_watermark_offsets(place, timeout=20)[1]) for place in places}
        all_seeing.close()
        consumer = Consumer({**settings, "isolation.level": "read_committed", "enable.partition.eof": True})
        consumer.assign(places)
        found = []
        while left:
            message = consumer.poll(20)
            assert message is not None, "the topic could not be read"
            if not message.error():
                found.append(message)
            else:
                here, read = message.partition(), message.offset() or 0
                left = {(part, end) for part, end in left if part != here or end > read}
        consumer.close()
        return found

    def values(self) -> list[str]:
        return sorted(message.value().decode() for message in self.seen())


@pytest.fixture
def stage(broker: Broker, spark: SparkSession) -> Stage:
    return Stage(broker, spark)


def expected(*batches: int) -> list[str]:
    return sorted(f"{batch}/{n}" for batch in batches for n in range(10))


def test_a_batch_is_sent_once_by_the_same_driver_and_by_the_next(stage: Stage) -> None:
    first = Sender(stage.query)
    assert stage.send(first, 0)
    assert not stage.send(first, 0)
    assert stage.send(first, 1)
    second = Sender(stage.query)
    assert not stage.send(second, 0)
    assert not stage.send(second, 1)
    assert stage.send(second, 2)
    assert stage.values() == expected(0, 1, 2)


def test_a_driver_knows_what_was_sent_before_it_sends(stage: Stage) -> None:
    assert not Sender(stage.query).has_sent(0, stage.topic)
    assert stage.send(Sender(stage.query), 1)
    newer = Sender(stage.query)
    assert [newer.has_sent(batch, stage.topic) for batch in (0, 1, 2)] == [True, True, False]
    assert stage.send(newer, 2)
    assert stage.values() == expected(1, 2)


def test_records_have_their_key_s_partition_and_say_where_they_come_from(stage: Stage) -> None:
    assert stage.send(Sender(stage.query), 3)
    for message in stage.seen():
        headers = dict(message.headers())
        assert message.partition() == (murmur2(message.key()) & 0x7FFFFFFF) % 3
        assert headers["model_version"] == b"7"
        assert headers["query_id"] == stage.query.encode()
        assert headers["batch_id"] == b"3"
        assert headers["source"].startswith(b"kafka:in/0/30")


def test_a_driver_that_dies_in_mid_send_leaves_nothing_to_readers(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(_rows: SparkRows, _key: str) -> Any:
        yield [b"k0", b"k1"], [b"cut", b"cut"], ["s0", "s1"]
        raise KeyboardInterrupt

    dying = Sender(stage.query)
    with monkeypatch.context() as patched:
        patched.setattr(SparkRows, "records", cut)
        with pytest.raises(KeyboardInterrupt):
            stage.send(dying, 0)
    assert stage.send(Sender(stage.query), 0)
    assert stage.values() == expected(0)


def test_a_send_that_stands_still_is_given_up_and_done_again_by_the_next_attempt(
    broker: Broker, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "STALLED_SECONDS", 1)
    sender = Sender(stage.query)
    assert stage.send(sender, 0)
    produce = Sender._produce

    def into_silence(stalled: Sender, records: Records, headers: list[tuple[str, str]]) -> None:
        broker.freeze()
        produce(stalled, records, headers)

    try:
        with monkeypatch.context() as patched:
            patched.setattr(Sender, "_produce", into_silence)
            begun = time.monotonic()
            with pytest.raises(KafkaSendError, match="10 records wait, and it has taken none for 1 s"):
                stage.send(sender, 1)
            assert time.monotonic() - begun < 20
    finally:
        broker.thaw()
    assert stage.send(sender, 1, since_ms=1)
    assert stage.values() == expected(0, 1)


def test_an_older_driver_is_fenced(stage: Stage) -> None:
    older, newer = Sender(stage.query), Sender(stage.query)
    assert stage.send(older, 0)
    assert stage.send(newer, 1)
    with pytest.raises(LeaseLostError):
        stage.send(older, 2)
    assert stage.send(newer, 2)
    assert stage.values() == expected(0, 1, 2)


def test_an_older_driver_is_fenced_in_mid_send_too(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(_rows: SparkRows, _key: str) -> Any:
        yield [b"k0"], [b"older"], ["s0"]
        time.sleep(2)  # by then the broker has refused the first record
        yield [b"k1"], [b"older"], ["s1"]

    older = Sender(stage.query)
    assert stage.send(older, 0)
    assert stage.send(Sender(stage.query), 1)
    with monkeypatch.context() as patched:
        patched.setattr(SparkRows, "records", slow)
        with pytest.raises(LeaseLostError):
            stage.send(older, 2)
    assert stage.values() == expected(0, 1)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_batch_whose_marker_the_broker_forgot_is_looked_for_where_its_records_are(
    broker: Broker, spark: SparkSession, stage: Stage, elsewhere: bool
) -> None:
    marker = Stage(broker, spark).topic if elsewhere else stage.topic  # a batch may have dead letters only
    assert stage.send(Sender(stage.query), 0, marker=marker)
    admin = AdminClient({"bootstrap.servers": stage.topic.bootstrap})
    admin.delete_consumer_groups([stage.query])[stage.query].result(30)
    assert stage.query not in {group.group_id for group in admin.list_consumer_groups().result().valid}
    assert not stage.send(Sender(stage.query), 0, since_ms=1, marker=marker)
    assert stage.send(Sender(stage.query), 1, since_ms=1, marker=marker)
    assert stage.values() == expected(0, 1)


def test_the_tail_of_a_topic_is_looked_at_in_the_partitions_that_it_has_now(broker: Broker, stage: Stage) -> None:
    planned = replace(stage.topic, partitions=5)  # the topic was made anew since, with fewer
    headers = {"query_id": stage.query, "batch_id": "0"}
    records = [replace(each, topic=planned) for each in stage.records(0)]
    assert Sender(stage.query).send(0, records, planned, headers, since_ms=1)
    assert stage.values() == expected(0)
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.delete_consumer_groups([stage.query])[stage.query].result(30)
    records = [replace(each, topic=replace(planned, partitions=0)) for each in stage.records(0)]  # and now with more
    assert not Sender(stage.query).send(0, records, planned, headers, since_ms=1)


def test_a_limit_that_was_lowered_in_mid_batch_is_named(broker: Broker, spark: SparkSession) -> None:
    low = Stage(broker, spark, {"max.message.bytes": "3000"})
    planned = replace(low.topic, max_bytes=5_000)
    made = [("k0", bytearray(range(256)) * 16, "kafka:in/0/0")]
    rows = SparkRows(spark.createDataFrame(made, "key string, inner_value binary, source string"), 1)
    with pytest.raises(KafkaSendError, match=f"want max.message.bytes >= 5000 of topic {low.topic.name}, .*found less"):
        Sender(low.query).send(0, [Records(planned, rows, "key")], planned, {}, None)


@pytest.mark.parametrize("limit", [20_000, 2_147_483_647])
def test_no_write_is_larger_than_a_topic_takes(broker: Broker, spark: SparkSession, stage: Stage, limit: int) -> None:
    other = Stage(broker, spark, {"max.message.bytes": str(limit)})
    other.query = stage.query
    sender = Sender(stage.query)
    assert stage.send(sender, 0)
    assert other.send(sender, 1, marker=stage.topic, count=1_000)
    assert len(other.values()) == 1_000


def test_large_batches_are_sent_in_parts_of_one_transaction(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "ROWS_AT_ONCE", 4)
    assert stage.send(Sender(stage.query), 0)
    assert stage.values() == expected(0)


def test_a_topic_that_may_not_be_looked_at_is_named(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))

    class Closed(Consumer):
        def get_watermark_offsets(self, *_args: Any, **_how: Any) -> Any:
            raise refused

    def configs(_admin: AdminClient, resources: list[Any], **_how: Any) -> dict[Any, Future[Any]]:
        answer: Future[Any] = Future()
        answer.set_exception(refused)
        return {resources[0]: answer}

    bootstrap, name = stage.topic.bootstrap, stage.topic.name
    line = f"^--kafka-topic {name}: want a topic of {bootstrap} that may be {{}}, found: Broker: Topic author"
    monkeypatch.setattr(kafka_topics, "Consumer", Closed)
    with pytest.raises(DataError, match=line.format("read")):
        kafka_topics.first_offsets(bootstrap, name, "--kafka-topic")
    monkeypatch.setattr(AdminClient, "describe_configs", configs)
    with pytest.raises(DataError, match=line.format("described")):
        kafka_topics.describe(bootstrap, name, "--kafka-topic", for_output=True)


def serving(source: Source, folder: Path, **sinks: str) -> Serving:
    places = Sinks(str(folder / "out"), str(folder / "dead"), **sinks)
    return Serving(source, places, ModelChoice("http://127.0.0.1:9", "m"), str(folder / "checkpoint"))


def test_an_input_topic_that_was_made_anew_is_refused(
    broker: Broker, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    name, admin = stage.topic.name, AdminClient({"bootstrap.servers": broker.bootstrap})
    stream = serving(Source(KAFKA, bootstrap=broker.bootstrap, topic=name), tmp_path)
    with pytest.raises(DataError, match="the registry does not answer"):
        service.serve(stage.spark, stream)
    admin.delete_topics([name])[name].result(30)
    while name in admin.list_topics(timeout=30).topics:
        time.sleep(0.1)
    broker.make_topics({name: 3})
    with pytest.raises(DataError, match=f"--kafka-topic {name}: want the topic that the checkpoint {tmp_path}/checkp"):
        service.serve(stage.spark, stream)


def test_a_topic_is_not_read_and_written_at_two_addresses_of_a_broker(stage: Stage, tmp_path: Path) -> None:
    name, port = stage.topic.name, stage.topic.bootstrap.rpartition(":")[2]
    source = Source(KAFKA, bootstrap=f"localhost:{port}", topic=name)
    for flag, field in (("--kafka-output-topic", "topic"), ("--dead-letter-topic", "dead_letter_topic")):
        with pytest.raises(ArgumentsError, match=f"^{flag}: want another topic than --kafka-topic, found the same at"):
            service.serve(stage.spark, serving(source, tmp_path, bootstrap=stage.topic.bootstrap, **{field: name}))


def test_topics_that_do_not_fit_are_refused(broker: Broker, stage: Stage) -> None:
    broker.make_topics({"compacted": 1}, {"cleanup.policy": "compact"})
    with pytest.raises(ArgumentsError, match="--kafka-output-topic compacted: want a topic that keeps every record"):
        kafka_topics.describe(broker.bootstrap, "compacted", "--kafka-output-topic", for_output=True)
    with pytest.raises(DataError, match="--kafka-topic nowhere: want a topic"):
        kafka_topics.describe(broker.bootstrap, "nowhere", "--kafka-topic", for_output=False)
    assert stage.topic == Topic(broker.bootstrap, stage.topic.name, 3, 1_048_588)
