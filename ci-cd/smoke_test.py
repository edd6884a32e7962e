"""Send a stream marked messages and wait for their predictions, scored by the version that is to be live.

Where the messages go and where the predictions come out, the stream's checkpoint says. Exit 1: a message has no
prediction in time, or another version scored it.
"""

import argparse
import csv
import io
import json
import os
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "code"))
try:
    import sentiment  # noqa: F401
except ModuleNotFoundError:
    raise SystemExit("smoke_test.py: the package 'sentiment' is missing: want it in code/ beside ci-cd/") from None
from kafka import TopicPartition
from kafka.errors import KafkaError

from sentiment import arguments, flags, jobs, kafka_clients, objects
from sentiment.health import streams
from sentiment.jobs import DataError
from sentiment.roles import CHAMPION
from sentiment.serving import layout
from sentiment.serving.settings import KAFKA

TEXTS = ("I love this wonderful day, thank you", "I hate this, so sad and sick", "just a day")
PAUSE_SECONDS = 3.0
SEND_SECONDS = 30
Scored = dict[str, str]
"""Model and version, as `named` gives them, by text."""


@dataclass(frozen=True)
class Brokers:
    """Addresses of the brokers that a stream reads from and writes to; its checkpoint does not hold them."""

    input: str
    output: str


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = flags.parser(__doc__)
    parser.add_argument("--checkpoint", required=True, help="the stream's checkpoint, a local folder or gs://")
    arguments.add_mlflow_uri(parser)
    parser.add_argument(
        "--model-name", type=arguments.model_name, default="twitter-sentiment-model-best", help="registered model"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--model-alias", default=CHAMPION, help="alias of the version that is to be live")
    which.add_argument("--version", type=flags.whole(1), help="the version that is to be live")
    parser.add_argument(
        "--kafka-bootstrap",
        type=kafka_clients.bootstrap,
        default=os.environ.get("KAFKA_BOOTSTRAP") or "127.0.0.1:9092",
        help="host:port of the stream's broker; KAFKA_BOOTSTRAP sets another default",
    )
    parser.add_argument(
        "--kafka-output-bootstrap",
        type=kafka_clients.bootstrap,
        help="broker of the output topic, if it is another (default: --kafka-bootstrap)",
    )
    parser.add_argument(
        "--timeout",
        type=flags.whole(1),
        default=180,
        help="seconds until the predictions must be there, by the right version; until then messages are sent anew",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    checkpoint = objects.folder_at(args.checkpoint, "--checkpoint")
    stream = settings(checkpoint)
    from mlflow.exceptions import MlflowException

    from sentiment import tracking
    from sentiment.registry import standing

    client = tracking.connect(args.mlflow_uri, make=False)

    def wanted() -> str:
        if args.version:
            return named(args.model_name, args.version)
        found, why = None, ""
        try:
            found = standing(client, args.model_name, args.model_alias)
        except MlflowException as error:
            why = f": {tracking.brief(error)}"
        if found is None:
            wanted = f"want a version of {args.model_name} with it"
            raise DataError(f"--model-alias {args.model_alias}: {wanted}, found none{why}")
        return named(args.model_name, found)

    brokers = Brokers(args.kafka_bootstrap, args.kafka_output_bootstrap or args.kafka_bootstrap)
    seconds, model = watch(stream, brokers, wanted, args.timeout)
    print(f"{len(TEXTS)} messages in, {len(TEXTS)} predictions out after {seconds:.1f} s, by {model}")


def named(model: str, version: object) -> str:
    """A version of a model, for people."""
    return f"{model} version {version}"


def settings(checkpoint: str) -> dict[str, str]:
    """What the stream was started with, by flag; DataError: it does not say where messages go and come out."""
    found = streams.settings(checkpoint)
    if found is None:
        raise DataError(f"--checkpoint {checkpoint}: want the checkpoint of a stream, found none")
    reads = ["--kafka-topic"] if found.get("--source-type") == KAFKA else ["--input-path", "--file-format"]
    writes = [] if found.get("--kafka-output-topic") else ["--output-path"]
    missing = [flag for flag in ("--source-type", *reads, *writes) if not found.get(flag)]
    if missing:
        location = f"{checkpoint}/{layout.SETTINGS}"
        raise DataError(f"{location}: want the settings of a stream, found no {', '.join(missing)} in it")
    return {flag: str(value) for flag, value in found.items()}


def watch(stream: dict[str, str], brokers: Brokers, wanted: Callable[[], str], timeout: float) -> tuple[float, str]:
    """Send until all of one round was scored by what is wanted: the seconds of that round, and model and version.

    Raises:
        DataError: no round was, within `timeout` seconds.
    """
    until = time.monotonic() + timeout
    while True:
        marker = f"smoke-{uuid.uuid4().hex[:12]}"
        texts = [f"{text} {marker}" for text in TEXTS]
        collect = predictions(stream, brokers.output, marker)
        began = time.monotonic()
        send(stream, brokers.input, marker, texts)
        told: Scored = {}
        while set(told) < set(texts):
            if time.monotonic() > until:
                raise DataError(
                    f"want {len(texts)} predictions within {timeout:.0f} s, found {len(told)}: "
                    "the driver's output says what the stream does"
                )
            told |= collect()
        model, found = wanted(), sorted(set(told.values()))
        if found == [model]:
            return time.monotonic() - began, model
        line = f"want predictions by {model}, found them by {', '.join(found)}"
        if time.monotonic() + PAUSE_SECONDS > until:
            raise DataError(f"{line}, for {timeout:.0f} s")
        print(f"{line}: the stream looks at its alias every --reload-interval-seconds; sending again", flush=True)
        time.sleep(PAUSE_SECONDS)


def send(stream: dict[str, str], bootstrap: str, marker: str, texts: list[str]) -> None:
    """Send the texts to the stream, with ids made of the marker and without a label."""
    if stream["--source-type"] == KAFKA:
        topic = stream["--kafka-topic"]
        producer = kafka_clients.idempotent_producer(bootstrap, topic)
        try:
            for line in json_lines(marker, texts):
                producer.send(topic, key=json.loads(line)["id"].encode(), value=line.encode()).get(SEND_SECONDS)
        except KafkaError as error:
            wanted = f"want messages to be taken for {topic} within {SEND_SECONDS} s"
            raise DataError(f"--kafka-bootstrap {bootstrap}: {wanted}, found {jobs.one_line(error)}") from error
        finally:
            producer.close(timeout=10)
        return
    kind = stream["--file-format"]
    rows = [["2", f"{marker}-{place}", "", "NO_QUERY", "smoke", text] for place, text in enumerate(texts)]
    if kind == "csv-header":
        rows = [["id", "text"], *([row[1], row[5]] for row in rows)]
    if kind == "json":
        content = "\n".join(json_lines(marker, texts))
    elif kind == "text":
        content = "\n".join(texts)
    else:
        content = csv_lines(rows)
    ending = {"json": "json", "text": "txt"}.get(kind, "csv")
    objects.replace(f"{stream['--input-path'].rstrip('/')}/{marker}.{ending}", f"{content.rstrip()}\n")


def json_lines(marker: str, texts: list[str]) -> list[str]:
    """The messages as the stream reads them from Kafka."""
    now = datetime.now(UTC).isoformat()
    return [json.dumps({"text": text, "id": f"{marker}-{place}", "timestamp": now}) for place, text in enumerate(texts)]


def csv_lines(rows: list[list[str]]) -> str:
    """Rows as Sentiment140 has them: every field quoted."""
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return file.getvalue()


def predictions(stream: dict[str, str], bootstrap: str, marker: str) -> Callable[[], Scored]:
    """What gives the marked predictions that came since its last call; it begins with what comes from now on."""
    if stream.get("--kafka-output-topic"):
        return from_kafka(bootstrap, stream["--kafka-output-topic"], marker)
    return from_parquet(stream["--output-path"].rstrip("/"), marker)


def from_kafka(bootstrap: str, topic: str, marker: str) -> Callable[[], Scored]:
    """Committed records of the topic of predictions."""
    flags = ("--kafka-output-bootstrap", "--kafka-output-topic")
    consumer = kafka_clients.committed_reader(bootstrap, topic, flags)
    parts = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    consumer.assign(parts)
    try:
        for part, end in consumer.end_offsets(parts).items():
            consumer.seek(part, end)
    except KafkaError as error:
        raise kafka_clients.unreachable(bootstrap, error, flags[0]) from error

    def collect() -> Scored:
        try:
            records = [record for found in consumer.poll(timeout_ms=500).values() for record in found]
        except KafkaError as error:
            raise kafka_clients.unreachable(bootstrap, error, flags[0]) from error
        rows = [json.loads(record.value) for record in records if record.value and marker.encode() in record.value]
        return scored(rows)

    return collect


def from_parquet(output: str, marker: str) -> Callable[[], Scored]:
    """Files of predictions of yesterday, today and tomorrow: their date is that of the input, in UTC."""
    days = [(datetime.now(UTC) + timedelta(days=day)).strftime("date=%Y-%m-%d") for day in (-1, 0, 1)]
    folders = [f"{output}/{day}" for day in days]

    def found() -> set[str]:
        return {f"{folder}/{name}" for folder in folders for name in objects.names(folder) if name.endswith(".parquet")}

    known = found()

    def collect() -> Scored:
        time.sleep(0.5)
        fresh = found() - known
        known.update(fresh)
        rows = [row for path in fresh for row in read_parquet(path)]
        return scored([row for row in rows if marker in (row["text"] or "")])

    return collect


def scored(rows: list[dict[str, str]]) -> Scored:
    """What predictions say of who made them."""
    return {row["text"]: named(row["model_name"], row["model_version"]) for row in rows}


def read_parquet(location: str) -> list[dict[str, str]]:
    """Text, model and version of each prediction in a file; none when a replayed batch has just taken it away."""
    import pyarrow.parquet as pq

    content = objects.read_bytes(location)
    if content is None:
        return []
    columns = ["text", "model_name", "model_version"]
    rows: list[dict[str, str]] = pq.read_table(io.BytesIO(content), columns=columns).to_pylist()
    return rows


if __name__ == "__main__":
    jobs.run(main)
