"""Show predictions as they arrive on a Kafka topic, with counts per class and model version."""

import argparse

try:
    import sentiment  # noqa: F401
except ModuleNotFoundError:
    raise SystemExit(
        "consume_predictions.py: the package 'sentiment' is missing: submit dist/consume_predictions.py instead, "
        "or add --py-files dist/sentiment.zip (make package writes both)"
    ) from None
import sys
import time
from collections.abc import Iterator

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError

from sentiment import flags, jobs, kafka_clients, prediction_views, signals
from sentiment.prediction_views import Tally, View

EARLIEST, LATEST = "earliest", "latest"
POLL_MS = 250
STALL_SECONDS = 40  # after which --once gives up on a broker that went away


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = flags.parser(__doc__)
    kafka_clients.add_connection(parser, topic="sentiment-predictions")
    parser.add_argument("--once", action="store_true", help="show what is there when it starts, then end")
    parser.add_argument("--limit", type=flags.whole(0), default=0, help="end after so many records; 0: no limit")
    parser.add_argument(
        "--from",
        dest="start",
        choices=[EARLIEST, LATEST],
        help="where to begin (default: earliest with --once, latest otherwise)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the records themselves, one a line; the counts go to stderr"
    )
    args = parser.parse_args(argv)
    args.start = args.start or (EARLIEST if args.once else LATEST)
    if args.once and args.start == LATEST:
        parser.error("--from latest: want earliest with --once: behind the latest record there is nothing to show")
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    consumer = kafka_clients.committed_reader(args.kafka_bootstrap, args.kafka_topic)
    tally = Tally()
    view = prediction_views.choose(args.json, f"{args.kafka_topic} on {args.kafka_bootstrap}", tally)
    try:
        with view:
            show(batches(consumer, args.kafka_topic, args.start, args.once), view, tally, args.limit)
    except KafkaError as error:
        raise kafka_clients.unreachable(args.kafka_bootstrap, error) from error
    except KeyboardInterrupt as ended:
        if args.once or isinstance(ended, signals.EndedBySignalError):
            raise
    finally:
        consumer.close()
    print(tally.summary(), file=sys.stderr if args.json else sys.stdout, flush=True)


def show(found: Iterator[list[bytes | None]], view: View, tally: Tally, limit: int) -> None:
    """Show record after record until they end, or `limit` of them were shown."""
    for values in found:
        for value in values:
            prediction = prediction_views.read(value)
            tally.add(prediction)
            view.show(prediction)
            if limit and tally.sentiments.total() >= limit:
                view.refresh()
                return
        view.refresh()


def batches(consumer: KafkaConsumer, topic: str, start: str, once: bool) -> Iterator[list[bytes | None]]:
    """The committed values of a topic as they come, while somebody reads, or up to where it ended at the start.

    Partitions that the topic is given meanwhile are read from their beginning, as soon as the consumer's next look at
    the topic (every five minutes) finds them.
    """
    parts = _partitions(consumer, topic)
    ends = consumer.end_offsets(parts)  # of what is committed: an open transaction lies behind them
    consumer.assign(parts)
    if start == EARLIEST:
        consumer.seek_to_beginning(*parts)
    else:
        for part in parts:
            consumer.seek(part, ends[part])
    quiet_since = time.monotonic()
    while jobs.is_heard() and (not once or any(consumer.position(part) < ends[part] for part in parts)):
        new = [] if once else [part for part in _partitions(consumer, topic) if part not in parts]
        if new:
            parts += new
            consumer.assign(parts)  # those that it had stay where they are
            consumer.seek_to_beginning(*new)
        polled = consumer.poll(timeout_ms=POLL_MS)
        if polled:
            quiet_since = time.monotonic()
        elif once and time.monotonic() - quiet_since > STALL_SECONDS:
            raise KafkaTimeoutError(f"nothing came for {STALL_SECONDS} s")
        values = [
            record.value
            for part, records in polled.items()
            for record in records
            if not once or record.offset < ends[part]
        ]
        if values:
            yield values


def _partitions(consumer: KafkaConsumer, topic: str) -> list[TopicPartition]:
    """The partitions of a topic as far as the consumer knows."""
    return [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]


if __name__ == "__main__":
    jobs.run(main)
