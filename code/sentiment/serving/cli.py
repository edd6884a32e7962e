"""The arguments of a stream, and which of them fit together."""

import argparse
import json
import os
from typing import Any

from sentiment.flags import MOST_INT, MOST_LONG, folder, model_name, whole
from sentiment.jobs import ArgumentsError
from sentiment.roles import CHAMPION, STAGES
from sentiment.serving import layout, places
from sentiment.serving.settings import (
    AT_LEAST_ONCE,
    CSV,
    EXACTLY_ONCE,
    FILE,
    FORMATS,
    KAFKA,
    PYFUNC,
    SPARK,
    ModelChoice,
    Serving,
    Sinks,
    Source,
)

_ALIASES = {stage: alias for alias, stage in STAGES.items()}
_KAFKA_ONLY = ("kafka_bootstrap", "kafka_topic", "starting_offsets", "max_offsets_per_trigger", "on_data_loss")
_FILE_ONLY = ("input_path", "max_files_per_trigger", "file_format")
_KAFKA_SINK = ("kafka_output_bootstrap", "kafka_output_topic", "kafka_delivery")


def add_all(parser: argparse.ArgumentParser) -> None:
    """All arguments of the serving script."""
    parser.add_argument("--source-type", required=True, choices=[FILE, KAFKA], help="where the messages come from")
    _add_sources(parser)
    parser.add_argument(
        "--output-path", required=True, type=folder, help="folder of the predictions (Parquet, date=.../)"
    )
    parser.add_argument(
        "--checkpoint", required=True, type=folder, help="folder of the stream's memory; one per stream"
    )
    add_model(parser)
    _add_rhythm(parser)
    _add_sinks(parser)


def add_model(parser: argparse.ArgumentParser) -> None:
    """Which model scores."""
    parser.add_argument("--mlflow-uri", required=True, help="MLflow tracking server or database")
    parser.add_argument("--model-name", required=True, type=model_name, help="registered model")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--model-stage", choices=list(_ALIASES), help="Production (alias champion, the default) or Staging (challenger)"
    )
    which.add_argument("--model-alias", type=model_name, help="alias to follow")
    which.add_argument("--model-version", type=whole(1), help="one version, never swapped")
    parser.add_argument(
        "--model-flavor",
        choices=[SPARK, PYFUNC],
        default=SPARK,
        help="spark, or pyfunc for any MLflow model (scored in the executors' Python workers)",
    )


def add_text_limit(parser: argparse.ArgumentParser) -> None:
    """How long a text may be."""
    parser.add_argument(
        "--max-text-chars", type=whole(1), default=20_000, help="longer texts are dead letters, in characters"
    )


def choice(args: argparse.Namespace) -> ModelChoice:
    """The model that the arguments name."""
    alias = args.model_alias or _ALIASES.get(args.model_stage, CHAMPION)
    version = str(args.model_version) if args.model_version else ""
    return ModelChoice(args.mlflow_uri, args.model_name, alias, version, args.model_flavor)


def settings(args: argparse.Namespace) -> Serving:
    """The stream that the arguments describe; ArgumentsError names what does not fit its source or sinks."""
    kafka = args.source_type == KAFKA
    wrong = [_flag(name) for name in (_FILE_ONLY if kafka else _KAFKA_ONLY) if getattr(args, name) is not None]
    if wrong:
        raise ArgumentsError(f"{', '.join(wrong)}: want no such argument with --source-type {args.source_type}")
    missing = [
        _flag(name)
        for name in (("kafka_bootstrap", "kafka_topic") if kafka else ("input_path",))
        if not getattr(args, name)
    ]
    if missing:
        raise ArgumentsError(f"{', '.join(missing)}: want a value with --source-type {args.source_type}, found none")
    source, sinks = _source(args), _sinks(args)
    written = {
        "--output-path": sinks.output,
        "--dead-letter-path": sinks.dead_letters,
        "--write-gcs": sinks.json_output,
        "--checkpoint": args.checkpoint,
    }
    places.check_folders(source.path, {flag: folder for flag, folder in written.items() if folder})
    return Serving(
        source=source,
        sinks=sinks,
        model=choice(args),
        checkpoint=args.checkpoint,
        interval_seconds=args.batch_interval_seconds,
        reload_seconds=args.reload_interval_seconds,
        retry_seconds=args.batch_retry_seconds,
        available_now=args.available_now,
        max_text_chars=args.max_text_chars,
        metrics_port=args.metrics_port,
    )


def _source(args: argparse.Namespace) -> Source:
    if args.source_type == KAFKA:
        begin = args.starting_offsets or "earliest"
        if "{" in begin and list(json.loads(begin)) != [args.kafka_topic]:
            raise ArgumentsError(f"--starting-offsets: want offsets of --kafka-topic {args.kafka_topic}, found {begin}")
        return Source(
            KAFKA,
            bootstrap=args.kafka_bootstrap,
            topic=args.kafka_topic,
            starting_offsets=begin,
            max_offsets=args.max_offsets_per_trigger or 50_000,
            on_data_loss=args.on_data_loss or "fail",
        )
    return Source(
        FILE,
        path=args.input_path.rstrip("/") or "/",
        format=args.file_format or CSV,
        max_files=args.max_files_per_trigger or 10,
    )


