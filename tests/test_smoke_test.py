"""ci-cd/smoke_test.py where something is amiss: one line, and the brokers of both sides."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import smoke_test
from kafka.errors import KafkaTimeoutError

from sentiment import kafka_clients, tracking
from sentiment.jobs import DataError

MODEL = "twitter-sentiment-model-best"
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
        return lambda: {f"{text} {marker}": smoke_test.named(MODEL, 7) for text in smoke_test.TEXTS}

    monkeypatch.setattr(smoke_test, "from_kafka", reads)
    monkeypatch.setattr(smoke_test, "send", lambda _stream, bootstrap, *_: asked.append((bootstrap, "sent")))
    monkeypatch.setattr(tracking, "connect", lambda *_args, **_options: None)
    words = ["--checkpoint", str(tmp_path), "--version", "7", "--kafka-bootstrap", "127.0.0.1:1", *more]
    smoke_test.main(words)
    assert asked == [(output, "out"), ("127.0.0.1:1", "sent")]


@pytest.fixture
def _served_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream over files that is served by version 2 of ANOTHER, whose stage alone makes it the champion."""
    day = tmp_path / "out" / f"{datetime.now(UTC):date=%Y-%m-%d}"
    day.mkdir(parents=True)
    found = {"--source-type": "file", "--file-format": "text", "--input-path": str(tmp_path / "in")}
    (tmp_path / "settings.json").write_text(json.dumps({**found, "--output-path": str(tmp_path / "out")}))

    def serve(_stream: Any, _bootstrap: str, marker: str, texts: list[str]) -> None:
        rows = {"text": texts, "model_name": ["ANOTHER"] * 3, "model_version": ["2"] * 3}
        pq.write_table(pa.table(rows), day / f"{marker}.parquet")

    monkeypatch.setattr(smoke_test, "send", serve)
    client = tracking.client(f"sqlite:///{tmp_path / 'mlflow.db'}")
    client.create_registered_model("ANOTHER")
    for _version in range(2):
        client.create_model_version("ANOTHER", "file:///nowhere")
    client.transition_model_version_stage("ANOTHER", "2", "Production")


@pytest.mark.usefixtures("_served_by_another")
def test_the_same_version_of_another_model_is_told_and_a_champion_by_its_stage_is_the_live_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--checkpoint", str(tmp_path), "--mlflow-uri", f"sqlite:///{tmp_path / 'mlflow.db'}", "--timeout", "2"]
    with pytest.raises(DataError, match=f"want predictions by {MODEL} version 2, found them by ANOTHER version 2, for"):
        smoke_test.main([*words, "--version", "2"])
    smoke_test.main([*words, "--model-name", "ANOTHER"])
    assert capsys.readouterr().out.endswith(" s, by ANOTHER version 2\n")
