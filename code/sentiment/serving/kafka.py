"""Records to Kafka, each once: one transaction per batch that holds its records and its marker.

The marker is the offset of group <query> at (first output topic, 0): N + 1 or more means that batch N is there.
Records and marker are committed together or not at all (Kafka's KIP-98 and KIP-447), whoever dies when, and opening
the producer fences every earlier one of this query and ends what it left open.

The driver sends. Tasks could, a transaction each; but Spark hands its Python workers out in turn, so that a slot's
producer would be fenced by the next worker from batch to batch, and a batch of 10,000 records takes the driver a
tenth of a second.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from pyspark.sql import functions as F  # noqa: N812

from sentiment.serving.kafka_topics import PATIENCE_SECONDS, QUIET, Topic
from sentiment.serving.lease import LeaseLostError
from sentiment.serving.rows import Rows, SparkRows
from sentiment.serving.scoring import VALUE
from sentiment.serving.sources import COORDINATES

TRANSACTION_MS = 600_000
"""How long a transaction may take; the broker allows 15 minutes unless told otherwise."""

STALLED_SECONDS = 30
"""How long a transaction may go on without any of its records getting to the broker.

After a broker that stood still for longer than its session librdkafka may never send them
(https://github.com/confluentinc/librdkafka/issues/5511 is of that kind); the next attempt's client does.
"""

BATCH_BYTES = 1_000_000
"""What librdkafka gathers into one write by itself; the broker measures the write by the topic's max.message.bytes."""

MOST_MESSAGE_BYTES = 1_000_000_000
"""The largest message that librdkafka takes, whatever a topic takes."""

LOOK_BACK_MS = 3_600_000
"""How far before a batch's intent the tail of a topic is searched: clocks of brokers and drivers differ."""

_NOT_YET = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)


@dataclass(frozen=True)
class Records:
    """What shall go to one topic: rows with inner_value, and the column that is the key."""

    topic: Topic
    rows: Rows
    key: str


def publish_at_least_once(records: Records, headers: dict[str, str]) -> None:
    """Send a batch's records with Spark's own sink: a replay sends them again."""
    pairs = [F.struct(F.lit(key).alias("key"), F.lit(value.encode()).alias("value")) for key, value in headers.items()]
    source = F.struct(F.lit("source").alias("key"), F.col(COORDINATES).cast("binary").alias("value"))
    assert isinstance(records.rows, SparkRows)
    key, value = F.col(records.key).alias("key"), F.col(VALUE).alias("value")
    rows = records.rows.frame.select(key, value, F.array(*pairs, source).alias("headers"))
    writer = rows.write.format("kafka").option("kafka.bootstrap.servers", records.topic.bootstrap)
    writer.option("topic", records.topic.name).save()


