"""Send tweets from a file to a Kafka topic as JSON, so many per second, each once and in the order of the file."""

import argparse

try:
    import sentiment  # noqa: F401
except ModuleNotFoundError:
    raise SystemExit(
        "produce_tweets.py: the package 'sentiment' is missing: submit dist/produce_tweets.py instead, "
        "or add --py-files dist/sentiment.zip (make package writes both)"
    ) from None
import itertools
import json
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError

from sentiment import flags, jobs, kafka_clients, tweet_files
from sentiment.jobs import DataError
from sentiment.tweet_files import Tweet

# A broker that is restarted is waited for; one that stays away ends the run.
DELIVERY_SECONDS = 120
LEAST_RATE = 0.00001  # less than one a day; the system cannot wait for ever
SETTINGS = {"linger_ms": 5, "batch_size": 65_536, "delivery_timeout_ms": DELIVERY_SECONDS * 1000}


def rate(text: str) -> float:
    """Messages per second, 0 for as many as possible."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if value != 0 and not LEAST_RATE <= value < math.inf:
        raise argparse.ArgumentTypeError(f"want 0 or a number >= {LEAST_RATE}, got {text!r}")
    return value


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = flags.parser(__doc__)
    parser.add_argument(
        "--input",
        type=flags.local_path,
        required=True,
        help="file of tweets, or a folder of them: Sentiment140's CSV (.csv, .csv.gz) or JSON lines (.json, .jsonl)",
    )
    kafka_clients.add_connection(parser, topic="sentiment-input")
    parser.add_argument("--rate", type=rate, default=100, help="messages per second; 0: as many as possible")
    parser.add_argument("--limit", type=flags.whole(0), default=0, help="messages to send; 0: all there are")
    parser.add_argument("--label", action="store_true", help="send the label along: 0.0, 1.0, or null if neutral")
    parser.add_argument("--loop", action="store_true", help="begin again at the end of the input, until --limit")
    parser.add_argument(
        "--shuffle",
        action="store_true",
        help="send in an order of chance, always the same; the input is held in memory",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    files = tweet_files.find(args.input)
    producer = kafka_clients.idempotent_producer(args.kafka_bootstrap, args.kafka_topic, **SETTINGS)
    sender = Sender(producer, args.kafka_topic, args.label)
    tweets = Tweets(files, args.loop, args.shuffle)
    began = time.monotonic()
    try:
        with Interruptions() as interruptions, progress(tweets, args.limit) as step:
            for tweet in paced(itertools.islice(tweets, args.limit or None), args.rate):
                with interruptions.held_back():
                    sender.send(tweet)
                step()
    finally:
        # What was sent before an interruption is acknowledged too, and told.
        try:
            sender.finish()
        finally:
            seconds = time.monotonic() - began
            print(f"sent {sender.acknowledged} messages to {args.kafka_topic} in {seconds:.1f} s", flush=True)
            if tweets.skipped:
                print(f"left out {tweets.skipped} lines that hold no tweet", flush=True)


class Tweets:
    """The tweets of some files, once or round and round; `skipped` counts the lines that hold none."""

    def __init__(self, files: list[Path], loop: bool, shuffle: bool) -> None:
        self.files = files
        self.loop = loop
        self.shuffle = shuffle
        self.skipped = 0

    def __iter__(self) -> Iterator[Tweet]:
        while True:
            found = tweet_files.lines(self.files)
            any_tweet = False
            for line in tweet_files.shuffled(found, seed=42) if self.shuffle else found:
                tweet = tweet_files.parse(line)
                if tweet is None:
                    self.skipped += 1
                else:
                    any_tweet = True
                    yield tweet
            if not any_tweet:
                names = ", ".join(str(path) for path in self.files)
                raise DataError(f"--input: want tweets, found none in {names} ({self.skipped} lines that hold none)")
            if not self.loop:
                return

    def count(self) -> int | None:
        """About how many there are; None: no end."""
        return None if self.loop else sum(1 for _ in tweet_files.lines(self.files))


class Sender:
    """Sends tweets and keeps count of what the broker acknowledged; the first message that fails ends it."""

    def __init__(self, producer: KafkaProducer, topic: str, with_label: bool) -> None:
        self.producer = producer
        self.topic = topic
        self.with_label = with_label
        self.sent = 0
        self.acknowledged = 0
        self._lock = threading.Lock()
        self._error: BaseException | None = None

    def send(self, tweet: Tweet) -> None:
        """Hand one tweet to the producer; DataError if this one, or one before it, could not be delivered."""
        self._complain()
        try:
            future = self.producer.send(self.topic, key=tweet.id.encode("utf-8", "replace"), value=self.message(tweet))
        except MessageSizeTooLargeError as error:
            raise DataError(f"--input: the tweet {tweet.id} is too long for Kafka: {error.args[0]}") from error
        except KafkaError as error:
            raise self._undelivered(error) from error
        self.sent += 1
        future.add_callback(self._count)
        future.add_errback(self._keep)

    def message(self, tweet: Tweet) -> bytes:
        """The tweet as the stream reads it: JSON with text, id, the time of sending and, if wanted, the label."""
        fields: dict[str, Any] = {"text": tweet.text, "id": tweet.id, "timestamp": datetime.now(UTC).isoformat()}
        if self.with_label:
            fields["label"] = tweet.label
        return json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace")

    def finish(self) -> None:
        """Wait until every message is acknowledged; DataError if one is not."""
        try:
            self.producer.flush(timeout=DELIVERY_SECONDS + 10)
        except KafkaError as error:
            self._keep(error)
        finally:
            self.producer.close(timeout=0 if self._error else 10)
        self._complain()
        if self.acknowledged != self.sent:
            raise DataError(f"--kafka-topic {self.topic}: {self.sent - self.acknowledged} messages not acknowledged")

    def _count(self, _metadata: object) -> None:
        with self._lock:
            self.acknowledged += 1

    def _keep(self, error: BaseException) -> None:
        self._error = self._error or error

    def _complain(self) -> None:
        if self._error is not None:
            raise self._undelivered(self._error) from self._error

    def _undelivered(self, error: BaseException) -> DataError:
        reason = jobs.one_line(error)
        return DataError(f"--kafka-topic {self.topic}: a message could not be delivered: {reason}")


def paced(tweets: Iterator[Tweet], per_second: float) -> Iterator[Tweet]:
    """The tweets, `per_second` of them; a pause of the broker is caught up with, so that the mean holds."""
    began = time.monotonic()
    for number, tweet in enumerate(tweets):
        if per_second:
            ahead = began + number / per_second - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
        yield tweet


@contextmanager
def progress(tweets: Tweets, limit: int) -> Iterator[Callable[[], object]]:
    """What to call after each message: it moves a progress bar on a terminal, and does nothing elsewhere."""
    bar = _bar(tweets, limit) if sys.stderr.isatty() else None
    if bar is None:
        yield lambda: None
    else:
        with bar:
            yield bar.update


def _bar(tweets: Tweets, limit: int) -> Any:
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:  # a cluster's environment is small
        return None
    total = min(limit or math.inf, tweets.count() or math.inf)
    return tqdm(total=None if total == math.inf else total, unit=" tweets", mininterval=0.5)


class Interruptions:
    """Inside, SIGTERM interrupts like Ctrl-C, and both only between two messages: a message that is on its way when
    the interruption comes is counted, so that what is told in the end is what the topic holds."""

    def __init__(self) -> None:
        self._sending = self._asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # nowhere else can a handler be set
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Inside, an interruption waits for the end."""
        self._sending = True
        try:
            yield
        finally:
            self._sending = False
        if self._asked:
            raise KeyboardInterrupt

    def _interrupt(self, _number: int, _frame: object) -> None:
        self._asked = True
        if not self._sending:
            raise KeyboardInterrupt


if __name__ == "__main__":
    jobs.run(main)
