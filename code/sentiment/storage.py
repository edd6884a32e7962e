"""Files and folders behind URIs (local, `gs://`, `hdfs://`), all through Hadoop's FileSystem as Spark sees it."""

import json
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession

from sentiment.jobs import DataError, one_line
from sentiment.objects import write_whole_locally


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
        if _is_local(filesystem):
            return Path(path.toUri().getPath()).read_text(encoding="utf-8")
        stream = filesystem.open(path)
        try:
            return bytes(spark._jvm.org.apache.commons.io.IOUtils.toByteArray(stream)).decode("utf-8")  # type: ignore[union-attr]
        finally:
            stream.close()
    except (Py4JJavaError, OSError) as error:
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


def create_text(spark: SparkSession, location: str, text: str) -> bool:
    """Write one small file that nobody wrote before, whole or not at all; False: there is one already."""
    try:
        return _write_whole(spark, location, text, overwrite=False)
    except (Py4JJavaError, OSError) as error:
        raise DataError(f"cannot write {location}: {first_line(error)}") from error


def replace_text(spark: SparkSession, location: str, text: str) -> None:
    """Replace one small file; a reader finds the old text or the new one, never a part."""
    try:
        _write_whole(spark, location, text, overwrite=True)
    except (Py4JJavaError, OSError) as error:
        raise DataError(f"cannot write {location}: {first_line(error)}") from error


def remove_orphaned_checksums(spark: SparkSession, folder: str) -> None:
    """Remove `.NAME.crc` of files that are gone: Hadoop's local file system takes no new file NAME while one is there.

    Whoever deletes a file of a checkpoint by hand leaves one behind.
    """
    try:
        filesystem, path = _resolve(spark, folder)
        if not filesystem.exists(path):
            return
        raw = filesystem.getRawFileSystem() if _is_local(filesystem) else filesystem
        names = {found.getPath().getName() for found in raw.listStatus(path)}
        for name in names:
            if name.startswith(".") and name.endswith(".crc") and name[1:-4] not in names:
                raw.delete(_path(spark, join(folder, name)), False)
    except Py4JJavaError as error:
        raise DataError(f"cannot read {folder}: {first_line(error)}") from error


def statuses(spark: SparkSession, folder: str) -> dict[str, tuple[int, int]]:
    """Length in bytes and modification time in ms of every file right below `folder`, by name; hidden ones left out."""
    try:
        filesystem, path = _resolve(spark, folder)
        if not filesystem.exists(path):
            return {}
        found = [status for status in filesystem.listStatus(path) if status.isFile()]
        named = {status.getPath().getName(): (status.getLen(), status.getModificationTime()) for status in found}
    except Py4JJavaError as error:
        raise DataError(f"cannot read {folder}: {first_line(error)}") from error
    return {name: values for name, values in named.items() if not name.startswith((".", "_"))}


def status(spark: SparkSession, location: str) -> tuple[int, int] | None:
    """Length in bytes and modification time in ms of one file; None if it is not there."""
    try:
        filesystem, path = _resolve(spark, location)
        if not filesystem.exists(path):
            return None
        found = filesystem.getFileStatus(path)
        return found.getLen(), found.getModificationTime()
    except Py4JJavaError as error:
        raise DataError(f"cannot read {location}: {first_line(error)}") from error


def folders(spark: SparkSession, folder: str) -> list[str]:
    """Names of the folders right below `folder`, sorted; none if it is not there."""
    try:
        filesystem, path = _resolve(spark, folder)
        if not filesystem.exists(path):
            return []
        return sorted(found.getPath().getName() for found in filesystem.listStatus(path) if found.isDirectory())
    except Py4JJavaError as error:
        raise DataError(f"cannot read {folder}: {first_line(error)}") from error


def move(spark: SparkSession, source: str, target: str) -> None:
    """Move one file, over whatever lies at the target."""
    try:
        filesystem, destination = _resolve(spark, target)
        filesystem.mkdirs(destination.getParent())
        filesystem.delete(destination, False)
        moved = filesystem.rename(_path(spark, source), destination)
    except Py4JJavaError as error:
        raise DataError(f"cannot write {target}: {first_line(error)}") from error
    if not moved:
        raise DataError(f"cannot write {target}: {source} could not be renamed to it")


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
    try:
        filesystem, source = _resolve(spark, location)
        filesystem.copyToLocalFile(False, source, _path(spark, folder.resolve().as_uri()), True)
    except Py4JJavaError as error:
        raise DataError(f"cannot read {location}: {first_line(error)}") from error


def delete(spark: SparkSession, location: str) -> None:
    """Remove a file or a folder with all below it; nothing there is no error."""
    filesystem, path = _resolve(spark, location)
    filesystem.delete(path, True)


def replace_dataset(frame: DataFrame, location: str) -> None:
    """Replace the Parquet folder `location` by `frame`; a job that dies half-way leaves the old one whole.

    The rows are written beside it first, then the folders are exchanged. What such a job had written beside it goes.
    """
    spark = frame.sparkSession
    fresh = f"{location.rstrip('/')}.new-{uuid.uuid4().hex[:8]}"
    try:
        filesystem, target = _resolve(spark, location)
        source = _path(spark, fresh)
        if filesystem.exists(target.getParent()):
            for status in filesystem.listStatus(target.getParent()):
                if status.getPath().getName().startswith(f"{target.getName()}.new-"):
                    filesystem.delete(status.getPath(), True)
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


def first_line(error: BaseException) -> str:
    """An error as one line; of one that comes from Java the innermost message, without its stack."""
    if not isinstance(error, Py4JJavaError):
        return one_line(error)
    cause = error.java_exception
    while cause.getCause() is not None:
        cause = cause.getCause()
    message = cause.getMessage() or cause.getClass().getSimpleName()
    return str(message).strip().splitlines()[0]


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
    # By its whole name: each part of `_jvm.org.apache...` would be looked for in every jar first.
    return getattr(spark._jvm, "org.apache.hadoop.fs.Path")(location)
