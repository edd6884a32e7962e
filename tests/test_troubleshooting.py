"""Each line of docs/troubleshooting.md is provoked on the real parts; the lines are read from the page."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import audit_predictions
import closing
import preprocess
import pytest
from broker import Broker
from cloud_shell import Shell
from dataproc_server import Server
from gcs_service import Gcs
from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession
from services import ROOT, free_port

from sentiment import tracking
from sentiment.jobs import DataError
from sentiment.serving import kafka_topics, service
from sentiment.serving.checkpoint import Checkpoint
from sentiment.serving.models import Registry, RegistryAwayError, UnfitModelError
from sentiment.serving.settings import KAFKA, ModelChoice, Source
from sentiment.tracking import java_line

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
LINES = re.findall(r"^```text\n(.+)\n```$", PAGE, re.MULTILINE)
provoked: set[str] = set()


def on_the_page(start: str, found: str) -> bool:
    """Whether the page's line that starts so is what was found; `<...>` on the page stands for anything."""
    (line,) = (line for line in LINES if line.startswith(start))
    provoked.add(line)
    pattern = "".join(".+" if part.startswith("<") else re.escape(part) for part in re.split(r"(<[a-z]+>)", line))
    return re.search(f"{pattern}$", found.strip()) is not None


@pytest.fixture(scope="module")
def shell(gcs: Gcs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    server = Server(tmp_path_factory.mktemp("dataproc"), "--storage-endpoint", gcs.address())
    server.start()
    yield Shell(tmp_path_factory.mktemp("shell"), gcs, server.rest_port)
    server.stop()


def test_the_cluster_is_not_found(shell: Shell) -> None:
    code = "set -euo pipefail; NAME=train-model; . ci-cd/lib.sh; load_settings; need_cluster"
    done = shell.run("bash", "-c", code, CLUSTER="absent")
    assert done.returncode == 1
    assert on_the_page("want CLUSTER", done.stderr)


def test_a_bucket_is_not_found(shell: Shell) -> None:
    done = shell.run("ci-cd/create-cluster.sh", "--environment", "none", CLUSTER="new", STAGING_BUCKET="absent")
    assert done.returncode == 1
    assert on_the_page("want STAGING_BUCKET", done.stderr)


def test_the_init_action_finds_no_installer(tmp_path: Path) -> None:
    action = ROOT / "ci-cd" / "init-actions" / "init-conda-spark-nlp-mlflow.sh"
    env = {"PATH": "/usr/bin:/bin", "PREFIX": str(tmp_path), "MINICONDA_GCS_URI": str(tmp_path / "absent.sh")}
    done = subprocess.run(["bash", action], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert on_the_page("want Miniconda", done.stderr)


@pytest.mark.spark
@pytest.mark.usefixtures("spark")
def test_spark_has_no_connector_for_a_bucket(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        preprocess.main(["--input", "gs://bucket/raw", "--output", str(tmp_path / "clean")])
    assert on_the_page("cannot read <place>: No FileSystem", str(caught.value))


def test_the_registry_has_no_such_model_or_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = tracking.client(uri)
    with pytest.raises(UnfitModelError) as absent:
        Registry(client, ModelChoice(uri, "absent")).resolve()
    assert on_the_page("--model-name <model>: alias", str(absent.value))
    client.create_registered_model("empty")
    with pytest.raises(UnfitModelError) as empty:
        Registry(client, ModelChoice(uri, "empty")).resolve()
    assert on_the_page("--model-name <model>: want", str(empty.value))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    nobody = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(RegistryAwayError) as away:
        Registry(tracking.client(nobody), ModelChoice(nobody, "absent")).resolve()
    assert on_the_page("the registry", str(away.value))


def test_kafka_cannot_be_reached_or_has_no_such_topic(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError) as absent:
        kafka_topics.describe(broker.bootstrap, "absent", "--kafka-topic", for_output=False)
    assert on_the_page("--kafka-topic <topic>: want a topic", str(absent.value))
    monkeypatch.setattr(kafka_topics, "PATIENCE_SECONDS", 2)
    with pytest.raises(DataError) as away:
        kafka_topics.describe(f"127.0.0.1:{free_port()}", "tweets", "--kafka-topic", for_output=False)
    assert on_the_page("<address>: want a Kafka broker", str(away.value))


def test_kafka_has_deleted_what_was_not_read() -> None:
    source = Source(KAFKA, bootstrap="127.0.0.1:9092", topic="tweets")
    processor: Any = SimpleNamespace(failure=None, serving=SimpleNamespace(source=source))
    spark_says = "[STREAM_FAILED] terminated: Some data may have been lost because they are not available in Kafka"
    told = service._ended_by(Exception(spark_says), processor, lease=None)  # type: ignore[arg-type]
    assert isinstance(told, DataError)
    assert on_the_page("--kafka-topic <topic>: want all", str(told))


@pytest.mark.spark
def test_a_topic_was_made_anew(spark: SparkSession, tmp_path: Path) -> None:
    checkpoint = Checkpoint(spark, str(tmp_path))
    for _ in range(2):
        checkpoint.check_topic("tweets", "an id")
    with pytest.raises(DataError) as told:
        checkpoint.check_topic("tweets", "another id")
    assert on_the_page("--kafka-topic <topic>: want the topic", str(told.value))


@pytest.mark.spark
@pytest.mark.usefixtures("spark")
@pytest.mark.parametrize("start", ["--input", "--checkpoint", "--output-path"])
def test_nothing_is_there_to_read(tmp_path: Path, start: str) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "metadata").write_text(json.dumps({"id": "none"}), encoding="utf-8")
    (place / "settings.json").write_text("{}", encoding="utf-8")
    provoke: dict[str, Callable[[], None]] = {
        "--input": lambda: preprocess.main(["--input", str(tmp_path / "absent"), "--output", str(tmp_path / "out")]),
        "--checkpoint": lambda: audit_predictions.main(["--checkpoint", str(place), "--output-path", str(place)]),
        "--output-path": lambda: audit_predictions.main(["--hash", "--output-path", str(place)]),
    }
    with pytest.raises(DataError) as told:
        provoke[start]()
    assert on_the_page(start, str(told.value))


@pytest.mark.spark
def test_a_java_heap_that_is_too_small(spark: SparkSession) -> None:
    assert spark._jvm is not None
    with pytest.raises(Py4JJavaError) as told:
        spark._jvm.java.nio.ByteBuffer.allocate(2**31 - 9)  # as much as the whole heap of the tests
    assert on_the_page("Java heap", java_line(told.value))


def test_every_line_of_the_page_was_provoked(request: pytest.FixtureRequest) -> None:
    """Where all tests of this module ran before."""
    ran = {each.function for each in request.session.items if isinstance(each, pytest.Function)}
    here = {made for name, made in globals().items() if name.startswith("test_")}
    if request.session.testsfailed or not here <= ran:
        pytest.skip("not all tests of the page ran and passed")
    if not {line for line in LINES if line.startswith(("want CLUSTER", "want STAGING"))} <= provoked:
        pytest.skip(closing.GCLOUD)
    elsewhere = {line for line in LINES if line.startswith("version <new>")}  # tests/test_serving_models.py
    assert len(elsewhere) == 2
    assert provoked == set(LINES) - elsewhere
