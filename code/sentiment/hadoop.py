"""Hadoop's FileSystem as Spark sees it, asked in Java, and what Java's errors say in one line."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from sentiment.jobs import DataError, one_line, raised

_READING = re.compile(r"^(?:\[\S+\] )?Encountered error while reading file (\S+)\. ")
"""How Spark begins to tell of a file that it cannot read, with a URI."""

_EXPLAINED = {
    'No FileSystem for scheme "gs"': (
        "want this job on a Dataproc cluster, whose Spark has Google's connector, or the files on this machine"
    ),
    "Relative path in absolute URI": "want names without a colon, which Hadoop takes for the end of a scheme",
    "not a gzip file": "want gzip alone, with nothing else (zeros, say) behind its end",
}
"""What Hadoop says, by its beginning, that tells a user too little, and what is meant."""


@contextmanager
def telling(task: str) -> Iterator[None]:
    """What Spark, Hadoop or the system cannot do inside becomes a DataError: the task, then why."""
    try:
        yield
    except (Py4JJavaError, PySparkException, OSError) as error:
        raise DataError(f"{task}: {first_line(error)}") from error


def resolved(spark: SparkSession, location: str) -> tuple[Any, Any]:
    """The file system that a URI is of, and its path there."""
    path = path_of(spark, location)
    return path.getFileSystem(spark._jsc.hadoopConfiguration()), path


def path_of(spark: SparkSession, location: str) -> Any:
    """A URI as Hadoop's Path."""
    # By its whole name: each part of `_jvm.org.apache...` would be looked for in every jar first.
    return getattr(spark._jvm, "org.apache.hadoop.fs.Path")(location)


def full_name(spark: SparkSession, location: str) -> str:
    """The one name of a place however it is spelled, from whatever folder; on this machine a path, else a URI."""
    filesystem, path = resolved(spark, location)
    return str(filesystem.makeQualified(path).toString()).removeprefix("file:")


def local_path(spark: SparkSession, folder: Path) -> Any:
    """A file or folder of this machine, whatever its name and Hadoop's default file system.

    Hadoop takes `%20` in a URI for three characters, so no space may become one.
    """
    return path_of(spark, f"file://{folder.resolve()}")


def is_local(filesystem: Any) -> bool:
    """Whether that is this machine's own disk."""
    return bool(filesystem.getUri().getScheme() == "file")


def first_line(error: BaseException) -> str:
    """An error as one line; of one that comes from Java the innermost message, without its stack.

    Of one out of many files that cannot be read it begins with the file.
    """
    cause = error.java_exception if isinstance(error, Py4JJavaError) else getattr(error, "_origin", None)
    if cause is None:
        return one_line(error)
    file = _unread(cause)
    while cause.getCause() is not None:
        cause = cause.getCause()
        file = file or _unread(cause)
    message = raised(str(cause.getMessage() or cause.getClass().getSimpleName())).strip().splitlines()[0]
    message += next((f": {meant}" for told, meant in _EXPLAINED.items() if message.startswith(told)), "")
    return message if file.rpartition("/")[2] in message else f"{file}: {message}"


def _unread(cause: Any) -> str:
    """The file that a Java exception says could not be read; empty: it says no such thing."""
    found = _READING.search(cause.getMessage() or "")
    return unquote(found[1]) if found else ""
