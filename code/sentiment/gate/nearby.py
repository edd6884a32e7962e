"""Splits on gs:// for Spark on one machine, which wants a connector of Google's for them: copies made without it."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyspark.sql import SparkSession

from sentiment import gs, objects
from sentiment.datasets import SPLITS_REPORT, TEST
from sentiment.jobs import DataError


@contextmanager
def copied(spark: SparkSession, location: str) -> Iterator[str]:
    """The folder of splits, or its test/, where Spark can read it: `location`, or a copy that goes when it was read.

    On a cluster Spark reads gs:// itself: its executors would not find the copy.

    Args:
        spark: the session.
        location: without a slash at its end.

    Raises:
        DataError: the store cannot be read. What is raised inside about the copy names `location` instead.
    """
    if not location.startswith(f"{gs.GS}://") or not str(spark.sparkContext.master).startswith("local"):
        yield location
        return
    parent, _, name = location.rpartition("/")
    with tempfile.TemporaryDirectory(prefix="sentiment-splits-") as folder:
        copy = Path(folder, name)
        if _fetch(f"{location}/{SPLITS_REPORT}", copy / SPLITS_REPORT):
            _fetch_all(f"{location}/{TEST}", copy / TEST)
        elif parent != f"{gs.GS}:/":
            _fetch(f"{parent}/{SPLITS_REPORT}", Path(folder, SPLITS_REPORT))
            if name == TEST:
                _fetch_all(location, copy)
        try:
            yield str(copy)
        except DataError as error:
            here = rf"(file:(//)?)?{re.escape(folder)}"
            raise DataError(re.sub(here, lambda _: parent, str(error))) from error


def _fetch(location: str, path: Path) -> bool:
    """Copy one small object; False: there is none."""
    content = objects.read_bytes(location)
    if content is None:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return True


def _fetch_all(location: str, folder: Path) -> None:
    for entry in objects.entries(location):
        path = Path(f"{folder}/{entry.name}")  # below the folder, should the name begin with a slash
        path.parent.mkdir(parents=True, exist_ok=True)
        objects.download(f"{location}/{entry.name}", path)
