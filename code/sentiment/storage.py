"""Files and folders behind URIs (local, `gs://`, `hdfs://`), all through Hadoop's FileSystem as Spark sees it."""

import json
import os
import re
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyspark
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from sentiment.jobs import DataError, one_line
from sentiment.objects import write_whole_locally

_READING = re.compile(r"^(?:\[\S+\] )?Encountered error while reading file (\S+)\. ")
"""How Spark begins to tell of a file that it cannot read, with a URI."""

_NO_CONNECTOR = 'No FileSystem for scheme "gs"'
"""What Hadoop says of gs:// without Google's jars, and nothing more."""


@contextmanager
def telling(task: str) -> Iterator[None]:
    """What Spark, Hadoop or the system cannot do inside becomes a DataError: the task, then why."""
    try:
        yield
    except (Py4JJavaError, PySparkException, OSError) as error:
        raise DataError(f"{task}: {first_line(error)}") from error


@contextmanager
def reading(spark: SparkSession, task: str, files: list[str]) -> Iterator[None]:
    """As `telling`, where Spark reads files of lines: of several the one that cannot be read is named.

    Spark 4 names it; under Spark 3.5 each is read by itself then.
    """
    try:
        with telling(task):
            yield
    except DataError as error:
        if error.__cause__ is not None and len(files) > 1 and pyspark.__version__ < "4":
            for file in files:
                with telling(f"{task}: {file}"):
                    spark.read.text(literal(file)).agg(F.max(F.octet_length("value"))).collect()
        raise


def join(base: str, *parts: str) -> str:
    """`base` with `parts` below it."""
    return "/".join([base.rstrip("/") or "/", *parts])


def list_files(spark: SparkSession, location: str) -> list[str]:
    """Every file at `location` (a file, a folder with all below it, or a glob), sorted; empty if there is none.

    Hidden files (a leading `.` or `_`, Hadoop's convention) inside folders are left out. A folder that links lead to
    more than once is looked into once.
    """
    files: list[str] = []
    seen: set[str] = set()
    with telling(f"cannot read {location}"):
        filesystem, path = _resolve(spark, location)
        there = filesystem.exists(path)
        for status in [filesystem.getFileStatus(path)] if there else filesystem.globStatus(path) or []:
            if status.isFile():
                files.append(status.getPath().toString())
            else:
                _walk(filesystem, status.getPath(), files, seen)
    return sorted(files)


def literal(path: str) -> str:
    """A path for Spark's readers and `list_files`, which take brackets, braces and the like for a pattern."""
    return re.sub(r"([\\{}\[\]*?])", r"\\\1", path)


def is_file(spark: SparkSession, location: str) -> bool:
    """Whether there is a file, not a folder, at `location`."""
    with telling(f"cannot read {location}"):
        filesystem, path = _resolve(spark, location)
        return bool(filesystem.exists(path) and filesystem.getFileStatus(path).isFile())


def exists(spark: SparkSession, location: str) -> bool:
    """Whether there is a file or folder at `location`."""
    with telling(f"cannot read {location}"):
        filesystem, path = _resolve(spark, location)
        return bool(filesystem.exists(path))


def read_text(spark: SparkSession, location: str) -> str:
    """The UTF-8 text of one small file."""
    with telling(f"cannot read {location}"):
        filesystem, path = _resolve(spark, location)
        if _is_local(filesystem):
            return Path(path.toUri().getPath()).read_text(encoding="utf-8")
        stream = filesystem.open(path)
        try:
            return bytes(spark._jvm.org.apache.commons.io.IOUtils.toByteArray(stream)).decode("utf-8")  # type: ignore[union-attr]
        finally:
            stream.close()


def write_text(spark: SparkSession, location: str, text: str) -> None:
    """Replace one small file by `text` in UTF-8."""
    with telling(f"cannot write {location}"):
        filesystem, path = _resolve(spark, location)
        stream = filesystem.create(path, True)
        try:
            stream.write(bytearray(text.encode("utf-8")))
        finally:
            stream.close()


def write_json(spark: SparkSession, location: str, content: Any) -> None:
    """Replace one small file by `content` as indented JSON."""
    write_text(spark, location, json.dumps(content, indent=2, sort_keys=True) + "\n")


