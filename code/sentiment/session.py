"""The Spark session of every job: the same settings on a laptop and on a cluster."""

import atexit
import importlib
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib import resources
from pathlib import Path

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

import sentiment
from sentiment import emulator, signals
from sentiment.jobs import DataError, one_line
from sentiment.packing import NAME, zipped

EMBEDDED_PREFIX = "sentiment-embedded-"  # how `make package` names the zip inside a self-contained script

JARS_VARIABLE = "SENTIMENT_JARS"
"""Connector jars for a session under plain `python`, comma-separated; under spark-submit they are its own --jars."""

EMULATOR_VARIABLE = "STORAGE_EMULATOR_HOST"
"""Where Google's client libraries find an object store on this machine; gs:// in a laptop session leads there too."""

SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    # Spark 4's lower() would else visit every character of Unicode once per JVM (3.5 s on two cores), to differ from
    # Java's, which Spark 3.5 uses too, in a handful of them.
    "spark.sql.icu.caseMappings.enabled": "false",
    # Tables cached upon tables make plans whose text takes seconds to write, for the UI alone.
    "spark.sql.maxPlanStringLength": "2000",
    # Texts and ids are all different: looking for repeated values took a tenth of the time of making features.
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
    # Spark 4 would else ask the JVM at every F.col() and select() for the line of Python that it stands on.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    "spark.sql.shuffle.partitions": "8",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Spark 3.5 would else fail on times before 1900 and on dates before 1582, which anyone may send.
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
}


def session(app: str, workers_need_package: bool = False) -> SparkSession:
    """The session of this job; under plain `python` a local one that listens on 127.0.0.1 only.

    Under spark-submit master, memory and logging are the caller's; here only what the results depend on is set.

    Args:
        app: name of the application.
        workers_need_package: Python workers import this package too: send it to them, where nobody else has.
    """
    builder = SparkSession.builder.appName(app)
    for key, value in SETTINGS.items():
        builder = builder.config(key, value)
    if "PYSPARK_GATEWAY_PORT" not in os.environ and SparkSession.getActiveSession() is None:  # not spark-submit
        for key, value in _laptop_settings().items():
            builder = builder.config(key, value)
        spark = _started(builder)
    else:
        spark = builder.getOrCreate()
    # With the error that is raised anyway, stack trace and all; where a job is ended, nobody wants it.
    warnings.filterwarnings("ignore", r"(?s)toPandas attempted Arrow optimization .* can not continue", UserWarning)
    package = Path(sentiment.__file__).parent.parent
    if package.name.startswith(EMBEDDED_PREFIX):
        spark.sparkContext.addPyFile(str(package))
    elif workers_need_package and package.is_dir() and not _in_py_files(spark):
        spark.sparkContext.addPyFile(str(_zipped(package)))
    return spark


def _started(builder: SparkSession.Builder) -> SparkSession:
    try:
        with signals.held():
            return builder.getOrCreate()
    except (PySparkException, Py4JError, OSError) as error:
        raise DataError(
            "Spark does not start: want Java 17 (JAVA_HOME, else java on PATH) and a heap like 4g in "
            f"SENTIMENT_DRIVER_MEMORY, found {one_line(error)[:200]}"
        ) from error


@contextmanager
def loading(module: str) -> Iterator[None]:
    """Load a module that takes seconds while what happens inside, a JVM's start, takes them too."""
    with ThreadPoolExecutor(1) as beside:
        loaded = beside.submit(importlib.import_module, module)
        yield
        loaded.result()


def _in_py_files(spark: SparkSession) -> bool:
    """Whether the caller gave spark-submit the packed package: Spark takes no second file of that name."""
    given = spark.sparkContext.getConf().get("spark.submit.pyFiles") or ""
    return NAME in {file.rpartition("/")[2] for file in given.split(",")}


@cache
def _zipped(code: Path) -> Path:
    """The package as a zip in a folder that goes with this process.

    A second session in a process sends it again: a cluster takes no other file of that name, and no other bytes.
    """
    folder = tempfile.mkdtemp(prefix="sentiment-package-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder, NAME)
    path.write_bytes(zipped(code / "sentiment"))
    return path


def _laptop_settings() -> dict[str, str]:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    if sys.flags.utf8_mode:
        # In the locale C, cron's for one, Python takes names of files for UTF-8; Java would not find what is no ASCII.
        os.environ["LC_ALL"] = "C.UTF-8"
    settings = {
        "spark.driver.memory": os.environ.get("SENTIMENT_DRIVER_MEMORY", "4g"),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    # A job wants throughput: 40 s against 44 s with G1, one run each. Metaspace that starts small costs five full
    # collections, up to 0.4 s each, on its way to what Spark needs.
    options = ["-XX:+UseParallelGC", "-XX:MetaspaceSize=256m"]
    if os.environ.get(JARS_VARIABLE):
        settings["spark.jars"] = os.environ[JARS_VARIABLE]
    if os.environ.get(EMULATOR_VARIABLE):
        os.environ.setdefault("NO_GCE_CHECK", "true")
        settings |= emulator.settings(os.environ[EMULATOR_VARIABLE])
    quiet = resources.files(sentiment) / "log4j2.properties"
    if isinstance(quiet, Path):  # inside a zip there is no file that the JVM could read
        options.append(f"-Dlog4j2.configurationFile={quiet.as_uri()}")
    return settings | {"spark.driver.extraJavaOptions": " ".join(options)}