def _sinks(args: argparse.Namespace) -> Sinks:
    bootstrap = args.kafka_output_bootstrap or args.kafka_bootstrap or ""
    wants_kafka = args.write_kafka or args.dead_letter_topic
    if args.write_kafka and not args.kafka_output_topic:
        raise ArgumentsError("--kafka-output-topic: want a topic with --write-kafka, found none")
    if wants_kafka and not bootstrap:
        raise ArgumentsError("--kafka-output-bootstrap: want the address of a broker to write to, found none")
    unused = [_flag(name) for name in _KAFKA_SINK if getattr(args, name) is not None]
    if unused and not wants_kafka:
        raise ArgumentsError(f"{', '.join(unused)}: want --write-kafka with it, found none")
    if args.kafka_output_topic and not args.write_kafka:
        raise ArgumentsError("--kafka-output-topic: want --write-kafka with it, found none")
    places.check_topics(
        {
            "--kafka-topic": (args.kafka_bootstrap or "", args.kafka_topic or ""),
            "--kafka-output-topic": (bootstrap, args.kafka_output_topic or ""),
            "--dead-letter-topic": (bootstrap, args.dead_letter_topic or ""),
        }
    )
    output = args.output_path
    return Sinks(
        output=output,
        dead_letters=args.dead_letter_path or layout.dead_letters(output),
        json_output=f"{output}-json" if args.write_gcs else "",
        bootstrap=bootstrap if wants_kafka else "",
        topic=args.kafka_output_topic if args.write_kafka else "",
        dead_letter_topic=args.dead_letter_topic or "",
        delivery=args.kafka_delivery or EXACTLY_ONCE,
    )


def _add_sources(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--input-path", help="folder to watch; files that lie there already count too")
    parser.add_argument("--max-files-per-trigger", type=whole(1), help="files per batch (default: 10)")
    parser.add_argument(
        "--file-format",
        choices=FORMATS,
        help="csv: Sentiment140's six columns; csv-header: a header naming text; json, text: one per line "
        "(default: csv)",
    )
    parser.add_argument("--kafka-bootstrap", help="broker address of the source")
    parser.add_argument("--kafka-topic", help="topic of the source")
    parser.add_argument(
        "--starting-offsets",
        type=_offsets,
        help="where a new checkpoint begins: earliest, latest or JSON (default: earliest)",
    )
    parser.add_argument("--max-offsets-per-trigger", type=whole(1), help="messages per batch (default: 50000)")
    parser.add_argument(
        "--on-data-loss",
        choices=["fail", "continue"],
        help="what to do when the broker has deleted messages that were not read yet (default: fail)",
    )


def _add_rhythm(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--batch-interval-seconds", type=whole(0, MOST_INT), default=30, help="seconds between batches; 0: back to back"
    )
    parser.add_argument(
        "--reload-interval-seconds", type=whole(1, MOST_INT), default=300, help="seconds between looks at the alias"
    )
    parser.add_argument("--available-now", action="store_true", help="score all that is there, then end")
    add_text_limit(parser)
    parser.add_argument(
        "--batch-retry-seconds",
        type=whole(0),
        default=900,
        help="how long a failing step of a batch is tried again before the driver ends non-zero",
    )
    parser.add_argument(
        "--metrics-port",
        type=whole(0, 65_535),
        default=os.environ.get("SENTIMENT_METRICS_PORT") or "0",
        help="port of /metrics and /health on 127.0.0.1; 0: off",
    )


def _add_sinks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--write-kafka", type=_boolean, nargs="?", const=True, default=False, help="write to Kafka too")
    parser.add_argument("--kafka-output-bootstrap", help="broker to write to (default: --kafka-bootstrap)")
    parser.add_argument("--kafka-output-topic", help="topic of the predictions")
    parser.add_argument(
        "--kafka-delivery",
        choices=[EXACTLY_ONCE, AT_LEAST_ONCE],
        help="exactly-once for readers of committed records, or Spark's own sink (default: exactly-once)",
    )
    parser.add_argument(
        "--write-gcs",
        type=_boolean,
        nargs="?",
        const=True,
        default=False,
        help="write JSON lines under <output>-json/ too",
    )
    parser.add_argument(
        "--dead-letter-path", type=folder, help="folder of the dead letters (default: <output>-dead-letters)"
    )
    parser.add_argument("--dead-letter-topic", help="topic of the dead letters; none by default")


def _offsets(text: str) -> str:
    """Where to begin in a topic, as Spark takes it."""
    if text.lower() in ("earliest", "latest"):
        return text
    try:
        found = json.loads(text)
        fits = all(bool(each) and all(_is_offset(*pair) for pair in each.items()) for each in found.values())
    except (ValueError, AttributeError):
        fits = False
    if not fits:
        raise argparse.ArgumentTypeError(f'want earliest, latest or JSON like {{"TOPIC": {{"0": 5}}}}, got {text!r}')
    return text


def _is_offset(partition: str, offset: Any) -> bool:
    """Whether a partition may begin there; -1 is Kafka's word for latest, -2 for earliest."""
    counts = partition.isdecimal() and int(partition) <= MOST_INT
    return counts and type(offset) is int and -2 <= offset <= MOST_LONG  # True is an int too


def _boolean(text: str) -> bool:
    known = {"true": True, "false": False}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(f"want true or false, got {text!r}")
    return known[text.lower()]


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