class Sender:
    """Sends batches of one query, each in one transaction; its clients live as long as the driver."""

    def __init__(self, query: str) -> None:
        self.query = query
        self._producer: Any = None
        self._consumer: Any = None
        self._limits: set[int] = set()

    def send(
        self, batch: int, records: list[Records], marker: Topic, headers: dict[str, str], since_ms: int | None
    ) -> bool:
        """Send a batch's records; False: an earlier attempt has sent them all.

        Each record goes to the partition that Kafka's own partitioner (murmur2) has for its key.

        Args:
            batch: number of the batch.
            records: per topic.
            marker: the topic at which the marker stands; the same for every batch of a query.
            headers: the same for every record; `source` is added.
            since_ms: when the batch was planned (ms since 1970), if an earlier attempt may have sent it; else None.

        Raises:
            KafkaSendError: it did not come about, and no reader of committed records will see anything of it.
            LeaseLostError: another driver sends for this query.
        """
        topics = [each.topic for each in records]
        with self._telling(marker, *topics):
            self._open(marker, {topic.max_bytes for topic in (marker, *topics)})
            if self._has_batch(batch, marker, topics, since_ms):
                return False
            self._producer.begin_transaction()
            for each in records:
                self._produce(each, list(headers.items()))
            self._wait(0)
            place = TopicPartition(marker.name, 0, batch + 1)
            group = self._consumer.consumer_group_metadata()
            self._producer.send_offsets_to_transaction([place], group, PATIENCE_SECONDS)
            self._producer.commit_transaction(PATIENCE_SECONDS)  # its records are there, one request is left
        return True

    def has_sent(self, batch: int, marker: Topic) -> bool:
        """Whether the marker says that the batch, or a later one, was sent; errors as of `send`."""
        with self._telling(marker):
            self._open(marker, {marker.max_bytes})
            return self._has_batch(batch, marker, [], None)

    def close(self) -> None:
        """Forget the clients."""
        if self._consumer is not None:
            self._consumer.close()
        self._producer = self._consumer = None

    @contextmanager
    def _telling(self, marker: Topic, *topics: Topic) -> Iterator[None]:
        """Forget the clients after an error, and tell Kafka's as what it means."""
        try:
            yield
        except KafkaException as error:
            cause = self._cause(error)
            self.close()
            if cause.code() in (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH):
                raise LeaseLostError("another driver sends to Kafka for this query") from None
            told = cause.str()
            if cause.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                limits = sorted({f"max.message.bytes >= {each.max_bytes} of topic {each.name}" for each in topics})
                told = f"want {', '.join(limits)}, as when the batch was planned, found less ({told})"
            raise KafkaSendError(f"Kafka at {marker.bootstrap}: {told}") from None
        except BaseException:
            self.close()  # the open transaction is aborted by whoever opens the producer next
            raise

    def _open(self, marker: Topic, limits: set[int]) -> None:
        """Have clients that write no more at once than any of the topics takes."""
        if self._producer is not None and limits <= self._limits:
            return
        self.close()
        self._limits |= limits
        common = {"bootstrap.servers": marker.bootstrap}
        group = {"group.id": self.query, "isolation.level": "read_committed", "enable.auto.commit": False}
        settings = {
            "transactional.id": self.query,
            "transaction.timeout.ms": TRANSACTION_MS,
            "partitioner": "murmur2",
            "message.max.bytes": min(max(BATCH_BYTES, *self._limits), MOST_MESSAGE_BYTES),
            "batch.size": min(BATCH_BYTES, *self._limits),
            "linger.ms": 1,
        }
        producer = Producer({**common, **settings}, logger=QUIET)
        producer.init_transactions(PATIENCE_SECONDS)
        self._producer, self._consumer = producer, Consumer({**common, **group}, logger=QUIET)

    def _produce(self, records: Records, headers: list[tuple[str, str]]) -> None:
        topic = records.topic.name
        for keys, values, sources in records.rows.records(records.key):
            for key, value, source in zip(keys, values, sources, strict=True):
                while True:
                    try:
                        self._producer.produce(topic, value, key, headers=[*headers, ("source", source)])
                        break
                    except BufferError:
                        self._wait(len(self._producer) - 1)
            self._producer.poll(0)

    def _wait(self, most: int) -> None:
        """Wait until that many records at most are not yet with the broker; KafkaException where none get there."""
        fewest, since = len(self._producer), time.monotonic()
        while fewest > most:
            left = self._producer.flush(0.1)
            if left < fewest:
                fewest, since = left, time.monotonic()
            elif time.monotonic() - since > STALLED_SECONDS:
                what = f"{left} records wait, and it has taken none for {STALLED_SECONDS} s"
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, what))

    def _cause(self, error: KafkaException) -> KafkaError:
        """What went wrong: of a fenced producer produce() says only that it is beyond use, its other calls say why."""
        cause: KafkaError = error.args[0]
        if cause.code() == KafkaError._FATAL and self._producer is not None:
            try:
                self._producer.abort_transaction(PATIENCE_SECONDS)
            except KafkaException as told:
                cause = told.args[0]
        return cause

    def _has_batch(self, batch: int, marker: Topic, topics: list[Topic], since_ms: int | None) -> bool:
        place = self._committed(TopicPartition(marker.name, 0))
        if place.offset >= 0:
            return bool(place.offset > batch)
        # The broker forgets a group's offsets after its retention: then the records themselves are asked.
        return since_ms is not None and any(
            self._tail_has(batch, topic.name, partition, since_ms)
            for topic in topics
            for partition in self._consumer.list_topics(topic.name, PATIENCE_SECONDS).topics[topic.name].partitions
        )

    def _committed(self, place: TopicPartition) -> Any:
        """The group's offset; a broker that has just started needs a moment to know whose group it is."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                found = self._consumer.committed([place], timeout=PATIENCE_SECONDS)[0]
                if found.error:
                    raise KafkaException(found.error)
                return found
            except KafkaException as error:
                if error.args[0].code() not in _NOT_YET or time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def _tail_has(self, batch: int, topic: str, partition: int, since_ms: int) -> bool:
        since = TopicPartition(topic, partition, max(0, since_ms - LOOK_BACK_MS))
        start = self._consumer.offsets_for_times([since], timeout=PATIENCE_SECONDS)[0]
        if start.offset < 0:  # nothing was written since
            return False
        _, end = self._consumer.get_watermark_offsets(since, timeout=PATIENCE_SECONDS)
        wanted = {("query_id", self.query.encode()), ("batch_id", str(batch).encode())}
        self._consumer.assign([start])
        try:
            until = time.monotonic() + 10 * PATIENCE_SECONDS
            while time.monotonic() < until:
                for record in self._consumer.consume(1000, timeout=1.0):
                    if record.error():
                        raise KafkaException(record.error())
                    if wanted <= set(record.headers() or []):
                        return True
                reached = self._consumer.position([start])[0].offset
                if max(reached, start.offset) >= end:
                    return False
        finally:
            self._consumer.unassign()
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the tail of the topic could not be searched"))


class KafkaSendError(Exception):
    """A transaction that did not come about; nothing of it will be seen by readers of committed records."""
