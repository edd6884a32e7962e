"""Files and folders behind URIs (local, `gs://`, `hdfs://`), all through Hadoop's FileSystem as Spark sees it."""

import json
import uuid
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession

from sentiment.jobs import DataError


def join(base: str, *parts: str) -> str:
    """`base` with `parts` below it."""
    return "/".join([base.rstrip("/") or "/", *parts])


def list_files(spark: SparkSession, location: str) -> list[str]:
    """Every file at `location` (a file, a folder with all below it, or a glob), sorted; empty if there is none.

    Hidden files (a leading `.` or `_`, Hadoop's convention) inside folders are left out.
    """
    files: list[str] = []
    try:
        filesystem, path = _resolve(spark, location)
        for status in filesystem.globStatus(path) or []:
            if status.isFile():
                files.append(status.getPath().toString())
            else:
                _walk(filesystem, status.getPath(), files)
    except Py4JJavaError as error:
        raise DataError(f"cannot read {location}: {first_line(error)}") from error
    return sorted(files)


def exists(spark: SparkSession, location: str) -> bool:
    """Whether there is a file or folder at `location`."""
    try:
        filesystem, path = _resolve(spark, location)
        return bool(filesystem.exists(path))
    except Py4JJavaError as error:
        raise DataError(f"cannot read {location}: {first_line(error)}") from error


def read_text(spark: SparkSession, location: str) -> str:
    """The UTF-8 text of one small file."""
    try:
        filesystem, path = _resolve(spark, location)
        stream = filesystem.open(path)
        try:
            return bytes(spark._jvm.org.apache.commons.io.IOUtils.toByteArray(stream)).decode("utf-8")  # type: ignore[union-attr]
        finally:
            stream.close()
    except Py4JJavaError as error:
        raise DataError(f"cannot read {location}: {first_line(error)}") from error


def write_text(spark: SparkSession, location: str, text: str) -> None:
    """Replace one small file by `text` in UTF-8."""
    try:
        filesystem, path = _resolve(spark, location)
        stream = filesystem.create(path, True)
        try:
            stream.write(bytearray(text.encode("utf-8")))
        finally:
            stream.close()
    except Py4JJavaError as error:
        raise DataError(f"cannot write {location}: {first_line(error)}") from error


def write_json(spark: SparkSession, location: str, content: Any) -> None:
    """Replace one small file by `content` as indented JSON."""
    write_text(spark, location, json.dumps(content, indent=2, sort_keys=True) + "\n")


def upload_folder(spark: SparkSession, folder: Path, location: str) -> None:
    """Replace the folder `location` by a copy of the local `folder`."""
    try:
        filesystem, target = _resolve(spark, location)
        filesystem.delete(target, True)
        _, source = _resolve(spark, folder.resolve().as_uri())
        filesystem.mkdirs(target.getParent())
        filesystem.copyFromLocalFile(False, True, source, target)
    except Py4JJavaError as error:
        raise DataError(f"cannot write {location}: {first_line(error)}") from error


def delete(spark: SparkSession, location: str) -> None:
    """Remove a file or a folder with all below it; nothing there is no error."""
    filesystem, path = _resolve(spark, location)
    filesystem.delete(path, True)


def replace_dataset(frame: DataFrame, location: str) -> None:
    """Replace the Parquet folder `location` by `frame`; a job that dies half-way leaves the old one whole.

    The rows are written beside it first, then the folders are exchanged.
    """
    spark = frame.sparkSession
    fresh = f"{location.rstrip('/')}.new-{uuid.uuid4().hex[:8]}"
    try:
        filesystem, target = _resolve(spark, location)
        source = _path(spark, fresh)
        try:
            frame.write.parquet(fresh)
            filesystem.delete(target, True)
            renamed = filesystem.rename(source, target)
        finally:
            filesystem.delete(source, True)
    except Py4JJavaError as error:
        raise DataError(f"cannot write {location}: {first_line(error)}") from error
    if not renamed:
        raise DataError(f"cannot write {location}: the finished folder {fresh} could not be renamed to it")


def first_line(error: Py4JJavaError) -> str:
    """The innermost Java message as one line, without its stack."""
    cause = error.java_exception
    while cause.getCause() is not None:
        cause = cause.getCause()
    message = cause.getMessage() or cause.getClass().getSimpleName()
    return str(message).strip().splitlines()[0]


def _walk(filesystem: Any, folder: Any, files: list[str]) -> None:
    for status in filesystem.listStatus(folder):
        path = status.getPath()
        if path.getName().startswith((".", "_")):
            continue
        if status.isFile():
            files.append(path.toString())
        else:
            _walk(filesystem, path, files)


def _resolve(spark: SparkSession, location: str) -> tuple[Any, Any]:
    path = _path(spark, location)
    return path.getFileSystem(spark._jsc.hadoopConfiguration()), path


def _path(spark: SparkSession, location: str) -> Any:
    return spark._jvm.org.apache.hadoop.fs.Path(location)  # type: ignore[union-attr]
