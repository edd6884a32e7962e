"""The surroundings of one line: its topics, its folders, its streams, and what they must have written in the end."""

import json
import os
import random
import shutil
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from broker import Broker
from confluent_kafka import Producer

from chaos import checks, zoo
from chaos.stream import CODE, RUNS, Broken, Stream
from sentiment.sample import Dice, tweet

PARTITIONS = 3
DONE_SECONDS = 150.0
UNDER_LOAD = 2_000
"""Messages in a batch at most where they arrive all the while; else batches are small, so that there are several."""


@dataclass
class World:
    """What all lines share.

    Attributes:
        environ: the environment of every driver: this process's as it was at first.
    """

    folder: Path
    broker: Broker
    zoo: zoo.Zoo
    random: random.Random
    kills: int = 25
    environ: dict[str, str] = field(default_factory=lambda: dict(os.environ))


@dataclass
class Place:
    """One line's own topics and folders; its streams end with it."""

    world: World
    name: str
    ids: list[str] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    checked: int = 0

    def __post_init__(self) -> None:
        self.folder = self.world.folder / self.name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.checkpoint, self.output = self.folder / "checkpoint", self.folder / "out"
        self.dead = self.folder / "out-dead-letters"
        self.bootstrap = self.world.broker.bootstrap
        self.input_topic, self.output_topic = f"{self.name}-in", f"{self.name}-out"
        self.input_broker = self.output_broker = self.world.broker
        self.world.broker.make_topics({self.input_topic: PARTITIONS, self.output_topic: PARTITIONS})

    def start(
        self, *extra: str, env: dict[str, str] | None = None, master: str = "", code: Path = CODE, **changed: Any
    ) -> Stream:
        """Start a driver on this place's checkpoint; `changed` are arguments of the script, None leaves one out."""
        settings: dict[str, Any] = {
            "source_type": "kafka",
            "kafka_bootstrap": self.input_broker.bootstrap,
            "kafka_topic": self.input_topic,
            "max_offsets_per_trigger": 100,
            "output_path": self.output,
            "checkpoint": self.checkpoint,
            "mlflow_uri": self.world.zoo.uri,
            "model_name": zoo.NAME,
            "batch_interval_seconds": 0,
            "reload_interval_seconds": 1,
            "batch_retry_seconds": 60,
            "write_kafka": "true",
            "kafka_output_bootstrap": self.output_broker.bootstrap,
            "kafka_output_topic": self.output_topic,
        } | changed
        words = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items() if value is not None]
        log = self.folder / f"life-{len(self.streams)}.log"
        stream = Stream(log, [*words, *extra], env, master, code, self.world.environ)
        self.streams.append(stream)
        return stream

    def running(self, *extra: str, **changed: Any) -> Stream:
        """Start a driver and wait until its query runs."""
        return self.start(*extra, **changed).wait_for(RUNS)

    def standing_at(self, step: str, **changed: Any) -> Stream:
        """Start a driver and wait until it stands still at a named point (`after-parquet:3`)."""
        stream = self.start(env={"SENTIMENT_PAUSE_AT": step}, **changed)
        return stream.wait_for(f"standing still at {step.partition(':')[0]}")

    def feed(self, count: int, text: str = "") -> list[str]:
        """Send so many messages with ids of their own; a text, or tweets."""
        dice = Dice(len(self.ids))
        fresh = [f"{self.name}-{number}" for number in range(len(self.ids), len(self.ids) + count)]
        self.send([_message(each, text or tweet(dice, dice.chance(0.5))) for each in fresh])
        self.ids += fresh
        return fresh

    def send(self, values: list[bytes | None]) -> None:
        """Send raw messages, and wait until the broker has them."""
        settings = {"linger.ms": 5, "message.max.bytes": 2_000_000}
        producer = Producer({"bootstrap.servers": self.input_broker.bootstrap, **settings})
        for number, value in enumerate(values):
            while True:
                try:
                    producer.produce(self.input_topic, value, key=str(number))
                    break
                except BufferError:
                    producer.poll(0.1)
        if producer.flush(60):
            raise Broken(f"{self.input_topic}: the broker did not take all messages")

    @contextmanager
    def load(self, per_second: int) -> Iterator[None]:
        """Send messages all the while."""
        ended = threading.Event()

        def send() -> None:
            while not ended.wait(0.5):
                self.feed(max(1, per_second // 2))

        thread = threading.Thread(target=send, name="load")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def manifests(self) -> dict[int, dict[str, Any]]:
        """What the complete batches say of themselves."""
        return {int(path.stem): json.loads(path.read_text()) for path in self.checkpoint.glob("manifests/[0-9]*.json")}

    def rows_done(self) -> int:
        """Messages in complete batches."""
        return sum(int(each["rows_in"]) for each in self.manifests().values())

    def await_batch(self, stream: Stream, number: int) -> None:
        """Wait until that batch is complete."""
        path = self.checkpoint / "manifests" / f"{number}.json"
        stream.wait_until(path.exists, f"to complete batch {number}")

    def await_all(self, stream: Stream, seconds: float = DONE_SECONDS, extra: int = 0) -> None:
        """Wait until all messages (and so many more than the known ids) are in complete batches."""
        self.await_rows(stream, len(self.ids) + extra, seconds)

    def await_rows(self, stream: Stream, wanted: int, seconds: float = DONE_SECONDS) -> None:
        """Wait until so many messages are in complete batches."""
        stream.wait_until(lambda: self.rows_done() >= wanted, f"to complete {wanted} messages", seconds)

    def settle(self, stream: Stream | None = None) -> None:
        """Have the stream (or a new one) complete everything; then kill it and count."""
        stream = stream or self.start(max_offsets_per_trigger=UNDER_LOAD)
        self.await_all(stream)
        stream.kill()
        self.every_message_once()

    def every_message_once(self) -> pd.DataFrame:
        """Broken unless every id is once in Parquet and once in Kafka, with the one version of its batch."""
        frame = checks.rows(self.output)
        if frame.empty or not self.ids:
            raise Broken("no rows: nothing was checked")
        checks.one_version_per_batch(frame)
        self.checked += checks.each_once(self.ids, frame["id"], "Parquet")
        found = checks.records(self.output_broker.bootstrap, self.output_topic)
        checks.each_once(self.ids, [each["key"] for each in found], "Kafka")
        said = {row["source"]: row for row in frame.to_dict("records")}
        for each in found:
            row = said[each["source"]]
            same = (each["value"]["id"], each["model_version"], each["batch_id"])
            if same != (row["id"], row["model_version"], str(row["batch_id"])):
                raise Broken(f"{each['source']}: Kafka has {same}, Parquet {row['id']}, {row['model_version']}")
        return frame

    def close(self) -> None:
        """No process of this line outlives it."""
        for stream in self.streams:
            if stream.process.poll() is None:
                stream.thaw()
                stream.kill()


def metrics(port: int, wanted: str) -> float:
    """One figure of /metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    for line in text.splitlines():
        if line.startswith(wanted + " "):
            return float(line.rpartition(" ")[2])
    raise Broken(f"/metrics has no {wanted}")


def _message(identity: str, text: str) -> bytes:
    content = {"text": text, "id": identity, "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    return json.dumps(content).encode()
