"""Messages into a topic and predictions out of another: how long each takes, and swaps while they flow."""

import json
import os
import signal
import statistics
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from mlflow.tracking import MlflowClient

from benchmarks import processes
from sentiment.jobs import DataError

START_SECONDS = 180
WARM_SECONDS = 30
"""The first seconds of a stream compile its code; they are fed, and not counted."""

IDLE_SECONDS = 60


class Background:
    """A stream that runs beside a measurement and ends with it."""

    def __init__(self, command: list[str], log: Path, env: dict[str, str]) -> None:
        self.command, self.log, self.env = command, log, env
        self.process: subprocess.Popen[bytes]

    def __enter__(self) -> "Background":
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=log,
                cwd=self.log.parent,
                env={**os.environ, **self.env},
                start_new_session=True,
            )
        until = time.monotonic() + START_SECONDS
        while "the stream runs" not in self.log.read_text(errors="replace"):
            self.check()
            if time.monotonic() > until:
                raise DataError(f"the stream did not begin within {START_SECONDS} s: {self.log}")
            time.sleep(0.2)
        return self

    def check(self) -> None:
        """DataError if the stream has ended."""
        if self.process.poll() is not None:
            raise DataError(f"the stream ended: {self.log.read_text(errors='replace')[-1500:]}")

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        finally:
            processes.kill(self.process)


class Feed:
    """Messages into a topic at a steady rate, from a thread of its own; each id ends with its moment."""

    def __init__(self, bootstrap: str, topic: str, rate: int) -> None:
        self.count = 0
        self._topic, self._rate = topic, rate
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5})
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def __enter__(self) -> "Feed":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._producer.flush()

    def _send(self) -> None:
        began = time.monotonic()
        while not self._ended.is_set():
            while self.count < (time.monotonic() - began) * self._rate:
                text = f"a good day to you, number {self.count}, and a sad one for rain"
                _send(self._producer, self._topic, self.count, text, f"{time.time():.6f}")
                self.count += 1
            self._producer.poll(0.002)


def fill(bootstrap: str, topic: str, texts: list[str], count: int) -> None:
    """Send `count` tweets, beginning again when they are at their end."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 50})
    for number in range(count):
        _send(producer, topic, number, texts[number % len(texts)])
    producer.flush()


def measure(bootstrap: str, source: str, target: str, rate: int, seconds: int, stream: Background) -> dict[str, float]:
    """Latency of committed predictions in seconds: p50, p95, p99, and how many were counted."""
    latencies: list[float] = []
    settings = {"bootstrap.servers": bootstrap, "group.id": "latency", "isolation.level": "read_committed"}
    consumer = Consumer({**settings, "fetch.wait.max.ms": 20})
    parts = consumer.list_topics(target, timeout=20).topics[target].partitions
    consumer.assign([TopicPartition(target, part, 0) for part in parts])
    began = time.monotonic()
    with Feed(bootstrap, source, rate):
        while time.monotonic() - began < WARM_SECONDS + seconds:
            stream.check()
            for message in consumer.consume(1000, timeout=0.05):
                if time.monotonic() - began > WARM_SECONDS and not message.error():
                    latencies.append(time.time() - float(json.loads(message.value() or b"")["id"].partition("@")[2]))
    consumer.close()
    if len(latencies) < seconds * rate / 2:
        raise DataError(f"want {seconds * rate} predictions in {seconds} s, found {len(latencies)}")
    cuts = statistics.quantiles(latencies, n=100)
    return {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "messages": float(len(latencies))}


def swap_under_load(
    manifests: Path, client: MlflowClient, name: str, versions: list[str], swaps: int, stream: Background
) -> list[dict[str, Any]]:
    """Move the champion to and fro while the stream works, until it has followed `swaps` times; all its manifests.

    DataError where it has no more messages before that.
    """
    seen, followed, wanted = 0, 0, versions[0]
    last, moved = wanted, time.monotonic()
    while followed < swaps:
        stream.check()
        numbers = sorted(int(path.stem) for path in manifests.glob("[0-9]*.json"))
        for number in numbers[seen:]:
            version = json.loads((manifests / f"{number}.json").read_text())["model_version"]
            followed += version != last
            last = version
        idle = len(numbers) == seen
        seen = len(numbers)
        if not idle:
            moved = time.monotonic()
        elif time.monotonic() - moved > IDLE_SECONDS:
            raise DataError(f"want {swaps} swaps under load, found no batch for {IDLE_SECONDS} s after {followed}")
        if last == wanted and not idle and seen > 5:
            wanted = versions[1] if wanted == versions[0] else versions[0]
            client.set_registered_model_alias(name, "champion", wanted)
        time.sleep(0.2)
    return [json.loads((manifests / f"{number}.json").read_text()) for number in range(seen)]


def _send(producer: Any, topic: str, number: int, text: str, moment: str = "") -> None:
    key = f"b{number}@{moment}"
    value = json.dumps({"id": key, "text": text, "timestamp": "2026-01-01T00:00:00Z"})
    while True:
        try:
            producer.produce(topic, value, key)
            return
        except BufferError:
            producer.poll(0.1)