def create_text(spark: SparkSession, location: str, text: str) -> bool:
    """Write one small file that nobody wrote before, whole or not at all; False: there is one already."""
    with telling(f"cannot write {location}"):
        return _write_whole(spark, location, text, overwrite=False)


def replace_text(spark: SparkSession, location: str, text: str) -> None:
    """Replace one small file; a reader finds the old text or the new one, never a part."""
    with telling(f"cannot write {location}"):
        _write_whole(spark, location, text, overwrite=True)


def remove_orphaned_checksums(spark: SparkSession, folder: str) -> None:
    """Remove `.NAME.crc` of files that are gone: Hadoop's local file system takes no new file NAME while one is there.

    Whoever deletes a file of a checkpoint by hand leaves one behind.
    """
    with telling(f"cannot read {folder}"):
        filesystem, path = _resolve(spark, folder)
        if not filesystem.exists(path):
            return
        raw = filesystem.getRawFileSystem() if _is_local(filesystem) else filesystem
        names = {found.getPath().getName() for found in raw.listStatus(path)}
        for name in names:
            if name.startswith(".") and name.endswith(".crc") and name[1:-4] not in names:
                raw.delete(_path(spark, join(folder, name)), False)


def names(spark: SparkSession, folder: str) -> list[str]:
    """The names of all that lies right below `folder`, hidden ones left out; none if it is not there.

    Java is asked once for all of them: one by one 20,000 take five seconds.
    """
    with telling(f"cannot read {folder}"):
        filesystem, path = _resolve(spark, folder)
        if not filesystem.exists(path):
            return []
        found = getattr(spark._jvm, "org.apache.hadoop.fs.FileUtil").stat2Paths(filesystem.listStatus(path))
        each = getattr(spark._jvm, "org.apache.commons.collections4.IteratorUtils").getIterator(found)
        paths = getattr(spark._jvm, "org.apache.commons.lang3.StringUtils").join(each, "\n")
    listed = [location.rpartition("/")[2] for location in paths.split("\n") if location]
    return [name for name in listed if not name.startswith((".", "_"))]


def status(spark: SparkSession, location: str) -> tuple[int, int] | None:
    """Length in bytes and modification time in ms of one file; None if it is not there."""
    with telling(f"cannot read {location}"):
        filesystem, path = _resolve(spark, location)
        if not filesystem.exists(path):
            return None
        found = filesystem.getFileStatus(path)
        return found.getLen(), found.getModificationTime()


def folders(spark: SparkSession, folder: str) -> list[str]:
    """Names of the folders right below `folder`, sorted; none if it is not there."""
    with telling(f"cannot read {folder}"):
        filesystem, path = _resolve(spark, folder)
        if not filesystem.exists(path):
            return []
        return sorted(found.getPath().getName() for found in filesystem.listStatus(path) if found.isDirectory())


def move(spark: SparkSession, source: str, target: str) -> None:
    """Move one file, over whatever lies at the target; that stays where there is nothing to move."""
    with telling(f"cannot write {target}"):
        filesystem, destination = _resolve(spark, target)
        origin = _path(spark, source)
        if not filesystem.exists(origin):
            raise DataError(f"cannot write {target}: want {source} to move there, found no such file")
        filesystem.mkdirs(destination.getParent())
        filesystem.delete(destination, False)
        moved = filesystem.rename(origin, destination)
    if not moved:
        raise DataError(f"cannot write {target}: {source} could not be renamed to it")


def upload_folder(spark: SparkSession, folder: Path, location: str) -> None:
    """Replace the folder `location` by a copy of the local `folder`."""
    with telling(f"cannot write {location}"):
        filesystem, target = _resolve(spark, location)
        filesystem.delete(target, True)
        source = _local_path(spark, folder)
        filesystem.mkdirs(target.getParent())
        filesystem.copyFromLocalFile(False, True, source, target)


@contextmanager
def filling(spark: SparkSession, location: str) -> Iterator[Path]:
    """A local folder whose files shall lie in the new folder `location`: that one itself, or one that is uploaded."""
    filesystem, target = _resolve(spark, location)
    if _is_local(filesystem):
        folder = Path(target.toUri().getPath())
        try:
            folder.mkdir(parents=True)
            yield folder
        except OSError as error:
            raise DataError(f"cannot write {location}: {first_line(error)}") from error
        return
    with tempfile.TemporaryDirectory(prefix="sentiment-upload-") as name:
        yield Path(name)
        upload_folder(spark, Path(name), location)


