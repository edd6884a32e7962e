"""Serve on this machine, until Ctrl-C: the stream and a producer in the background, predictions in the foreground."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import jars
import up
from daemons import Daemon
from kafka_service import Kafka
from services import (
    LOCAL,
    ROOT,
    ServiceError,
    SettingError,
    locked,
    open_local,
    port_setting,
    require_free,
    run_main,
)

sys.path.append(str(ROOT / "code"))

from sentiment import tweet_files
from sentiment.jobs import DataError

FOLDER = LOCAL / "serving"
REGISTRY = "sqlite:///mlflow.db"
MODEL = "twitter-sentiment-model-best"
START_SECONDS = 300
DRAIN_SECONDS = 120
HEARTBEAT_SECONDS = 10
TWEETS_PER_SECOND = 20
# Where tweets lie, the best first.
PLACES = ("data_raw/sentiment140", "data_raw/sample")


def data(root: Path = ROOT) -> Path:
    """The tweets to send: DATA, else the first place that holds some."""
    given = os.environ.get("DATA")
    if given:
        if not Path(given).exists():
            raise SettingError(f"serve: want DATA to name a file or folder of tweets, found nothing at {given}")
        return Path(given)
    for place in PLACES:
        with contextlib.suppress(DataError):
            tweet_files.find(root / place)  # as the producer does
            return root / place
    places = " and ".join(PLACES)
    raise ServiceError(f"serve: want tweets to send, found none under {places}: run `make run` first, or give DATA")


def require_champion(root: Path = ROOT) -> str:
    """The champion's version; ServiceError if `make run` has not registered one."""
    missing = ServiceError(f"serve: want a champion of {MODEL} in {REGISTRY}, found none: run `make run` first")
    if not (root / REGISTRY.removeprefix("sqlite:///")).is_file():  # MLflow would make an empty one
        raise missing
    print("serve: looking for the champion", flush=True)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    uri = f"sqlite:///{root / REGISTRY.removeprefix('sqlite:///')}"
    try:
        return str(MlflowClient(uri, uri).get_model_version_by_alias(MODEL, "champion").version)
    except MlflowException:
        raise missing from None


def stream_command(bootstrap: str, port: int) -> list[str]:
    """The stream: from sentiment-input to sentiment-predictions and to Parquet in FOLDER."""
    folder = FOLDER.relative_to(ROOT) if FOLDER.is_relative_to(ROOT) else FOLDER
    arguments = {
        "source-type": "kafka",
        "kafka-bootstrap": bootstrap,
        "kafka-topic": "sentiment-input",
        "kafka-output-topic": "sentiment-predictions",
        "output-path": f"{folder}/predictions",
        "checkpoint": f"{folder}/checkpoint",
        "mlflow-uri": REGISTRY,
        "model-name": MODEL,
        "batch-interval-seconds": "2",
        "metrics-port": str(port),
    }
    flags = [word for name, value in arguments.items() for word in (f"--{name}", value)]
    return [sys.executable, "code/streaming_serving_mlflow_hdfs_kafka.py", *flags, "--write-kafka"]


def producer_command(bootstrap: str, tweets: Path) -> list[str]:
    """The producer; shuffled, because Sentiment140 begins with 800,000 negative tweets."""
    arguments = ["--input", str(tweets), "--kafka-bootstrap", bootstrap, "--rate", str(TWEETS_PER_SECOND)]
    return [sys.executable, "code/produce_tweets.py", *arguments, "--label", "--loop", "--shuffle"]


def wait_until_serving(stream: Daemon, port: int) -> None:
    """Wait until the stream's /health says that it serves; ServiceError with the end of its log if it does not."""
    began = told = time.monotonic()
    while not is_serving(port):
        now = time.monotonic()
        if stream.pid() is None:
            raise ServiceError(f"serve: the stream ended; the end of {stream.log_file}:\n{stream.tail()}")
        if now - began > START_SECONDS:
            raise ServiceError(
                f"serve: no stream after {START_SECONDS} s; the end of {stream.log_file}:\n{stream.tail()}"
            )
        if now - told >= HEARTBEAT_SECONDS:
            told = now
            print(f"serve: the stream is starting, {now - began:.0f} s", flush=True)
        time.sleep(0.5)
    print(
        f"serve: serving after {time.monotonic() - began:.0f} s; http://127.0.0.1:{port}/health, /metrics", flush=True
    )


def is_serving(port: int) -> bool:
    """Whether /health answers that all is well."""
    try:
        with open_local(f"http://127.0.0.1:{port}/health") as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False


def watch(bootstrap: str, stream: Daemon) -> None:
    """Show predictions until Ctrl-C; ServiceError when the stream ends under way."""
    command = [sys.executable, "code/consume_predictions.py", "--kafka-bootstrap", bootstrap]
    consumer = subprocess.Popen(command, cwd=ROOT)
    try:
        while consumer.poll() is None:
            if stream.pid() is None:
                raise ServiceError(f"serve: the stream ended; the end of {stream.log_file}:\n{stream.tail()}")
            time.sleep(0.3)
        if consumer.returncode != 0:
            raise ServiceError(f"serve: consume_predictions.py ended with exit code {consumer.returncode}")
    except KeyboardInterrupt:
        pass  # a terminal's Ctrl-C reaches the consumer too, which tells its counts and ends
    finally:
        try:
            consumer.wait(2)
        except subprocess.TimeoutExpired:
            consumer.send_signal(signal.SIGINT)
            consumer.wait()


def stop(producer: Daemon, stream: Daemon) -> None:
    """Stop the producer, then the stream, which completes its batch."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # one is enough: a second one would leave them running
    producer.stop()
    if stream.pid() is not None:
        _say("serve: stopping the stream, which completes its batch")
        if not stream.stop(DRAIN_SECONDS):
            _say(f"serve: it took longer than {DRAIN_SECONDS} s and was killed: {stream.log_file}")
    _say("serve: stopped; the broker runs on (make down)")


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # a terminal that was closed
        print(line, flush=True)


def serve() -> None:
    """The whole way; everything that can be missing is looked for before anything starts."""
    tweets, port = data(), port_setting("METRICS_PORT", 9108)
    print(
        f"serve: champion of {MODEL}: version {require_champion()}; tweets from {os.path.relpath(tweets)}", flush=True
    )
    up.main(["up", "kafka"])
    bootstrap = Kafka().address()
    stream, producer = Daemon("stream", FOLDER), Daemon("producer", FOLDER)
    producer.stop()  # what an earlier `make serve` left when it was killed
    stream.stop(DRAIN_SECONDS)
    require_free(port, "stream (metrics)", "METRICS_PORT")
    env = {**os.environ, "SENTIMENT_JARS": ",".join(jars.connector_jars()), "PYTHONUNBUFFERED": "1"}
    try:
        stream.start(stream_command(bootstrap, port), env=env, cwd=ROOT)
        print(f"serve: starting the stream; its log: {os.path.relpath(stream.log_file)}", flush=True)
        wait_until_serving(stream, port)
        producer.start(producer_command(bootstrap, tweets), env=env, cwd=ROOT)
        watch(bootstrap, stream)
    finally:
        stop(producer, stream)


def _ended(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    os.chdir(ROOT)
    for number in (signal.SIGTERM, signal.SIGHUP):  # a closed terminal ends it as Ctrl-C does
        signal.signal(number, _ended)
    with locked(LOCAL / "serving.lock", "serve: another `make serve` is running in this checkout"):
        serve()


if __name__ == "__main__":
    run_main(main)
