"""What a stream is told: where from, where to, which model, how often."""

from collections.abc import Mapping
from dataclasses import dataclass

from sentiment.jobs import ArgumentsError
from sentiment.roles import CHAMPION

KAFKA, FILE = "kafka", "file"
CSV, CSV_HEADER, JSON, TEXT = "csv", "csv-header", "json", "text"
FORMATS = [CSV, CSV_HEADER, JSON, TEXT]
EXACTLY_ONCE, AT_LEAST_ONCE = "exactly-once", "at-least-once"
SPARK, PYFUNC = "spark", "pyfunc"


@dataclass(frozen=True)
class Source:
    """Where the messages come from: a Kafka topic, or files in a folder."""

    kind: str
    path: str = ""
    format: str = CSV
    max_files: int = 10
    bootstrap: str = ""
    topic: str = ""
    starting_offsets: str = "earliest"
    max_offsets: int = 50_000
    on_data_loss: str = "fail"

    @property
    def payload_format(self) -> str:
        """How one message is written: JSON on Kafka, the files' own format otherwise."""
        return JSON if self.kind == KAFKA else self.format


@dataclass(frozen=True)
class Sinks:
    """Where predictions and dead letters go; empty: not there."""

    output: str
    dead_letters: str
    json_output: str = ""
    bootstrap: str = ""
    topic: str = ""
    dead_letter_topic: str = ""
    delivery: str = EXACTLY_ONCE


@dataclass(frozen=True)
class ModelChoice:
    """Which model is served: an alias that is followed, or one version for good."""

    uri: str
    name: str
    alias: str = CHAMPION
    version: str = ""
    flavor: str = SPARK


@dataclass(frozen=True)
class Serving:
    """All settings of one stream; seconds where a field is named so."""

    source: Source
    sinks: Sinks
    model: ModelChoice
    checkpoint: str
    interval_seconds: int = 30
    reload_seconds: int = 300
    retry_seconds: int = 900
    available_now: bool = False
    max_text_chars: int = 20_000
    metrics_port: int = 0

    def identity(self) -> dict[str, str]:
        """What must stay the same for the life of a checkpoint, by flag."""
        return {
            "--source-type": self.source.kind,
            "--kafka-topic": self.source.topic,
            "--input-path": self.source.path,
            "--file-format": self.source.format if self.source.kind == FILE else "",
            "--output-path": self.sinks.output,
            "--dead-letter-path": self.sinks.dead_letters,
            "--kafka-output-topic": self.sinks.topic,
        }

    def check_begun_with(self, known: Mapping[str, str]) -> None:
        """ArgumentsError names what is not as in `known`, the `identity` that the checkpoint was begun with.

        What an older checkpoint does not know may be anything.
        """
        for flag, value in self.identity().items():
            if known.get(flag, value) != value:
                raise ArgumentsError(
                    f"{flag}: the checkpoint {self.checkpoint} was written with {known[flag] or 'none'}, "
                    f"now it is {value or 'none'}; want the same, or a new --checkpoint"
                )
