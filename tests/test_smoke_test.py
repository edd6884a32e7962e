"""ci-cd/smoke_test.py where something is amiss: one line, and the brokers of both sides."""

import json
from pathlib import Path
from typing import Any

import pytest
import smoke_test
from kafka.errors import KafkaTimeoutError

from sentiment import kafka_clients, tracking
from sentiment.jobs import DataError

KAFKA = {"--source-type": "kafka", "--kafka-topic": "in", "--kafka-output-topic": "out"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"--source-type": "kaf', "want a JSON object, found Unterminated string"),
        ("", "want a JSON object, found Expecting value"),
        ("[]", "want a JSON object, found list"),
        (
            "{}",
            "want the settings of a stream, found no --source-type, --input-path, --file-format, --output-path in it",
        ),
        ('{"--source-type": "kafka"}', "want the settings of a stream, found no --kafka-topic, --output-path in it"),
    ],
)
def test_settings_that_are_none_are_told_in_one_line(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "settings.json").write_text(content)
    with pytest.raises(DataError) as caught:
        smoke_test.main(["--checkpoint", str(tmp_path), "--mlflow-uri", f"sqlite:///{tmp_path / 'new.db'}"])
    assert str(caught.value).startswith(f"{tmp_path}/settings.json: {told}")
    assert "\n" not in str(caught.value)


def test_settings_that_are_whole_are_taken(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(json.dumps(KAFKA))
    assert smoke_test.settings(str(tmp_path)) == KAFKA


class Silent:
    """A producer whose broker takes nothing."""

    def send(self, *_args: Any, **_options: Any) -> "Silent":
        return self

    def get(self, _seconds: float) -> None:
        raise KafkaTimeoutError("no answer")

    def close(self, timeout: float) -> None:
        """Nothing to close."""


def test_a_broker_that_takes_no_message_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_clients, "idempotent_producer", lambda *_: Silent())
    with pytest.raises(DataError, match=r"^--kafka-bootstrap b:1: want messages to be taken for in .*no answer$"):
        smoke_test.send(KAFKA, "b:1", "marker", ["a text"])


@pytest.mark.parametrize(
    ("more", "output"), [([], "127.0.0.1:1"), (["--kafka-output-bootstrap", "127.0.0.1:2"], "127.0.0.1:2")]
)
def test_predictions_are_read_from_the_output_s_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], output: str
) -> None:
    (tmp_path / "settings.json").write_text(json.dumps(KAFKA))
    asked: list[tuple[str, str]] = []

    def reads(bootstrap: str, topic: str, marker: str) -> Any:
        asked.append((bootstrap, topic))
        return lambda: {f"{text} {marker}": "7" for text in smoke_test.TEXTS}

    monkeypatch.setattr(smoke_test, "from_kafka", reads)
    monkeypatch.setattr(smoke_test, "send", lambda _stream, bootstrap, *_: asked.append((bootstrap, "sent")))
    monkeypatch.setattr(tracking, "connect", lambda *_args, **_options: None)
    words = ["--checkpoint", str(tmp_path), "--version", "7", "--kafka-bootstrap", "127.0.0.1:1", *more]
    smoke_test.main(words)
    assert asked == [(output, "out"), ("127.0.0.1:1", "sent")]
