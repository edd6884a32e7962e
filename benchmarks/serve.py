"""Rows per second and latency of the stream, beside what a user would write instead: same run, same topic.

Throughput is taken from the times at which Spark put down each batch's commit, the first batches left out, for
everybody alike. Prints one table and writes JSON to benchmarks/results/.
"""

import argparse
import itertools
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "code"), str(ROOT / "local")]

import jars  # noqa: E402
from broker import Broker  # noqa: E402
from services import free_port  # noqa: E402

from benchmarks import latency, processes  # noqa: E402
from sentiment import (  # noqa: E402
    arguments,
    jobs,
    tracking,
    tweet_files,
)

SHARED = ROOT.parent / "shared/data/sentiment140/tweets.csv.gz"
STREAM = ROOT / "code/streaming_serving_mlflow_hdfs_kafka.py"
MODEL = "twitter-sentiment-model-best"
DROPPED = 5
SWAPS = 20
OURS, OURS_KAFKA = "ours: Parquet", "ours: Parquet and Kafka"
LIMIT, TRANSFORM, UDF = "no model, Parquet", "plain transform, append", "mlflow spark_udf"


class Bench:
    """A broker, a topic full of tweets and a registered model, in one work folder."""

    def __init__(self, work: Path, rows: int, per_batch: int) -> None:
        self.work, self.rows, self.per_batch = work, rows, per_batch
        self.broker = Broker(work / "kafka", free_port(), free_port())
        self.uri = f"sqlite:///{work / 'mlflow.db'}"
        self.env = {
            "DO_NOT_TRACK": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "NO_GCE_CHECK": "true",
            "PYSPARK_PYTHON": sys.executable,
            "SENTIMENT_JARS": ",".join(jars.connector_jars()),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_SUBMIT_ARGS": "--master local[2] pyspark-shell",
        }

    def say(self, message: str) -> None:
        print(f"{datetime.now(UTC):%H:%M:%S}  {message}", flush=True)

    def run(self, name: str, *command: object) -> None:
        """Run something to its end, or say what it said last."""
        self.say(f"{name} ...")
        log = self.work / f"{name.replace(' ', '-').replace(':', '')}.log"
        measured = processes.run([sys.executable, *map(str, command)], log, folder=self.work, env=self.env)
        if measured.exit_code:
            raise jobs.DataError(f"{name} ended with {measured.exit_code}: {log.read_text()[-1500:]}")

    def prepare(self, data: Path) -> None:
        """Train a model, fill the topic."""
        train = (ROOT / "code/sentiment_multimodel.py", "--input", data, "--output", self.work / "models")
        self.run("training", *train, "--mlflow-uri", self.uri, "--models", "logisticregression")
        self.broker.start()
        self.broker.make_topics({"tweets": 3, "live": 3, "predictions": 3, "live-predictions": 3})
        self.say(f"{self.rows:,} messages ...")
        latency.fill(self.broker.bootstrap, "tweets", texts(data), self.rows)

    def model_folder(self) -> Path:
        """Files of the registered model."""
        client = tracking.client(self.uri)
        version = client.get_model_version_by_alias(MODEL, "champion")
        return Path(client.get_model_version_download_uri(MODEL, version.version).removeprefix("file://"))

    def stream(self, place: Path, topic: str, *more: object) -> list[object]:
        """The command of our stream."""
        kafka = ("--source-type", "kafka", "--kafka-bootstrap", self.broker.bootstrap, "--kafka-topic", topic)
        model = ("--mlflow-uri", self.uri, "--model-name", MODEL)
        places = ("--output-path", place / "out", "--checkpoint", place / "checkpoint")
        return [STREAM, *kafka, *model, *places, *more]

    def throughput(self, name: str) -> float:
        """Rows per second of one contender, its first batches left out."""
        place = self.work / f"place-{time.monotonic_ns()}"
        if name in (OURS, OURS_KAFKA):
            sink = ("--write-kafka", "--kafka-output-topic", "predictions") if name == OURS_KAFKA else ()
            limit = ("--available-now", "--max-offsets-per-trigger", self.per_batch)
            self.run(name, *self.stream(place, "tweets", *limit, *sink))
        else:
            peer = {LIMIT: "no-model", TRANSFORM: "transform", UDF: "spark-udf"}[name]
            options = ("--bootstrap", self.broker.bootstrap, "--topic", "tweets", "--per-batch", self.per_batch)
            script = ROOT / "benchmarks/peers/streams.py"
            self.run(name, script, peer, *options, "--model", self.model_folder(), "--work", place)
        found = rows_per_second(place, self.rows, self.per_batch)
        shutil.rmtree(place / "out")
        return found

    def live(self, seconds: int, rate: int) -> dict[str, float]:
        """Latency from Kafka to Kafka in seconds, p50, p95 and p99, at `rate` messages per second, trigger 0."""
        place = self.work / "live"
        more = ("--batch-interval-seconds", 0, "--write-kafka", "--kafka-output-topic", "live-predictions")
        self.say(f"latency at {rate} messages per second, {seconds} s ...")
        with self._background("latency", self.stream(place, "live", *more)) as process:
            return latency.measure(self.broker.bootstrap, "live", "live-predictions", rate, seconds, process)

    def swaps(self) -> dict[str, float]:
        """Seconds of batches with a swap in them against the others, in one stream."""
        place, client = self.work / "swaps", tracking.client(self.uri)
        first = client.get_model_version_by_alias(MODEL, "champion")
        second = client.create_model_version(MODEL, str(first.source), first.run_id)
        versions = [str(first.version), str(second.version)]
        more = ("--batch-interval-seconds", 0, "--reload-interval-seconds", 1, "--max-offsets-per-trigger", 1000)
        self.say(f"{SWAPS} swaps under load ...")
        with self._background("swaps", self.stream(place, "tweets", *more)) as process:
            manifests = latency.swap_under_load(place / "checkpoint/manifests", client, MODEL, versions, SWAPS, process)
        pairs = list(itertools.pairwise(manifests))[DROPPED:]
        swapped = [new["seconds"]["total"] for old, new in pairs if old["model_version"] != new["model_version"]]
        others = [new["seconds"]["total"] for old, new in pairs if old["model_version"] == new["model_version"]]
        return {
            "swaps": len(swapped),
            "median_with_swap": statistics.median(swapped),
            "median_others": statistics.median(others),
            "ratio": statistics.median(swapped) / statistics.median(others),
            "worst_with_swap": max(swapped),
        }

    def _background(self, name: str, command: list[object]) -> "latency.Background":
        return latency.Background([sys.executable, *map(str, command)], self.work / f"{name}.log", self.env)


