"""Arguments of the stream that do not fit together are named before Spark starts."""

import pytest
import streaming_serving_mlflow_hdfs_kafka as script

from sentiment.jobs import ArgumentsError
from sentiment.serving import cli
from sentiment.serving.settings import Serving

MODEL = ["--mlflow-uri", "sqlite:///none.db", "--model-name", "m"]
PLACES = ["--output-path", "out/", "--checkpoint", "ck", *MODEL]
FILE = ["--source-type", "file", "--input-path", "in", *PLACES]
KAFKA = ["--source-type", "kafka", "--kafka-bootstrap", "b:1", "--kafka-topic", "t", *PLACES]


def settings(arguments: list[str]) -> Serving:
    return cli.settings(script.parse_args(arguments))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--source-type", "file", *PLACES], "--input-path"),
        (["--source-type", "kafka", *PLACES], "--kafka-bootstrap, --kafka-topic"),
        ([*FILE, "--kafka-topic", "t"], "--kafka-topic"),
        ([*KAFKA, "--input-path", "in"], "--input-path"),
        ([*KAFKA, "--file-format", "json"], "--file-format"),
        ([*KAFKA, "--write-kafka"], "--kafka-output-topic"),
        ([*FILE, "--write-kafka", "--kafka-output-topic", "o"], "--kafka-output-bootstrap"),
        ([*KAFKA, "--write-kafka", "--kafka-output-topic", "t"], "--kafka-output-topic"),
        ([*KAFKA, "--kafka-output-topic", "o"], "--write-kafka"),
        ([*FILE, "--kafka-delivery", "at-least-once"], "--write-kafka"),
    ],
)
def test_what_does_not_fit_is_named(arguments: list[str], named: str) -> None:
    with pytest.raises(ArgumentsError, match=named):
        settings(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        [*FILE, "--model-alias", "a", "--model-version", "1"],
        [*FILE, "--model-stage", "Archived"],
        [*FILE, "--model-version", "zero"],
        [*FILE, "--batch-interval-seconds", "-1"],
        [*FILE, "--write-kafka", "maybe"],
        ["--source-type", "queue", *PLACES],
    ],
)
def test_values_out_of_bounds_end_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        settings(arguments)
    assert ended.value.code == 2
    assert "error: argument" in capsys.readouterr().err


def test_defaults_and_stages() -> None:
    found = settings(FILE)
    assert (found.model.alias, found.interval_seconds, found.reload_seconds) == ("champion", 30, 300)
    assert (found.sinks.output, found.sinks.dead_letters, found.sinks.topic) == ("out", "out-dead-letters", "")
    assert settings([*FILE, "--model-stage", "Staging"]).model.alias == "challenger"
    assert settings([*FILE, "--model-version", "3"]).model.version == "3"


@pytest.mark.parametrize("flag", [["--write-kafka"], ["--write-kafka", "true"]])
def test_a_bare_write_kafka_and_true_are_the_same(flag: list[str]) -> None:
    assert settings([*KAFKA, *flag, "--kafka-output-topic", "o"]).sinks.topic == "o"
    assert settings([*KAFKA, "--write-kafka", "false"]).sinks.topic == ""
