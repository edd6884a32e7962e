"""A local folder to gs://: several files at once, each checked by the store, none sent that is there already."""

import os
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sentiment.jobs import DataError
from sentiment.progress import log
from sentiment.transfer.bars import Bar
from sentiment.transfer.bucket import Bucket, Stored, TroubleError
from sentiment.transfer.checksums import crc32c

ATTEMPTS = 5
BACK_OFF_SECONDS = 1.0
LONGEST_NAME = 1024  # bytes of UTF-8 that an object's name may have


@dataclass(frozen=True)
class Item:
    """One file and the object that it becomes."""

    path: Path
    name: str
    size: int


@dataclass
class Summary:
    """Numbers of files and bytes; `skipped` are those that were there, unchanged."""

    sent: int = 0
    sent_bytes: int = 0
    skipped: int = 0
    skipped_bytes: int = 0


class _StoppedError(Exception):
    """Another file has failed, or the user has had enough."""


def items(folder: Path, prefix: str) -> list[Item]:
    """Every file below `folder`, the largest first; left out: hidden ones, half ones (`.partial`), links.

    Raises:
        DataError: a name that no object can have.
    """
    found = []

    def unreadable(error: OSError) -> None:
        if Path(error.filename) != folder or folder.exists():
            raise DataError(f"{error.filename}: want a folder that can be read: {error.strerror}") from None

    for root, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(root) / name for name in names):
            if path.name.startswith(".") or path.suffix == ".partial" or path.is_symlink() or not path.is_file():
                continue
            name = "/".join(part for part in (prefix, path.relative_to(folder).as_posix()) if part)
            _check_name(name)
            found.append(Item(path, name, path.stat().st_size))
    return sorted(found, key=lambda item: (-item.size, item.name))


def plan(found: Sequence[Item], stored: dict[str, Stored]) -> tuple[list[Item], list[Item]]:
    """Those to send, and those that the bucket has with the same size and checksum."""
    send: list[Item] = []
    skip: list[Item] = []
    for item in found:
        there = stored.get(item.name)
        same = there is not None and there.size == item.size and there.crc32c == _checksum(item.path)
        (skip if same else send).append(item)
    return send, skip


def upload(bucket: Bucket, found: Sequence[Item], stored: dict[str, Stored], workers: int) -> Summary:
    """Send what is not there unchanged.

    Raises:
        DataError: the first file that could not be sent; those before it are there, whole, and are skipped next time.
    """
    send, skip = plan(found, stored)
    done = Summary(skipped=len(skip), skipped_bytes=sum(item.size for item in skip))
    stop = threading.Event()
    pool = ThreadPoolExecutor(min(workers, max(len(send), 1)), thread_name_prefix="upload")
    with Bar(f"upload to gs://{bucket.name}", sum(item.size for item in send)) as bar:
        try:
            jobs = {pool.submit(_send, bucket, item, stored, bar, stop): item for item in send}
            ended, _ = wait(jobs, return_when=FIRST_EXCEPTION)
            for job in ended:
                job.result()
        except DataError as error:
            stop.set()
            pool.shutdown(cancel_futures=True)
            whole = sum(job.done() and not job.cancelled() and job.exception() is None for job in jobs)
            raise DataError(f"{error}; {whole} of {len(send)} files are there, run it again to go on") from None
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
    done.sent, done.sent_bytes = len(send), sum(item.size for item in send)
    return done


def _send(bucket: Bucket, item: Item, stored: dict[str, Stored], bar: Bar, stop: threading.Event) -> None:
    there = stored.get(item.name)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with item.path.open("rb") as opened:
                file = _Counted(opened, bar, stop)
                try:
                    size = os.fstat(opened.fileno()).st_size
                    bucket.put(file, size, _checksum(item.path), item.name, there.generation if there else 0)  # type: ignore[arg-type]
                    return
                except TroubleError:
                    bar.add(-file.count)
                    raise
        except TroubleError as trouble:
            if attempt == ATTEMPTS:
                raise DataError(f"{item.path}: not uploaded in {ATTEMPTS} attempts: {trouble}") from None
            log.info("upload: %s: %s; from its beginning", item.path, trouble)
            if stop.wait(BACK_OFF_SECONDS * 2 ** (attempt - 1)):
                raise _StoppedError from None
        except OSError as error:
            raise DataError(f"{item.path}: cannot be read: {error.strerror or error}") from None


class _Counted:
    """A file that tells a bar what is read of it, and can be read no more once `stop` is set."""

    def __init__(self, file: IO[bytes], bar: Bar, stop: threading.Event) -> None:
        self._file = file
        self._bar = bar
        self._stop = stop
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        if self._stop.is_set():
            raise _StoppedError
        piece = self._file.read(size)
        self.count += len(piece)
        self._bar.add(len(piece))
        return piece

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, place: int, whence: int = 0) -> int:
        return self._file.seek(place, whence)


def _checksum(path: Path) -> str:
    try:
        return crc32c(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def _check_name(name: str) -> None:
    try:
        length = len(name.encode("utf-8"))
    except UnicodeEncodeError:
        raise DataError(f"want file names in UTF-8, found {name!r}") from None
    if length > LONGEST_NAME or "\n" in name or "\r" in name:
        raise DataError(f"want names of at most {LONGEST_NAME} bytes in one line for objects, found {name[:100]!r}")
