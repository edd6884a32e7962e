"""What Kafka knows of a topic: partitions, limits, id, and where it begins."""

import logging
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, TopicCollection, TopicPartition, Uuid
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from sentiment.jobs import ArgumentsError, DataError

PATIENCE_SECONDS = 30
QUIET = logging.getLogger("sentiment.librdkafka")  # its errors come back as exceptions, and are told once
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False


@dataclass(frozen=True)
class Topic:
    """An output topic as a batch found it."""

    bootstrap: str
    name: str
    partitions: int
    max_bytes: int


def describe(bootstrap: str, topic: str, flag: str, for_output: bool) -> Topic:
    """A topic's partitions and limits; DataError within a minute if broker or topic is not there."""
    admin = AdminClient({"bootstrap.servers": bootstrap}, logger=QUIET)
    try:
        found = admin.list_topics(timeout=PATIENCE_SECONDS).topics.get(topic)
    except KafkaException as error:
        raise DataError(f"{bootstrap}: want a Kafka broker, found none ({error.args[0].str()})") from error
    if found is None or found.error is not None:
        raise DataError(f"{flag} {topic}: want a topic of {bootstrap}, found none of that name")
    resource = ConfigResource(ResourceType.TOPIC, topic)
    try:
        settings = admin.describe_configs([resource], request_timeout=PATIENCE_SECONDS)[resource].result()
    except KafkaException as error:
        raise _closed(bootstrap, topic, flag, "described", error) from error
    if for_output and "compact" in settings["cleanup.policy"].value:
        raise ArgumentsError(f"{flag} {topic}: want a topic that keeps every record, found a compacted one")
    return Topic(bootstrap, topic, len(found.partitions), int(settings["max.message.bytes"].value))


def topic_id(bootstrap: str, topic: str, flag: str) -> str:
    """What tells a topic from all others, of its name too; empty: the broker is older than 2.8, and has no ids."""
    admin = AdminClient({"bootstrap.servers": bootstrap}, logger=QUIET)
    wanted = TopicCollection([topic])
    try:
        found = str(admin.describe_topics(wanted, request_timeout=PATIENCE_SECONDS)[topic].result().topic_id)
    except KafkaException as error:
        raise _closed(bootstrap, topic, flag, "described", error) from error
    return "" if found == str(Uuid(0, 0)) else found


def first_offsets(bootstrap: str, topic: str, flag: str) -> list[int]:
    """Where each partition begins now that the broker has deleted old records; DataError as of `describe`."""
    partitions = describe(bootstrap, topic, flag, for_output=False).partitions
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "sentiment-audit"}, logger=QUIET)
    try:
        places = [TopicPartition(topic, partition) for partition in range(partitions)]
        return [consumer.get_watermark_offsets(place, timeout=PATIENCE_SECONDS)[0] for place in places]
    except KafkaException as error:
        raise _closed(bootstrap, topic, flag, "read", error) from error
    finally:
        consumer.close()


def _closed(bootstrap: str, topic: str, flag: str, done: str, error: KafkaException) -> DataError:
    return DataError(f"{flag} {topic}: want a topic of {bootstrap} that may be {done}, found: {error.args[0].str()}")
