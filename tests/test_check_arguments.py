"""What ci-cd/ and the DAGs ask of a job's arguments before anything is made, drained or submitted for it."""

import json

import check_arguments
import pytest

STREAM, TRAINING = "streaming_serving_mlflow_hdfs_kafka.py", "sentiment_multimodel.py"
GOOD = {
    STREAM: "--checkpoint gs://c/s --output-path gs://p/s --mlflow-uri http://m:1 --model-name m-best "
    "--source-type kafka --kafka-bootstrap b:1 --kafka-topic t --write-kafka --kafka-output-topic o",
    TRAINING: "--input gs://d/in --output gs://m/run --mlflow-uri http://m:1 --registered-model-name m",
}


BEGUN_WITH = {"--source-type": "kafka", "--kafka-topic": "t", "--output-path": "gs://p/s", "--kafka-output-topic": "o"}


@pytest.mark.parametrize(
    ("script", "more", "complaint"),
    [
        (STREAM, "--batch-interval-seconds 5 --model-alias champion", ""),
        (TRAINING, "--models logisticregression", ""),
        (STREAM, "--strange", "unrecognized arguments: --strange"),
        (STREAM, "--file-format json", "--file-format: want no such argument with --source-type kafka"),
        (STREAM, "--help", "want no --help among the arguments"),
        (TRAINING, "-h", "want no --help among the arguments"),
        (STREAM, "--checkpoint gs://elsewhere", "want --checkpoint once, found it twice: it may be set already"),
        (STREAM, "--write-kafka=false", "want --write-kafka once, found it twice: it may be set already"),
        (TRAINING, "--output=gs://mine", "want --output once, found it twice: it may be set already"),
        (TRAINING, "--seed 1 --seed 2", "want --seed once, found it twice: it may be set already"),
        (TRAINING, "--outp gs://mine", "unrecognized arguments: --outp gs://mine"),
    ],
)
def test_what_a_job_would_not_run_with_as_it_is_meant_is_one_line(script: str, more: str, complaint: str) -> None:
    assert check_arguments.complaint(script, f"{GOOD[script]} {more}".split()) == complaint


@pytest.mark.parametrize(
    ("begun_with", "complaint"),
    [
        (json.dumps(BEGUN_WITH), ""),
        (
            json.dumps(BEGUN_WITH | {"--kafka-output-topic": "old"}),
            "--kafka-output-topic: the checkpoint gs://c/s was written with old, now it is o; "
            "want the same, or a new --checkpoint",
        ),
        ("[]", "settings.json of the checkpoint: want a JSON object, found list"),
    ],
)
def test_what_a_stream_s_checkpoint_would_refuse_is_told_without_the_stream(begun_with: str, complaint: str) -> None:
    assert check_arguments.complaint(STREAM, GOOD[STREAM].split(), begun_with) == complaint
