"""Objects in a local folder or on gs://: small texts created whole, listings, files to read; no Spark, no JVM.

A location is a local path or a gs:// URI, as `folder_at` gives them.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit
from urllib.request import url2pathname

from sentiment.jobs import DataError, one_line

GS = "gs"
PROBE = ".writable"
"""Name of the object that `check_writable` leaves in a folder."""

REQUEST_SECONDS = 15.0
RETRY_SECONDS = 30.0
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
    """The folder as a local path or a gs:// URI; DataError, naming `argument`: nothing can be created once there."""
    parts = urlsplit(location)
    if parts.scheme == GS and parts.netloc:
        return location.rstrip("/")
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return str(Path(url2pathname(parts.path)))
    if location and not parts.scheme:
        return str(Path(location))
    raise DataError(f"{argument}: want a local folder or gs://BUCKET/FOLDER, found {location or 'nothing'}")


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
        _upload(location, text, if_generation_match=0)
    except _gs_errors() as error:
        if getattr(error, "code", None) != 412:
            raise _unwritable(location, error) from error
        return read(location) == text
    return True


def replace(location: str, text: str, content_type: str = "application/json") -> None:
    """Write an object over whatever is there; a reader finds the old text or the new one, never a part."""
    try:
        if _on_gs(location):
            _upload(location, text, content_type)
        else:
            write_whole_locally(Path(location), text, overwrite=True)
    except _errors(location) as error:
        raise _unwritable(location, error) from error


def read(location: str) -> str | None:
    """The UTF-8 text of an object; None: there is none."""
    try:
        if _on_gs(location):
            return _download(location)
        return Path(location).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except _errors(location) as error:
        raise DataError(f"cannot read {location}: {_brief(error)}") from error


def read_bytes(location: str) -> bytes | None:
    """The bytes of an object; None: there is none."""
    try:
        return _download_bytes(location) if _on_gs(location) else Path(location).read_bytes()
    except FileNotFoundError:
        return None
    except _errors(location) as error:
        raise DataError(f"cannot read {location}: {_brief(error)}") from error


def names(folder: str) -> list[str]:
    """The names of the objects right below `folder`, sorted, those with a leading dot left out; none if it is new."""
    try:
        if _on_gs(folder):
            found = _listed(folder)
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
        found = list(_gs_entries(folder) if _on_gs(folder) else _local_entries(Path(folder)))
    except _errors(folder) as error:
        raise DataError(f"cannot read {folder}: {_brief(error)}") from error
    hidden = [entry for entry in found if any(part.startswith((".", "_")) for part in entry.name.split("/"))]
    return sorted(set(found).difference(hidden), key=lambda entry: entry.name)


@contextmanager
def opened(location: str) -> Iterator[BinaryIO]:
    """An object as a file to read and to seek in; DataError: it cannot be read, then or while it is open."""
    try:
        if _on_gs(location):
            with _blob(location).open("rb", chunk_size=CHUNK_BYTES, **_patience()) as file:
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
            return sorted(_listed_folders(folder))
        return sorted(entry.name for entry in os.scandir(Path(folder)) if entry.is_dir())
    except FileNotFoundError:
        return []
    except _errors(folder) as error:
        raise DataError(f"cannot read {folder}: {_brief(error)}") from error


def download(location: str, target: Path) -> None:
    """Copy an object of gs:// into a local file; DataError: it cannot be read, or it is gone."""
    try:
        _blob(location).download_to_filename(str(target), **_patience())
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
    return location.startswith(f"{GS}://")


def _brief(error: BaseException) -> str:
    message = (error.strerror or "") if isinstance(error, OSError) else ""
    return (message or one_line(error))[:200]


def _unwritable(location: str, error: BaseException) -> DataError:
    return DataError(f"cannot write {location}: {_brief(error)}")


def _gs_errors() -> tuple[type[Exception], ...]:
    """What google-cloud-storage raises; imported late, because that takes a second."""
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from requests.exceptions import RequestException

    return (GoogleAPIError, GoogleAuthError, RequestException, ValueError)


def _errors(location: str) -> tuple[type[Exception], ...]:
    return (OSError, UnicodeDecodeError, *(_gs_errors() if _on_gs(location) else ()))


@lru_cache(maxsize=4)
def _client(_emulator: str) -> Any:
    """One client per process and endpoint; STORAGE_EMULATOR_HOST is read by the client itself."""
    from google.cloud import storage

    return storage.Client(project=None)


def _blob(location: str) -> Any:
    bucket, _, name = location.removeprefix(f"{GS}://").partition("/")
    return _client(os.environ.get("STORAGE_EMULATOR_HOST", "")).bucket(bucket).blob(name)


def _patience() -> dict[str, Any]:
    """A create-once or a read may be repeated safely, within bounds that a person waits for."""
    from google.cloud.storage.retry import DEFAULT_RETRY

    return {"timeout": REQUEST_SECONDS, "retry": DEFAULT_RETRY.with_timeout(RETRY_SECONDS)}


def _upload(location: str, text: str, content_type: str = "application/json", **conditions: int) -> None:
    _blob(location).upload_from_string(text.encode("utf-8"), content_type=content_type, **conditions, **_patience())


def _download(location: str) -> str | None:
    content = _download_bytes(location)
    return None if content is None else content.decode("utf-8")


def _download_bytes(location: str) -> bytes | None:
    from google.api_core.exceptions import NotFound

    try:
        return bytes(_blob(location).download_as_bytes(**_patience()))
    except NotFound as error:
        if "bucket does not exist" in str(error):
            raise
        return None


def _listing(folder: str, **how: Any) -> tuple[Any, str]:
    """The objects below a folder of gs://, and what their names begin with."""
    bucket, _, inner = folder.removeprefix(f"{GS}://").partition("/")
    prefix = f"{inner.strip('/')}/" if inner.strip("/") else ""
    client = _client(os.environ.get("STORAGE_EMULATOR_HOST", ""))
    return client.list_blobs(bucket, prefix=prefix, **how, **_patience()), prefix


def _listed(folder: str) -> list[str]:
    found, prefix = _listing(folder, delimiter="/")
    return [blob.name.removeprefix(prefix) for blob in found if blob.name != prefix]


def _listed_folders(folder: str) -> set[str]:
    found, prefix = _listing(folder, delimiter="/")
    return {name.removeprefix(prefix).rstrip("/") for page in found.pages for name in page.prefixes}


def _gs_entries(folder: str) -> Iterator[Entry]:
    found, prefix = _listing(folder, fields="items(name,size,updated),nextPageToken")
    for blob in found:
        if not blob.name.endswith("/"):
            yield Entry(blob.name.removeprefix(prefix), blob.size, blob.updated.timestamp())


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
