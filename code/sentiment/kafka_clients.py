"""Kafka's clients in plain Python, without Spark: the same flags, checks and one-line errors for every script."""

import argparse
import logging
import os
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError

from sentiment.jobs import DataError, one_line

CONNECT_SECONDS = 20
"""How long a broker that does not answer is waited for."""


def bootstrap(text: str) -> str:
    """One host:port, or several with commas between them."""
    for part in text.split(","):
        host, _, port = part.strip().rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise argparse.ArgumentTypeError(f"want host:port, or several with commas between them; got {text!r}")
    return text


def add_connection(parser: argparse.ArgumentParser, topic: str) -> None:
    """Which broker and topic; `topic` is the default."""
    parser.add_argument(
        "--kafka-bootstrap",
        type=bootstrap,
        default=os.environ.get("KAFKA_BOOTSTRAP") or "127.0.0.1:9092",
        help="host:port of a broker; KAFKA_BOOTSTRAP sets another default",
    )
    parser.add_argument("--kafka-topic", default=topic, help="topic, which must be there")


def committed_reader(
    servers: str, topic: str, flags: tuple[str, str] = ("--kafka-bootstrap", "--kafka-topic")
) -> KafkaConsumer:
    """A consumer of committed records that belongs to no group; DataError if broker or topic is not there.

    Args:
        servers: addresses of the broker.
        topic: what it will read.
        flags: what errors name, for the broker and for the topic.
    """
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what matters of its warnings becomes one line of ours
    try:
        consumer = KafkaConsumer(
            bootstrap_servers=servers,
            bootstrap_timeout_ms=CONNECT_SECONDS * 1000,
            isolation_level="read_committed",
            allow_auto_create_topics=False,
            enable_auto_commit=False,
            group_id=None,
        )
        if topic not in consumer.topics():
            consumer.close()
            raise DataError(f"{flags[1]} {topic}: want a topic of {servers}, found none of that name")
    except (KafkaError, OSError) as error:
        raise unreachable(servers, error, flags[0]) from error
    return consumer


def idempotent_producer(servers: str, topic: str, **settings: Any) -> KafkaProducer:
    """A producer whose messages arrive once and in order; DataError if broker or topic is not there."""
    committed_reader(servers, topic).close()  # a producer alone would ask for a missing topic again and again
    try:
        return KafkaProducer(
            bootstrap_servers=servers,
            bootstrap_timeout_ms=CONNECT_SECONDS * 1000,
            enable_idempotence=True,
            acks="all",
            allow_auto_create_topics=False,
            **settings,
        )
    except (KafkaError, OSError) as error:
        raise unreachable(servers, error) from error


def unreachable(servers: str, error: BaseException, flag: str = "--kafka-bootstrap") -> DataError:
    """The error of a broker that does not answer; `flag` is what names it."""
    return DataError(f"{flag} {servers}: want a Kafka broker, got no answer: {one_line(error)}")
