"""The streams that the settings ask for: one of the model `serving_model_name`, or those of `serving_models`."""

import dataclasses
import re
from typing import Any

from sentiment_dags.settings import FILE, KAFKA, Settings, need
from sentiment_dags.variables import SettingsError, as_text

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
KEYS = (
    "stream",
    "model_name",
    "model_stage",
    "model_alias",
    "source_type",
    "batch_interval",
    "reload_interval",
    "kafka_input_topic",
    "kafka_output_topic",
)


@dataclasses.dataclass(frozen=True)
class Stream:
    """One stream; its name is a label of its job and a folder in the buckets."""

    name: str
    model_name: str
    model_stage: str
    model_alias: str
    source_type: str
    batch_interval: int
    reload_interval: int
    kafka_input_topic: str
    kafka_output_topic: str

    def checkpoint(self, settings: Settings) -> str:
        """Its memory, as gs://."""
        return f"gs://{settings.checkpoint_bucket}/checkpoint/{self.name}"

    def output(self, settings: Settings) -> str:
        """Its predictions, as gs://."""
        return f"gs://{settings.predictions_bucket}/predictions/{self.name}"

    def input(self, settings: Settings) -> str:
        """The folder that it watches with source type file, as gs://."""
        return f"gs://{settings.streaming_input_bucket}/{self.name}"


def streams(settings: Settings) -> list[Stream]:
    """The streams, at least one. SettingsError names the Variable that does not fit, or is missing for them."""
    asked = settings.serving_models or [{}]
    found = [_stream(settings, {"model_name": each} if isinstance(each, str) else each) for each in asked]
    need(settings, "mlflow_tracking_uri")
    for stream in found:
        if stream.source_type == KAFKA:
            need(settings, "kafka_bootstrap_servers")
            if stream.kafka_input_topic == stream.kafka_output_topic:
                raise SettingsError(
                    "Variable kafka_output_topic: want another topic than kafka_input_topic, "
                    f"found {stream.kafka_output_topic!r} for both"
                )
    doubled = sorted({stream.name for stream in found if sum(other.name == stream.name for other in found) > 1})
    if doubled:
        raise SettingsError(f"Variable serving_models: want each stream once, found {', '.join(doubled)} again")
    return found


def _stream(settings: Settings, asked: dict[str, Any]) -> Stream:
    unknown = sorted(set(asked) - set(KEYS))
    if unknown:
        raise SettingsError(f"Variable serving_models: want keys out of {', '.join(KEYS)}; found {', '.join(unknown)}")
    values = {key: _value(settings, key, asked) for key in KEYS if key != "stream"}
    name = as_text(asked.get("stream")) or values["model_name"]
    if not NAME.fullmatch(name):
        raise SettingsError(
            "Variable serving_models: want a stream's name (\"stream\", else the model's) to be 1 to 60 of "
            f"a-z, 0-9, _ and -, a letter or digit first; found {name!r}"
        )
    return Stream(name=name, **values)


def _value(settings: Settings, key: str, asked: dict[str, Any]) -> Any:
    """What the stream's own entry says, checked as the Variable behind it; else that Variable's value."""
    variable = key if key.startswith("kafka_") else f"serving_{key}"
    value = as_text(asked.get(key))
    if not value:
        return getattr(settings, variable)
    metadata = next(each.metadata for each in dataclasses.fields(Settings) if each.name == variable)
    try:
        return metadata["parse"](value)
    except ValueError:
        raise SettingsError(
            f"Variable serving_models: want {key} to be {metadata['wanted']}, found {value!r}"
        ) from None


__all__ = ["FILE", "KAFKA", "Stream", "streams"]
