"""`make serve` and the fetching of jars: what is looked for first, what is said, what is left behind."""

import contextlib
import http.server
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import Mock

import jars
import pytest
import serve
from broker import TOPICS, Broker
from daemons import Daemon
from services import ROOT, ServiceError, free_port

JAVA = """#!/bin/sh
echo run >>"$0.log"
[ ! -e "$0.broken" ] || { echo ':: org.slf4j#slf4j-simple;1.7.36: not found'; exit 1; }
[ ! -e "$0.half" ] || exit 0
for jar in kafka_2.13-4.1.2 kafka-tools-4.1.2 slf4j-simple-1.7.36; do : >"$jar.jar"; done
"""


@pytest.fixture
def java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Java that fetches nothing and makes the files as Ivy would; <java>.broken and <java>.half make it fail."""
    path = tmp_path / "jdk" / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(JAVA, encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    return path


def test_jars_are_fetched_once_and_again_when_the_pins_change(
    java: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = java.with_name("java.log")
    folder = tmp_path / "jars (1) [x]"
    for _ in range(2):
        found = jars.fetch("broker", folder)
        assert sorted(path.name for path in found.glob("*.jar")) == [
            "kafka-tools-4.1.2.jar",
            "kafka_2.13-4.1.2.jar",
            "slf4j-simple-1.7.36.jar",
        ]
    assert runs.read_text(encoding="utf-8") == "run\n"
    pins = tmp_path / "jars.toml"
    pins.write_text('[broker]\nalone = ["org.slf4j:slf4j-simple:1.7.36"]\n', encoding="utf-8")
    monkeypatch.setattr(jars, "PINS", pins)
    jars.fetch("broker", folder)
    assert runs.read_text(encoding="utf-8") == "run\nrun\n"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("broken", "org.slf4j#slf4j-simple;1.7.36: not found"), ("half", "kafka_2.13-4.1.2.jar is missing")],
)
def test_a_download_that_fails_is_told_in_one_line_and_never_taken_for_done(
    java: Path, tmp_path: Path, fault: str, reason: str
) -> None:
    mark = java.with_name(f"java.{fault}")
    mark.touch()
    with pytest.raises(ServiceError) as caught:
        jars.fetch("broker", tmp_path / "jars")
    assert str(caught.value).startswith(f"jars: the set broker could not be fetched: {reason} (all of it: ")
    assert not (tmp_path / "jars" / "broker").exists()
    mark.unlink()
    assert jars.fetch("broker", tmp_path / "jars").is_dir()


def test_every_pinned_version_of_spark_has_packages_that_its_own_jars_match() -> None:
    assert {jars.spark_set(), "spark-4.0.0", "spark-3.5.3"} <= set(jars.pins())
    assert jars.packages("spark-4.0.0") == ["org.apache.spark:spark-sql-kafka-0-10_2.13:4.0.0"]
    assert jars.packages("spark-3.5.3") == ["org.apache.spark:spark-sql-kafka-0-10_2.12:3.5.3"]
    with pytest.raises(ServiceError, match=r"^jars: want one of the sets spark-4\.0\.0, .*; got spark-2"):
        jars.fetch("spark-2")


def test_the_tweets_are_data_else_real_ones_else_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATA", raising=False)
    with pytest.raises(ServiceError, match=r"run `make run` first, or give DATA$"):
        serve.data(tmp_path)
    for place, name in (("data_raw/sample", "sample_10.csv"), ("data_raw/sentiment140", "tweets.csv.gz")):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / name).touch()
        assert serve.data(tmp_path) == tmp_path / place
    (tmp_path / "data_raw/sentiment140/tweets.csv.gz").unlink()
    assert serve.data(tmp_path) == tmp_path / "data_raw/sample"
    deeper = tmp_path / "data_raw/sentiment140/2009"
    deeper.mkdir()
    (deeper / "TWEETS.CSV").touch()
    assert serve.data(tmp_path) == tmp_path / "data_raw/sentiment140"
    monkeypatch.setenv("DATA", str(tmp_path / "nowhere.csv"))
    with pytest.raises(ServiceError, match=r"found nothing at .*nowhere\.csv$"):
        serve.data(tmp_path)


def test_without_a_champion_it_names_make_run_and_makes_no_registry(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"run `make run` first$"):
        serve.require_champion(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_each_set_of_services_has_a_stream_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "FOLDER", ROOT / ".local" / "serving")
    command = serve.stream_command("127.0.0.1:9092", 9108)
    assert {".local/serving/predictions", ".local/serving/checkpoint"} <= set(command)  # as streams of old know them
    monkeypatch.setattr(serve, "FOLDER", tmp_path / "serving")
    command = serve.stream_command("127.0.0.1:9092", 9108)
    assert {f"{tmp_path}/serving/predictions", f"{tmp_path}/serving/checkpoint"} <= set(command)


# A stream that says what it was given, answers /health, sends a prediction for each message, so none before the
# producer is at work, and tells that it was asked to stop.
STREAM = """
import http.server, os, signal, sys, threading
from kafka import KafkaConsumer, KafkaProducer
def predict():
    producer = KafkaProducer(bootstrap_servers=sys.argv[2])
    for message in KafkaConsumer("sentiment-input", bootstrap_servers=sys.argv[2], auto_offset_reset="earliest"):
        producer.send("sentiment-predictions", b'{"sentiment": "positive"}')
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
def stop(*_):
    print("batch complete", flush=True); os._exit(0)
