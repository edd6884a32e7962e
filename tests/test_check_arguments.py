"""What ci-cd/ and the DAGs ask of a job's arguments before anything is made, drained or submitted for it."""

import check_arguments
import pytest

STREAM, TRAINING = "streaming_serving_mlflow_hdfs_kafka.py", "sentiment_multimodel.py"
GOOD = {
    STREAM: "--checkpoint gs://c/s --output-path gs://p/s --mlflow-uri http://m:1 --model-name m-best "
    "--source-type kafka --kafka-bootstrap b:1 --kafka-topic t --write-kafka --kafka-output-topic o",
    TRAINING: "--input gs://d/in --output gs://m/run --mlflow-uri http://m:1 --registered-model-name m",
}


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