def rows_per_second(place: Path, rows: int, per_batch: int) -> float:
    """From the times of a query's commits; the first DROPPED batches and a last one that is not full do not count."""
    commits = sorted((int(path.name), path.stat().st_mtime) for path in (place / "checkpoint/commits").glob("[0-9]*"))
    times = [moment for _, moment in commits]
    if len(times) < DROPPED + 3:
        raise jobs.DataError(f"{place}: want {DROPPED + 3} batches or more, found {len(times)}")
    last = len(times) - (1 if rows % per_batch else 0) - 1
    return (last - DROPPED + 1) * per_batch / (times[last] - times[DROPPED - 1])


def texts(data: Path) -> list[str]:
    """The texts of all tweets in a file."""
    found = map(tweet_files.parse, tweet_files.lines(tweet_files.find(data)))
    return [tweet.text for tweet in found if tweet is not None]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    whole = arguments.whole(1)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DATA") or SHARED), help="CSV of tweets")
    parser.add_argument("--rows", type=whole, default=300_000, help="messages in the topic")
    parser.add_argument("--per-batch", type=whole, default=10_000, help="messages per batch")
    parser.add_argument("--repeat", type=whole, default=1, help="runs of everybody; the table shows medians")
    parser.add_argument("--live-seconds", type=whole, default=90, help="seconds of the latency measurement")
    parser.add_argument("--rate", type=whole, default=500, help="messages per second for the latency")
    parser.add_argument("--skip", default="", help="parts to leave out: udf, latency, swaps (comma-separated)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    skipped = set(args.skip.split(","))
    began = datetime.now(UTC)
    result: dict[str, Any] = {"began": began.isoformat(timespec="seconds"), "machine": processes.machine()}
    with tempfile.TemporaryDirectory(prefix="bench-serve-") as folder:
        bench = Bench(Path(folder), args.rows, args.per_batch)
        try:
            bench.prepare(args.data.resolve())
            names = [OURS, OURS_KAFKA, LIMIT, TRANSFORM, *([] if "udf" in skipped else [UDF])]
            runs = {name: [bench.throughput(name) for _ in range(args.repeat)] for name in names}
            result["rows_per_second"] = {name: statistics.median(values) for name, values in runs.items()}
            result["runs"] = runs
            if "latency" not in skipped:
                result["latency_seconds"] = bench.live(args.live_seconds, args.rate)
            if "swaps" not in skipped:
                result["swaps"] = bench.swaps()
        finally:
            bench.broker.stop()
    path = ROOT / "benchmarks/results" / f"serve-{began:%Y%m%dT%H%M%SZ}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    show(result)
    print(f"\n{path}")


def show(result: dict[str, Any]) -> None:
    """Print the table."""
    limit = result["rows_per_second"][LIMIT]
    print(f"\n{'':<28} {'rows/s':>9} {'of the limit':>13}")
    for name, value in result["rows_per_second"].items():
        print(f"{name:<28} {value:>9,.0f} {value / limit:>13.2f}")
    if "latency_seconds" in result:
        latencies = result["latency_seconds"]
        figures = "  ".join(f"{name} {value:.2f} s" for name, value in latencies.items() if name != "messages")
        print(f"\nlatency, Kafka to Kafka: {figures}  ({latencies['messages']:,.0f} messages)")
    if "swaps" in result:
        print("swaps: " + "  ".join(f"{name} {value:.3g}" for name, value in result["swaps"].items()))


if __name__ == "__main__":
    jobs.run(main)
