"""Arguments of the stream that do not fit together are named before Spark starts."""

import pytest
import score_batch
import streaming_serving_mlflow_hdfs_kafka as script

from sentiment.jobs import ArgumentsError
from sentiment.serving import cli
from sentiment.serving.settings import Serving

MODEL = ["--mlflow-uri", "sqlite:///none.db", "--model-name", "m"]
PLACES = ["--output-path", "out/", "--checkpoint", "ck", *MODEL]
FILE = ["--source-type", "file", "--input-path", "in", *PLACES]
KAFKA = ["--source-type", "kafka", "--kafka-bootstrap", "b:1", "--kafka-topic", "t", *PLACES]

WRONG_OFFSETS = ['"0": true', '"0": -7', '"0": -3', '"a": 5', '"-1": 5', '"\u00b2": 5', '"0": 9223372036854775808', ""]


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
        ([*KAFKA, "--starting-offsets", '{"u": {"0": 5}}'], "--starting-offsets: want offsets of --kafka-topic t"),
        ([*KAFKA, "--write-kafka"], "--kafka-output-topic"),
        ([*FILE, "--write-kafka", "--kafka-output-topic", "o"], "--kafka-output-bootstrap"),
        ([*KAFKA, "--write-kafka", "--kafka-output-topic", "t"], "--kafka-output-topic"),
        ([*KAFKA, "--kafka-output-topic", "o"], "--write-kafka"),
        ([*KAFKA, "--kafka-output-topic", "o", "--dead-letter-topic", "d"], "--kafka-output-topic: want --write-kafka"),
        ([*KAFKA, "--dead-letter-topic", "t"], "--dead-letter-topic: want another topic than --kafka-topic"),
        (
            [*KAFKA, "--write-kafka", "--kafka-output-topic", "o", "--dead-letter-topic", "o"],
            "--dead-letter-topic: want another topic than --kafka-output-topic",
        ),
        ([*FILE, "--kafka-delivery", "at-least-once"], "--write-kafka"),
        ([*FILE, "--dead-letter-path", "./out"], "--output-path, --dead-letter-path: want two folders, found out"),
        (
            [*FILE, "--dead-letter-path", "out-json/", "--write-gcs"],
            "--dead-letter-path, --write-gcs: want two folders",
        ),
        ([*FILE, "--checkpoint", "file:a/../out"], "--output-path, --checkpoint: want two folders"),
        ([*FILE, "--checkpoint", "in/ck"], "--checkpoint: want a folder outside --input-path, found in/ck in in"),
        ([*FILE, "--output-path", "in/"], "--output-path: want a folder outside --input-path"),
        ([*FILE, "--dead-letter-path", "in/dead/x"], "--dead-letter-path: want a folder outside --input-path"),
        ([*FILE, "--write-gcs", "--input-path", "out-[j]son"], "--write-gcs: want a folder outside --input-path"),
        ([*FILE, "--input-path", "gs://b", "--checkpoint", "gs://b//c"], "--checkpoint: want a folder outside"),
    ],
)
def test_what_does_not_fit_is_named(arguments: list[str], named: str) -> None:
    with pytest.raises(ArgumentsError, match=named):
        settings(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        [*FILE, "--output-path", "input/out", "--checkpoint", "input/ck"],
        [*FILE, "--input-path", "gs://b/in", "--checkpoint", "gs://other/in/ck", "--output-path", "gs://b/out"],
        [*FILE, "--input-path", "data/*/in", "--output-path", "data/out", "--checkpoint", "data/ck"],
        [*KAFKA, "--kafka-output-bootstrap", "other:1", "--dead-letter-topic", "t"],
    ],
)
def test_places_that_only_look_alike_are_taken(arguments: list[str]) -> None:
    assert settings(arguments).checkpoint


@pytest.mark.parametrize(
    "arguments",
    [
        [*FILE, "--model-alias", "a", "--model-version", "1"],
        [*FILE, "--model-stage", "Archived"],
        [*FILE, "--model-version", "zero"],
        [*FILE, "--batch-interval-seconds", "-1"],
        [*FILE, "--write-kafka", "maybe"],
        ["--source-type", "queue", *PLACES],
        [*FILE, "--metrics-port", "70000"],
        [*FILE, "--checkpoint", ""],
        [*FILE, "--output-path", ""],
        [*FILE, "--output-path", "/"],
        [*FILE, "--dead-letter-path", "file:///"],
        [*FILE, "--model-alias", ""],
        *([*KAFKA, "--starting-offsets", offsets] for offsets in ("foo", "5", '{"t": 5}', '{"t": {"0": "x"}}')),
        *([*KAFKA, "--starting-offsets", f'{{"t": {{{offsets}}}}}'] for offsets in WRONG_OFFSETS),
        [*FILE, "--batch-interval-seconds", "2147483648"],
        [*FILE, "--reload-interval-seconds", "10000000000"],
    ],
)
def test_values_out_of_bounds_end_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        settings(arguments)
    assert ended.value.code == 2
    assert "error: argument" in capsys.readouterr().err


@pytest.mark.parametrize(("told", "port"), [("", 0), ("9108", 9108), ("abc", None), ("70000", None)])
def test_a_variable_sets_the_port_of_the_metrics(
    told: str, port: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SENTIMENT_METRICS_PORT", told)
    assert settings([*FILE, "--metrics-port", "7"]).metrics_port == 7
    if port is None:
        with pytest.raises(SystemExit):
            settings(FILE)
        assert f"argument --metrics-port: want a whole number from 0 to 65535, got '{told}'" in capsys.readouterr().err
    else:
        assert settings(FILE).metrics_port == port


@pytest.mark.parametrize(
    ("read", "output", "named"),
    [
        ("preds", "preds/", "--output-path: want a folder outside --input, found preds in preds"),
        ("data", "data/predictions", "--output-path: want a folder outside --input, found data/predictions in data"),
        ("o[1]", "file:o[1]", r"--output-path: want a folder outside --input, found file:o\[1\] in o\[1\]"),
        ("p-dead-letters", "p", "dead letters of --output-path: want a folder outside --input, found p-dead-letters"),
    ],
)
def test_what_is_scored_is_never_what_was_written(read: str, output: str, named: str) -> None:
    with pytest.raises(ArgumentsError, match=f"^{named}"):
        score_batch.main(["--input", read, "--output-path", output, *MODEL])


def test_defaults_and_stages() -> None:
    found = settings(FILE)
    assert (found.model.alias, found.interval_seconds, found.reload_seconds) == ("champion", 30, 300)
    assert (found.sinks.output, found.sinks.dead_letters, found.sinks.topic) == ("out", "out-dead-letters", "")
    assert settings([*FILE, "--model-stage", "Staging"]).model.alias == "challenger"
    assert settings([*KAFKA, "--starting-offsets", '{"t": {"0": 5}}']).source.starting_offsets == '{"t": {"0": 5}}'
    first = settings([*KAFKA, "--starting-offsets", '{"t": {"0": -1, "1": -2}}']).source  # latest and earliest
    assert first.starting_offsets == '{"t": {"0": -1, "1": -2}}'
    assert settings([*FILE, "--model-version", "3"]).model.version == "3"


@pytest.mark.parametrize("flag", [["--write-kafka"], ["--write-kafka", "true"]])
def test_a_bare_write_kafka_and_true_are_the_same(flag: list[str]) -> None:
    assert settings([*KAFKA, *flag, "--kafka-output-topic", "o"]).sinks.topic == "o"
    assert settings([*KAFKA, "--write-kafka", "false"]).sinks.topic == ""
