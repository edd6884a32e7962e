"""Objects in a local folder or on gs://: small texts created whole, listings, files to read; no Spark, no JVM.

A location is a local path or a gs:// URI, as `folder_at` gives them.
"""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit
from urllib.request import url2pathname

from sentiment import gs
from sentiment.jobs import ArgumentsError, DataError, one_line

PROBE = ".writable"
"""Name of the object that `check_writable` leaves in a folder."""

CHUNK_BYTES = 1 << 20
"""How much of an object on gs:// is fetched at once by who reads parts of it."""


@dataclass(frozen=True)
class Entry:
    """An object in a listing.

    Attributes:
        name: below the folder that was listed, with `/` between its parts.
        size: bytes.
        modified: seconds since 1970, by the store's clock.
    """

    name: str
    size: int
    modified: float


def folder_at(location: str, argument: str) -> str:
    """The folder as a local path or a gs:// URI; ArgumentsError: `argument` names no place where objects can lie."""
    found = folder_or_none(location)
    if found is None:
        raise ArgumentsError(f"{argument}: want a local folder or gs://BUCKET/FOLDER, found {location or 'nothing'}")
    return found


def folder_or_none(location: str) -> str | None:
    """What `folder_at` gives, for a location that is no argument; None: nothing can be created once there."""
    with suppress(ValueError):  # of a bracket that is not closed
        parts = urlsplit(location)
        if parts.scheme == gs.GS and parts.netloc:
            return location.rstrip("/")
        if parts.scheme == "file" and parts.netloc in ("", "localhost"):
            return str(Path(url2pathname(parts.path)))
        if location and not parts.scheme:
            return str(Path(location))
    return None


def check_writable(folder: str, argument: str) -> None:
    """DataError, naming `argument`, unless objects can be created in `folder`; leaves one named `.writable` there."""
    try:
        create(f"{folder}/{PROBE}", "")
    except DataError as error:
        raise DataError(f"{argument} {folder}: want a folder that can be written: {error}") from error


def create(location: str, text: str) -> bool:
    """Write an object that nobody wrote before, whole or not at all.

    Returns:
        False: another text is there already. On gs:// the same text counts as created: a request that is tried
        again after a lost answer finds what it wrote itself.

    Raises:
        DataError: the store cannot be reached or written.
    """
    if not _on_gs(location):
        try:
            return write_whole_locally(Path(location), text, overwrite=False)
        except OSError as error:
            raise _unwritable(location, error) from error
    try:
        gs.upload(location, text, if_generation_match=0)
    except gs.errors() as error:
        if getattr(error, "code", None) != 412:
            raise _unwritable(location, error) from error
        return read(location) == text
    return True


def replace(location: str, text: str, content_type: str = "application/json") -> None:
    """Write an object over whatever is there; a reader finds the old text or the new one, never a part."""
    try:
        if _on_gs(location):
            gs.upload(location, text, content_type)
        else:
            write_whole_locally(Path(location), text, overwrite=True)
    except _errors(location) as error:
        raise _unwritable(location, error) from error


def read(location: str) -> str | None:
    """The UTF-8 text of an object; None: there is none."""
    try:
        if _on_gs(location):
            content = gs.read(location)
            return None if content is None else content.decode("utf-8")
        return Path(location).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except _errors(location) as error:
        raise DataError(f"cannot read {location}: {_brief(error)}") from error


def json_object(text: str, source: str) -> dict[str, Any]:
    """The JSON object that a text is; DataError: it is none, and where it is from."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise DataError(f"{source}: want a JSON object, found {one_line(error)}") from None
    if not isinstance(found, dict):
        raise DataError(f"{source}: want a JSON object, found {type(found).__name__}")
    return found


def read_bytes(location: str) -> bytes | None:
    """The bytes of an object; None: there is none."""
    try:
        return gs.read(location) if _on_gs(location) else Path(location).read_bytes()
    except FileNotFoundError:
        return None
    except _errors(location) as error:
        raise DataError(f"cannot read {location}: {_brief(error)}") from error


def names(folder: str) -> list[str]:
    """The names of the objects right below `folder`, sorted, those with a leading dot left out; none if it is new."""
    try:
        if _on_gs(folder):
            found = gs.names(folder)
        else:
            found = [entry.name for entry in os.scandir(Path(folder)) if entry.is_file()]
    except FileNotFoundError:
        return []
    except _errors(folder) as error:
        raise DataError(f"cannot read {folder}: {_brief(error)}") from error
    return sorted(name for name in found if not name.startswith("."))


def entries(folder: str) -> list[Entry]:
    """All objects below `folder`, sorted by name; hidden ones (a part with a leading `.` or `_`) are left out."""
    try:
        found = (
            [Entry(*found) for found in gs.entries(folder)] if _on_gs(folder) else list(_local_entries(Path(folder)))
        )
    except _errors(folder) as error:
        raise DataError(f"cannot read {folder}: {_brief(error)}") from error
    hidden = [entry for entry in found if any(part.startswith((".", "_")) for part in entry.name.split("/"))]
    return sorted(set(found).difference(hidden), key=lambda entry: entry.name)


@contextmanager
def opened(location: str) -> Iterator[BinaryIO]:
    """An object as a file to read and to seek in; DataError: it cannot be read, then or while it is open."""
    try:
        if _on_gs(location):
            with gs.blob(location).open("rb", chunk_size=CHUNK_BYTES, **gs.patience()) as file:
                yield file
        else:
            with Path(location).open("rb") as file:
                yield file
    except _errors(location) as error:
        raise DataError(f"cannot read {location}: {_brief(error)}") from error


def folders(folder: str) -> list[str]:
    """The names of the folders right below `folder`, sorted; none if it is new."""
    try:
        if _on_gs(folder):
            return sorted(gs.folders(folder))
        return sorted(entry.name for entry in os.scandir(Path(folder)) if entry.is_dir())
    except FileNotFoundError:
        return []
    except _errors(folder) as error:
        raise DataError(f"cannot read {folder}: {_brief(error)}") from error


def download(location: str, target: Path) -> None:
    """Copy an object of gs:// into a local file; DataError: it cannot be read, or it is gone."""
    try:
        gs.blob(location).download_to_filename(str(target), **gs.patience())
    except _errors(location) as error:
        raise DataError(f"cannot read {location}: {_brief(error)}") from error


def write_whole_locally(path: Path, text: str, overwrite: bool) -> bool:
    """By the system's own atomic steps: the file appears under its name when all of it is on the disk.

    Returns:
        False: it was there before and may not be replaced.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            fresh.replace(path)
        else:
            path.hardlink_to(fresh)
    except FileExistsError:
        if overwrite:
            raise
        return False
    finally:
        fresh.unlink(missing_ok=True)
    return True


def _on_gs(location: str) -> bool:
    return location.startswith(f"{gs.GS}://")


def _brief(error: BaseException) -> str:
    message = (error.strerror or "") if isinstance(error, OSError) else ""
    return (message or one_line(error))[:200]


def _unwritable(location: str, error: BaseException) -> DataError:
    return DataError(f"cannot write {location}: {_brief(error)}")


def _errors(location: str) -> tuple[type[Exception], ...]:
    return (OSError, UnicodeDecodeError, *(gs.errors() if _on_gs(location) else ()))


def _local_entries(folder: Path) -> Iterator[Entry]:
    def raised(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    for root, _, found in os.walk(folder, onerror=raised):
        for path in (Path(root, name) for name in found):
            try:
                status = path.stat()
            except FileNotFoundError:  # gone since it was listed
                continue
            yield Entry(path.relative_to(folder).as_posix(), status.st_size, status.st_mtime)