def is_local(spark: SparkSession, location: str) -> bool:
    """Whether `location` is on this machine's own disk."""
    return _is_local(_resolve(spark, location)[0])


def download_folder(spark: SparkSession, location: str, folder: Path) -> None:
    """Copy the folder `location` to a new local `folder`."""
    with telling(f"cannot read {location}"):
        filesystem, source = _resolve(spark, location)
        filesystem.copyToLocalFile(False, source, _local_path(spark, folder), True)


def delete(spark: SparkSession, location: str) -> None:
    """Remove a file or a folder with all below it; nothing there is no error."""
    with telling(f"cannot write {location}"):
        filesystem, path = _resolve(spark, location)
        filesystem.delete(path, True)


def replace_dataset(frame: DataFrame, location: str) -> None:
    """Replace the Parquet folder `location` by `frame`, which is written beside it first.

    A job that dies while it writes leaves the old folder whole; the next one removes what it had written. One that dies
    between removing the old folder and renaming the new one leaves none. Of two that write at once, one fails.
    """
    spark = frame.sparkSession
    fresh = f"{location.rstrip('/')}.new-{uuid.uuid4().hex[:8]}"
    with telling(f"cannot write {location}"):
        filesystem, target = _resolve(spark, location)
        source = _path(spark, fresh)
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
    inside = _path(spark, join(target.toString(), source.getName()))
    if not filesystem.exists(inside):
        return renamed
    filesystem.delete(inside, True)
    return False


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
    message = str(cause.getMessage() or cause.getClass().getSimpleName()).strip().splitlines()[0]
    if message == _NO_CONNECTOR:
        message += (
            ": want this job on a Dataproc cluster, whose Spark has Google's connector, or the files on this machine"
        )
    return message if file.rpartition("/")[2] in message else f"{file}: {message}"


def _unread(cause: Any) -> str:
    """The file that a Java exception says could not be read; empty: it says no such thing."""
    found = _READING.search(cause.getMessage() or "")
    return unquote(found[1]) if found else ""


def _write_whole(spark: SparkSession, location: str, text: str, overwrite: bool) -> bool:
    """The file appears under its name when all of it is there; False: it was there before and may not be replaced."""
    filesystem, path = _resolve(spark, location)
    if _is_local(filesystem):
        return write_whole_locally(Path(path.toUri().getPath()), text, overwrite)
    streaming = spark._jvm.org.apache.spark.sql.execution.streaming  # type: ignore[union-attr]
    files = streaming.FileContextBasedCheckpointFileManager(path, spark._jsc.hadoopConfiguration())
    files.mkdirs(path.getParent())
    stream = files.createAtomic(path, overwrite)
    try:
        stream.write(bytearray(text.encode("utf-8")))
        stream.close()
    except Py4JJavaError as error:
        stream.cancel()
        if error.java_exception.getClass().getSimpleName() == "FileAlreadyExistsException":
            return False
        raise
    return True


def _is_local(filesystem: Any) -> bool:
    return bool(filesystem.getUri().getScheme() == "file")


def _walk(filesystem: Any, folder: Any, files: list[str], seen: set[str]) -> None:
    if _is_local(filesystem):
        real = os.path.realpath(folder.toUri().getPath())
        if real in seen:
            return
        seen.add(real)
    for status in filesystem.listStatus(folder):
        path = status.getPath()
        if path.getName().startswith((".", "_")):
            continue
        if status.isFile():
            files.append(path.toString())
        else:
            _walk(filesystem, path, files, seen)


def _resolve(spark: SparkSession, location: str) -> tuple[Any, Any]:
    path = _path(spark, location)
    return path.getFileSystem(spark._jsc.hadoopConfiguration()), path


def _local_path(spark: SparkSession, folder: Path) -> Any:
    """A file or folder of this machine, whatever its name and Hadoop's default file system.

    Hadoop takes `%20` in a URI for three characters, so no space may become one.
    """
    return _path(spark, f"file://{folder.resolve()}")


def _path(spark: SparkSession, location: str) -> Any:
    # By its whole name: each part of `_jvm.org.apache...` would be looked for in every jar first.
    return getattr(spark._jvm, "org.apache.hadoop.fs.Path")(location)
