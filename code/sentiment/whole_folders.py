"""Whole folders behind URIs: copied from and to this machine, filled, replaced by a frame."""

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from sentiment import hadoop
from sentiment.jobs import DataError
from sentiment.storage import join


def upload(spark: SparkSession, folder: Path, location: str) -> None:
    """Replace the folder `location` by a copy of the local `folder`."""
    with hadoop.telling(f"cannot write {location}"):
        filesystem, target = hadoop.resolved(spark, location)
        filesystem.delete(target, True)
        source = hadoop.local_path(spark, folder)
        filesystem.mkdirs(target.getParent())
        filesystem.copyFromLocalFile(False, True, source, target)


@contextmanager
def filling(spark: SparkSession, location: str) -> Iterator[Path]:
    """A local folder whose files shall lie in the new folder `location`: that one itself, or one that is uploaded."""
    filesystem, target = hadoop.resolved(spark, location)
    if hadoop.is_local(filesystem):
        folder = Path(target.toUri().getPath())
        try:
            folder.mkdir(parents=True)
            yield folder
        except OSError as error:
            raise DataError(f"cannot write {location}: {hadoop.first_line(error)}") from error
        return
    with tempfile.TemporaryDirectory(prefix="sentiment-upload-") as name:
        yield Path(name)
        upload(spark, Path(name), location)


def download(spark: SparkSession, location: str, folder: Path) -> None:
    """Copy the folder `location` to a new local `folder`."""
    with hadoop.telling(f"cannot read {location}"):
        filesystem, source = hadoop.resolved(spark, location)
        filesystem.copyToLocalFile(False, source, hadoop.local_path(spark, folder), True)


def replace(frame: DataFrame, location: str) -> None:
    """Replace the Parquet folder `location` by `frame`, which is written beside it first.

    A job that dies while it writes leaves the old folder whole; the next one removes what it had written. One that dies
    between removing the old folder and renaming the new one leaves none. Of two that write at once, one fails.
    """
    spark = frame.sparkSession
    fresh = f"{location.rstrip('/')}.new-{uuid.uuid4().hex[:8]}"
    with hadoop.telling(f"cannot write {location}"):
        filesystem, target = hadoop.resolved(spark, location)
        source = hadoop.path_of(spark, fresh)
        if filesystem.exists(target.getParent()):
            for status in filesystem.listStatus(target.getParent()):
                if status.getPath().getName().startswith(f"{target.getName()}.new-"):
                    filesystem.delete(status.getPath(), True)
        try:
            frame.write.parquet(fresh)
            filesystem.delete(target, True)
            renamed = _renamed(spark, source, target)
        finally:
            filesystem.delete(source, True)
    if not renamed:
        raise DataError(f"cannot write {location}: want it for this job alone, found that another wrote it meanwhile")


def _renamed(spark: SparkSession, source: Any, target: Any) -> bool:
    """Rename a folder; False: it could not be, or another lies there by now, into which Hadoop puts this one."""
    filesystem = target.getFileSystem(spark._jsc.hadoopConfiguration())
    renamed = bool(filesystem.rename(source, target))
    inside = hadoop.path_of(spark, join(target.toString(), source.getName()))
    if not filesystem.exists(inside):
        return renamed
    filesystem.delete(inside, True)
    return False
