"""Serve predictions from a stream: Kafka or files in, Parquet and Kafka out, each prediction once and with its model.

The stream can be killed at any moment and started again on the same --checkpoint. A model that is moved to the
alias is checked and then swapped in between two batches. docs/serve.md tells how to run it.
"""

import argparse

try:
    import sentiment  # noqa: F401
except ModuleNotFoundError:
    raise SystemExit(
        "streaming_serving_mlflow_hdfs_kafka.py: the package 'sentiment' is missing: submit "
        "dist/streaming_serving_mlflow_hdfs_kafka.py instead, or add --py-files dist/sentiment.zip "
        "(make package writes both)"
    ) from None
from sentiment import arguments, jobs, progress
from sentiment.serving import cli
from sentiment.session import loading, session


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The job's arguments."""
    parser = arguments.parser(__doc__)
    cli.add_all(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Serve until the stream is drained, told to end, or out of input."""
    serving = cli.settings(parse_args(argv))
    progress.start_logging()
    with loading("sentiment.serving.service"):
        spark = session("sentiment-serving", workers_need_package=True)
    from sentiment.serving import service

    service.serve(spark, serving)


if __name__ == "__main__":
    jobs.run(main)
