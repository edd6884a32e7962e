"""Files behind URIs (local, `gs://`, `hdfs://`), all through Hadoop: listed, and small ones read and written."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyspark
from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

from sentiment import hadoop
from sentiment.jobs import DataError
from sentiment.objects import write_whole_locally


@contextmanager
def reading(spark: SparkSession, task: str, files: list[str]) -> Iterator[None]:
    """As `hadoop.telling`, where Spark reads files of lines: of several the one that cannot be read is named.

    Spark 4 names it; under Spark 3.5 each is read by itself then.
    """
    try:
        with hadoop.telling(task):
            yield
    except DataError as error:
        if error.__cause__ is not None and len(files) > 1 and pyspark.__version__ < "4":
            for file in files:
                with hadoop.telling(f"{task}: {file}"):
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
    with hadoop.telling(f"cannot read {location}"):
        filesystem, path = hadoop.resolved(spark, location)
        there = filesystem.exists(path)
        for status in [filesystem.getFileStatus(path)] if there else filesystem.globStatus(path) or []:
            if status.isFile():
                files.append(status.getPath().toString())
            else:
                check_names(spark, status.getPath().toString())
                _walk(filesystem, status.getPath(), files, seen)
    return sorted(files)


def check_names(spark: SparkSession, folder: str) -> None:
    """DataError where Java cannot read a name below a local folder: Hadoop leaves that out without a word."""
    filesystem, path = hadoop.resolved(spark, folder)
    if not hadoop.is_local(filesystem):
        return
    encoding = getattr(spark._jvm, "java.lang.System").getProperty("sun.jnu.encoding")
    seen: set[bytes] = set()
    for here, below, files in os.walk(os.fsencode(path.toUri().getPath()), followlinks=True):
        is_new = (real := os.path.realpath(here)) not in seen
        seen.add(real)
        below[:] = [name for name in below if is_new and not name.startswith((b".", b"_"))]
        for name in below + [name for name in files if not name.startswith((b".", b"_"))]:
            try:
                name.decode(encoding)
            except UnicodeDecodeError:
                raise DataError(
                    f"cannot read {folder}: want names of files in {encoding}, which Java takes from the locale, "
                    f"found {os.fsdecode(here + b'/' + name)!r}"
                ) from None


def literal(path: str) -> str:
    """A path for Spark's readers and `list_files`, which take brackets, braces and the like for a pattern."""
    return re.sub(r"([\\{}\[\]*?])", r"\\\1", path)


def is_file(spark: SparkSession, location: str) -> bool:
    """Whether there is a file, not a folder, at `location`."""
    with hadoop.telling(f"cannot read {location}"):
        filesystem, path = hadoop.resolved(spark, location)
        return bool(filesystem.exists(path) and filesystem.getFileStatus(path).isFile())


def exists(spark: SparkSession, location: str) -> bool:
    """Whether there is a file or folder at `location`."""
    with hadoop.telling(f"cannot read {location}"):
        filesystem, path = hadoop.resolved(spark, location)
        return bool(filesystem.exists(path))


def read_text(spark: SparkSession, location: str) -> str:
    """The UTF-8 text of one small file."""
    with hadoop.telling(f"cannot read {location}"):
        filesystem, path = hadoop.resolved(spark, location)
        if hadoop.is_local(filesystem):
            content = Path(path.toUri().getPath()).read_bytes()
        else:
            stream = filesystem.open(path)
            try:
                content = bytes(spark._jvm.org.apache.commons.io.IOUtils.toByteArray(stream))  # type: ignore[union-attr]
            finally:
                stream.close()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"cannot read {location}: want UTF-8, found {error}") from error


def beginning(spark: SparkSession, location: str, size: int) -> bytes:
    """The first `size` bytes of one file, a handful; fewer where it has no more. What goes wrong the caller tells."""
    filesystem, path = hadoop.resolved(spark, location)
    stream = filesystem.open(path)
    try:
        return bytes(byte for byte in (stream.read() for _ in range(size)) if byte >= 0)
    finally:
        stream.close()


def write_json(spark: SparkSession, location: str, content: Any) -> None:
    """Replace one small file by `content` as indented JSON, as `replace_text` does."""
    replace_text(spark, location, json.dumps(content, indent=2, sort_keys=True) + "\n")


def create_text(spark: SparkSession, location: str, text: str) -> bool:
    """Write one small file that nobody wrote before, whole or not at all; False: there is one already."""
    with hadoop.telling(f"cannot write {location}"):
        return _write_whole(spark, location, text, overwrite=False)


