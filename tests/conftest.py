"""One Spark session, broker, Airflow, ... for all tests of a process, and small builders of tweets."""

import csv
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import airflow_run
import class_archive
import closing
import cluster_service
import lean_daemon
import pytest
from airflow_run import Airflow
from broker import Broker
from chaos.zoo import Zoo
from dataproc_server import Server
from gcs_service import BINARY, Gcs, install, installed
from hypothesis import HealthCheck, settings
from local_gcs import start_gcs
from pyspark.sql import DataFrame, SparkSession
from services import LOCAL, free_port
from sharing import SPARK

os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
os.environ["SENTIMENT_DRIVER_MEMORY"] = "2g"
os.environ["NO_GCE_CHECK"] = "true"
# Where Python may not keep what it compiled, each of some hundred processes compiles its libraries anew
# (mlflow and pyspark: 5.1 s of a core, 1.8 s when they are kept).
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Tests are many short jobs: the second compiler costs more than it gives (64 s instead of 100 s for four files). Alone
# the first one gets room for 48 MB of code, which the session of a run fills, so that code goes and is made anew. G1,
# which a JVM chooses where nobody does, takes a tenth more than the collector of the jobs' own choice.
QUICK = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseParallelGC"
os.environ["SPARK_SUBMIT_OPTS"] = f"{QUICK} {class_archive.options()}"
cluster_service.DAEMON_OPTIONS += f" {class_archive.options()}"
# A script that starts us in the background has us ignore SIGINT, and all that we start and interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME"):
    os.environ.pop(variable, None)  # a test never writes to a registry that it did not make
for variable in ("STORAGE_EMULATOR_HOST", "SENTIMENT_LEDGER"):
    os.environ.pop(variable, None)  # nor to a store, should the shell have sourced .local/env
airflow_run.prepare()
# What Hypothesis takes for slow code is a busy machine. Under CI it has a profile of its own, which says so too.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
if not os.environ.get("CI"):
    settings.load_profile("busy")

WriteTweets = Callable[..., Path]
GCLOUD_FIXTURES = {"shell", "scripts"}


def pytest_configure(config: pytest.Config) -> None:
    """A run with workers has the file made that spares its JVMs a third of their start."""
    if config.getoption("numprocesses", None):  # a worker has none
        process = class_archive.making()
        if process is not None:
            config.add_cleanup(lambda: class_archive.end(process))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What `-m spark` would leave out is not even imported: the environment of Spark 3.5 has no Airflow."""
    if config.getoption("markexpr") != "spark" or not collection_path.match("test_*.py"):
        return None
    return SPARK not in collection_path.read_text(encoding="utf-8") or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes a shell for the scripts that call gcloud needs gcloud."""
    for item in items:
        if isinstance(item, pytest.Function) and GCLOUD_FIXTURES & set(item.fixturenames):
            item.add_marker("gcloud")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """How the workers of `pytest -n` share the tests; without -n, or in an environment without xdist, never called."""
    from workers import ByFile

    return ByFile(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked gcloud need the real one, which is part of no registry."""
    if item.get_closest_marker("gcloud") and shutil.which("gcloud") is None:
        pytest.skip(closing.GCLOUD)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Say below pytest's own summary what was tested with tools that come from no registry, and what was not."""
    yield
    for line in closing.lines(terminalreporter.stats):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The one session of the run, made as the jobs make theirs, on two cores."""
    from sentiment import session

    session.SETTINGS["spark.sql.shuffle.partitions"] = "2"
    session.SETTINGS["spark.sql.warehouse.dir"] = str(tmp_path_factory.mktemp("warehouse"))
    session.SETTINGS["spark.master"] = "local[2]"
    session.SETTINGS["spark.python.daemon.module"] = lean_daemon.__name__
    session.SETTINGS["spark.executorEnv.PYTHONPATH"] = str(Path(__file__).parent)
    made = session.session("tests", workers_need_package=True)
    yield made
    made.stop()


@pytest.fixture
def write_tweets(tmp_path: Path) -> WriteTweets:
    """Write rows (target, text), or whole rows of columns, as a Sentiment140 CSV; gives its path."""

    def write(rows: list[tuple[str, ...]], name: str = "tweets.csv", encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding=encoding, newline="") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
            for row in rows:
                writer.writerow((row[0], "", "", "NO_QUERY", "", row[1]) if len(row) == 2 else row)
        return path

    return write


@pytest.fixture
def clean_tweets(spark: SparkSession) -> Callable[[list[tuple[str, float]]], DataFrame]:
    """Clean tweets (id, text, label) from pairs of text and label; the ids are the places in the list."""

    def build(rows: list[tuple[str, float]]) -> DataFrame:
        numbered = [(str(place), text, label) for place, (text, label) in enumerate(rows)]
        return spark.createDataFrame(numbered, "id string, text string, label double")

    return build


@pytest.fixture(scope="session")
def sample_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,000 generated tweets in a file of their own."""
    import sample_tweets

    folder = tmp_path_factory.mktemp("sample")
    sample_tweets.main(["--rows", "2000", "--output", str(folder)])
    return folder / "sample_2000.csv"


@pytest.fixture(scope="session")
def zoo(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """A registry with small good models and every kind of bad one."""
    made = Zoo(tmp_path_factory.mktemp("zoo"))
    made.make(spark)
    return made


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A Kafka broker of the run's own, on free ports; without topics."""
    made = Broker(tmp_path_factory.mktemp("kafka"), free_port(), free_port())
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def gcs_binaries() -> Path:
    """The folder with fake-gcs-server; a test that wants it is skipped where it is not and no Go either."""
    folder = LOCAL / "bin"
    if not installed(folder) and shutil.which("go") is None:
        pytest.skip(f"want {BINARY} in .local/bin or Go on PATH to install it")
    install(folder)
    return folder


@pytest.fixture(scope="session")
def gcs(tmp_path_factory: pytest.TempPathFactory, gcs_binaries: Path) -> Iterator[Gcs]:
    """The object store of the run, with the buckets of the suite."""
    made = start_gcs(tmp_path_factory.mktemp("store") / "gcs", gcs_binaries)
    yield made
    made.stop()


@pytest.fixture(scope="session")
def dataproc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The Dataproc server of the run, without an object store; its spark-submit is a stand-in that starts no JVM."""
    made = Server(tmp_path_factory.mktemp("dataproc-of-the-run"))
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def airflow(dataproc: Server) -> Airflow:
    """The Airflow of the run; its connection google_cloud_default leads to the run's Dataproc server."""
    return Airflow(dataproc)
