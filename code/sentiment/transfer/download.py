"""A data set's archive in a local folder: whole or not at all, gone on with after a cut, not fetched twice."""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sentiment.jobs import DataError
from sentiment.objects import write_whole_locally
from sentiment.progress import log
from sentiment.transfer.archive import RECORD, DamagedError, unzip
from sentiment.transfer.bars import Bar
from sentiment.transfer.checksums import crc32c, md5
from sentiment.transfer.kaggle import Archive, Identity, Kaggle, TroubleError

Answer = TypeVar("Answer")

PATIENCE = 5
"""So many failures in a row that brought no byte are borne."""

DAMAGED = 2
"""So many archives in a row that do not fit their checksum end a download."""

BACK_OFF_SECONDS = 1.0
LONGEST_WAIT = 60.0


@dataclass
class Record:
    """What lies in the folder, kept there in RECORD: a part of an archive, the `whole`, or files out of it."""

    dataset: str
    identity: Identity
    whole: bool = False
    files: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What a download has done: bytes that came now, the archive's size, how it was checked, files out of it."""

    fetched: int
    size: int
    checked: str
    files: dict[str, int]


class Download:
    """The archive of one data set in `folder`, named `<name>.zip`, `<name>.zip.partial` until it is whole."""

    def __init__(self, kaggle: Kaggle, folder: Path) -> None:
        self.kaggle = kaggle
        self.folder = folder
        self.path = folder / f"{kaggle.name}.zip"
        self.partial = folder / f"{kaggle.name}.zip.partial"

    def run(self, wants_files: bool, max_gb: float) -> Outcome:
        """Fetch the archive unless it, or the files out of it, are there as the service has them now.

        Args:
            wants_files: unzip it into the folder, and remove it then.

        Raises:
            DataError: the service, the archive or the disk; a part that came stays for the next run.
        """
        made = not self.folder.exists()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with _alone(self.folder):
                return self._run(wants_files, max_gb)
        except OSError as error:
            raise DataError(f"--output-dir {self.folder}: cannot be written: {error.strerror or error}") from None
        finally:
            if made:
                with suppress(OSError):
                    self.folder.rmdir()  # where nothing came

    def there(self, wants_files: bool) -> Record | None:
        """The record of what lies in the folder if it is what is wanted, whole, and what the service has now."""
        record = self._record()
        if record is None or not record.whole or not (record.identity.validator or record.identity.md5):
            return None
        files = record.files if wants_files else {self.path.name: record.identity.size}
        if not files or not all(_size(self.folder / name) == size for name, size in files.items()):
            return None
        return record if record.identity == patiently(self._identity) else None

    def _run(self, wants_files: bool, max_gb: float) -> Outcome:
        fetched, checked = 0, "unchanged"
        record = self.there(wants_files)
        if record is None and wants_files:
            record = self.there(wants_files=False)
        if record is None:
            fetched, checked = self._fetch()
            record = self._record()
            assert record is not None
        if wants_files and self.path.exists():
            try:
                record.files = unzip(self.path, self.folder, max_gb)
            except DamagedError:
                self.path.unlink()
                self._forget()
                raise
            self._note(record)
            self.path.unlink()
        return Outcome(fetched, record.identity.size, checked, record.files if wants_files else {})

    def _fetch(self) -> tuple[int, str]:
        """Bytes that came, and how the whole was checked."""
        with Bar(f"download {self.path.name}") as bar:
            damaged = 0
            while True:
                patiently(lambda: self._attempt(bar), lambda: bar.done)
                record = self._record()
                assert record is not None
                checked, fault = _verdict(self.partial, record.identity)
                if not fault:
                    break
                self.partial.unlink()
                self._forget()
                damaged += 1
                if damaged >= DAMAGED:
                    raise DataError(
                        f"{self.path}: want the archive that Kaggle describes, found {fault}; nothing is kept"
                    )
                log.info("download: %s: from the beginning", fault)
        self.partial.replace(self.path)
        record.whole = True
        self._note(record)
        return bar.done, checked

    def _attempt(self, bar: Bar) -> None:
        """Fetch what is missing of the partial file over one connection."""
        record = self._record()
        have = _size(self.partial) or 0
        part = record.identity if record else None
        if part and part.validator and have == part.size:
            return  # the process died between the last byte and the check
        with self.kaggle.archive(part, have) as archive:
            if record is None or record.identity != archive.identity or not archive.start:
                self._note(Record(self.kaggle.dataset, archive.identity))
            if archive.identity.size >= 0:
                bar.expect(bar.done + archive.identity.size - archive.start)
            self._write(archive, bar)

    def _write(self, archive: Archive, bar: Bar) -> None:
        with self.partial.open("ab" if archive.start else "wb") as file:
            for piece in archive.chunks():
                file.write(piece)
                bar.add(len(piece))
            file.flush()
            os.fsync(file.fileno())

    def _identity(self) -> Identity:
        with self.kaggle.archive() as archive:
            return archive.identity

    def _record(self) -> Record | None:
        """The folder's record, if it is one of this data set."""
        try:
            kept: dict[str, Any] = json.loads((self.folder / RECORD).read_text(encoding="utf-8"))
            record = Record(kept["dataset"], Identity(**kept["identity"]), kept["whole"], dict(kept["files"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return record if record.dataset == self.kaggle.dataset else None

    def _note(self, record: Record) -> None:
        write_whole_locally(self.folder / RECORD, json.dumps(asdict(record), indent=1), overwrite=True)

    def _forget(self) -> None:
        (self.folder / RECORD).unlink(missing_ok=True)


def patiently(ask: Callable[[], Answer], progress: Callable[[], int] = lambda: 0) -> Answer:
    """Ask again, with longer and longer pauses, until there is an answer; any progress in between renews the patience.

    Raises:
        DataError: no answer after `PATIENCE` failures in a row.
    """
    failures, seen = 0, progress()
    while True:
        try:
            return ask()
        except TroubleError as trouble:
            failures, seen = (1 if progress() > seen else failures + 1), progress()
            if failures > PATIENCE:
                raise DataError(
                    f"Kaggle: no whole answer in {failures} attempts: {trouble}; run it again to go on"
                ) from None
            wait = min(max(BACK_OFF_SECONDS * 2 ** (failures - 1), trouble.wait), LONGEST_WAIT)
            log.info("Kaggle: %s; again in %.0f s", trouble, wait)
            time.sleep(wait)


def _verdict(path: Path, identity: Identity) -> tuple[str, str]:
    """How a whole file was checked, and what is wrong with it (empty: nothing)."""
    size = path.stat().st_size
    if identity.size >= 0 and size != identity.size:
        return "", f"{size} bytes instead of {identity.size}"
    if identity.md5:
        return "size and md5 agree", "" if md5(path) == identity.md5 else "another md5"
    if identity.crc32c:
        return "size and crc32c agree", "" if crc32c(path) == identity.crc32c else "another crc32c"
    return "the size agrees" if identity.size >= 0 else "the service tells neither size nor checksum", ""


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One download per folder at a time; DataError: another one is at work."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(
                f"--output-dir {folder}: want one download at a time, found another at work there"
            ) from None
        yield
    finally:
        os.close(handle)