def replace_text(spark: SparkSession, location: str, text: str) -> None:
    """Replace one small file; a reader finds the old text or the new one, never a part."""
    with hadoop.telling(f"cannot write {location}"):
        _write_whole(spark, location, text, overwrite=True)


def remove_orphaned_checksums(spark: SparkSession, folder: str) -> None:
    """Remove `.NAME.crc` of files that are gone: Hadoop's local file system takes no new file NAME while one is there.

    Whoever deletes a file of a checkpoint by hand leaves one behind.
    """
    with hadoop.telling(f"cannot read {folder}"):
        filesystem, path = hadoop.resolved(spark, folder)
        if not filesystem.exists(path):
            return
        raw = filesystem.getRawFileSystem() if hadoop.is_local(filesystem) else filesystem
        names = {found.getPath().getName() for found in raw.listStatus(path)}
        for name in names:
            if name.startswith(".") and name.endswith(".crc") and name[1:-4] not in names:
                raw.delete(hadoop.path_of(spark, join(folder, name)), False)


def names(spark: SparkSession, folder: str) -> list[str]:
    """The names of all that lies right below `folder`, hidden ones left out; none if it is not there.

    Java is asked once for all of them: one by one 20,000 take five seconds.
    """
    with hadoop.telling(f"cannot read {folder}"):
        filesystem, path = hadoop.resolved(spark, folder)
        if not filesystem.exists(path):
            return []
        found = getattr(spark._jvm, "org.apache.hadoop.fs.FileUtil").stat2Paths(filesystem.listStatus(path))
        each = getattr(spark._jvm, "org.apache.commons.collections4.IteratorUtils").getIterator(found)
        paths = getattr(spark._jvm, "org.apache.commons.lang3.StringUtils").join(each, "\n")
    listed = [location.rpartition("/")[2] for location in paths.split("\n") if location]
    return [name for name in listed if not name.startswith((".", "_"))]


def status(spark: SparkSession, location: str) -> tuple[int, int] | None:
    """Length in bytes and modification time in ms of one file; None if it is not there."""
    with hadoop.telling(f"cannot read {location}"):
        filesystem, path = hadoop.resolved(spark, location)
        if not filesystem.exists(path):
            return None
        found = filesystem.getFileStatus(path)
        return found.getLen(), found.getModificationTime()


def folders(spark: SparkSession, folder: str) -> list[str]:
    """Names of the folders right below `folder`, sorted; none if it is not there."""
    with hadoop.telling(f"cannot read {folder}"):
        filesystem, path = hadoop.resolved(spark, folder)
        if not filesystem.exists(path):
            return []
        return sorted(found.getPath().getName() for found in filesystem.listStatus(path) if found.isDirectory())


def move(spark: SparkSession, source: str, target: str) -> None:
    """Move one file, over whatever lies at the target; that stays where there is nothing to move."""
    with hadoop.telling(f"cannot write {target}"):
        filesystem, destination = hadoop.resolved(spark, target)
        origin = hadoop.path_of(spark, source)
        if not filesystem.exists(origin):
            raise DataError(f"cannot write {target}: want {source} to move there, found no such file")
        filesystem.mkdirs(destination.getParent())
        filesystem.delete(destination, False)
        moved = filesystem.rename(origin, destination)
    if not moved:
        raise DataError(f"cannot write {target}: {source} could not be renamed to it")


def is_local(spark: SparkSession, location: str) -> bool:
    """Whether `location` is on this machine's own disk."""
    return hadoop.is_local(hadoop.resolved(spark, location)[0])


def delete(spark: SparkSession, location: str) -> None:
    """Remove a file or a folder with all below it; nothing there is no error."""
    with hadoop.telling(f"cannot write {location}"):
        filesystem, path = hadoop.resolved(spark, location)
        filesystem.delete(path, True)


def _write_whole(spark: SparkSession, location: str, text: str, overwrite: bool) -> bool:
    """The file appears under its name when all of it is there; False: it was there before and may not be replaced."""
    filesystem, path = hadoop.resolved(spark, location)
    if hadoop.is_local(filesystem):
        file = Path(path.toUri().getPath())
        if overwrite:  # the checksum of a file that Hadoop wrote would make this one a damaged one to it
            file.with_name(f".{file.name}.crc").unlink(missing_ok=True)
        return write_whole_locally(file, text, overwrite)
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


def _walk(filesystem: Any, folder: Any, files: list[str], seen: set[str]) -> None:
    if hadoop.is_local(filesystem):
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