signal.signal(signal.SIGTERM, stop)
print(os.environ["SENTIMENT_JARS"], flush=True)
threading.Thread(target=predict, daemon=True).start()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
SERVE = """
import sys
import serve
from pathlib import Path
root, script = Path(sys.argv[1]), sys.argv[3]
serve.FOLDER = root / "serving"
serve.LOCAL = root
serve.require_champion = lambda: "1"
serve.stream_command = lambda bootstrap, port: [sys.executable, script, str(port), bootstrap]
serve.jars.connector_jars = lambda: ["a.jar", "b.jar"]
serve.up.main = lambda argv: argv == ["up", "kafka"] or sys.exit(str(argv))
class Kafka:
    def address(self): return sys.argv[2]
serve.Kafka = Kafka
serve.run_main(serve.main)
"""


@dataclass
class Served:
    """A `make serve` that shows predictions, and what it started."""

    process: subprocess.Popen[str]
    producer: Daemon
    stream: Daemon


@pytest.fixture
def served(broker: Broker, tmp_path: Path) -> Iterator[Served]:
    broker.make_topics(TOPICS)
    (tmp_path / "stream.py").write_text(STREAM, encoding="utf-8")
    tweets = tmp_path / "tweets.csv"
    tweets.write_text('"4","1","","","","nice"\n', encoding="utf-8")
    port = free_port()
    arguments = [str(tmp_path), broker.bootstrap, str(tmp_path / "stream.py")]
    env = {**os.environ, "DATA": str(tweets), "METRICS_PORT": str(port), "PYTHONPATH": str(Path(serve.__file__).parent)}
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", SERVE, *arguments],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that Ctrl-C can be sent to the whole group, as a terminal does
    )
    made = Served(process, Daemon("producer", tmp_path / "serving"), Daemon("stream", tmp_path / "serving"))
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith("positive"):
                break
        assert made.producer.pid() is not None
        assert made.stream.pid() is not None
        yield made
    finally:
        process.kill()
        made.producer.kill()
        made.stream.kill()


def test_it_shows_predictions_until_ctrl_c_and_leaves_nothing_running(served: Served) -> None:
    os.killpg(served.process.pid, signal.SIGINT)
    out, _ = served.process.communicate(timeout=60)
    assert served.process.returncode == 0, out
    assert " predictions, positive: " in out
    assert out.splitlines()[-2:] == [
        "serve: stopping the stream, which completes its batch",
        "serve: stopped; the broker runs on (make down)",
    ]
    assert not served.producer.pid_file.exists()
    assert not served.stream.pid_file.exists()
    assert served.stream.tail() == "a.jar,b.jar\nbatch complete"
    assert "messages to sentiment-input" in served.producer.tail()


def test_a_closed_terminal_leaves_nothing_running(served: Served) -> None:
    assert served.process.stdout is not None
    served.process.stdout.close()
    os.killpg(served.process.pid, signal.SIGHUP)
    served.process.wait(60)
    assert not served.producer.pid_file.exists()
    assert not served.stream.pid_file.exists()
    assert served.stream.tail() == "a.jar,b.jar\nbatch complete"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_leaves_no_stream_running(number: signal.Signals) -> None:
    stopped = Mock()
    stopped.producer.stop.side_effect = lambda: signal.raise_signal(number)
    before = {each: signal.signal(each, serve._ended) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with contextlib.suppress(KeyboardInterrupt):
            serve.stop(stopped.producer, stopped.stream)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    stopped.stream.stop.assert_called_once_with(serve.DRAIN_SECONDS)


class Well(http.server.BaseHTTPRequestHandler):
    """Answers that all is well."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_the_stream_is_behind_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with http.server.HTTPServer(("127.0.0.1", 0), Well) as stream:
        threading.Thread(target=stream.handle_request, daemon=True).start()
        assert serve.is_serving(stream.server_port)


def test_a_stream_that_dies_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    stream = Daemon("stream", tmp_path)
    stream.start([sys.executable, "-c", "raise SystemExit('no such model')"])
    with pytest.raises(ServiceError, match=r"(?s)^serve: the stream ended; .*\nno such model$"):
        serve.wait_until_serving(stream, free_port())
