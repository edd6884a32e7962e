"""Unzip what others have zipped: nothing outside the folder, no more bytes than allowed, all files or none."""

import lzma
import shutil
import stat
import uuid
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from sentiment.jobs import DataError
from sentiment.transfer.bars import Bar

RECORD = ".download.json"
"""Kept beside what came: what it is, and how much of it is there."""

GB = 1e9
CHUNK = 1 << 20


class DamagedError(DataError):
    """The archive itself cannot be read."""


def unzip(archive: Path, folder: Path, max_gb: float) -> dict[str, int]:
    """Put every file of `archive` into `folder`; they appear there once all of them are unzipped and checked.

    Args:
        max_gb: the largest sum of the files' sizes, in 10^9 bytes.

    Returns:
        Size in bytes by name, with / between folders.

    Raises:
        DamagedError: no zip, cut off, or a file does not fit its checksum.
        DataError: a name that leads outside, a link, a password, more than `max_gb`, or a disk that takes no more.
    """
    partial = folder / f".unzip-{uuid.uuid4().hex[:8]}.partial"
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
            _check(archive, folder, entries, max_gb)
            with Bar(f"unzip {archive.name}", sum(entry.file_size for entry in entries)) as bar:
                for entry in entries:
                    _extract(opened, entry, partial / entry.filename, bar)
        for entry in entries:
            target = folder / entry.filename
            target.parent.mkdir(parents=True, exist_ok=True)
            (partial / entry.filename).replace(target)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError) as error:
        raise DamagedError(f"{archive}: want a zip that can be read, found it corrupt: {error}") from None
    except OSError as error:
        raise DataError(f"{archive}: cannot be unzipped into {folder}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return {entry.filename: entry.file_size for entry in entries}


def _check(archive: Path, folder: Path, entries: Sequence[zipfile.ZipInfo], max_gb: float) -> None:
    """DataError before anything is written."""
    size = sum(entry.file_size for entry in entries)
    if size > max_gb * GB:
        raise DataError(
            f"{archive}: want at most --max-unzipped-gb {max_gb:g}, found files of {size / GB:.3g} GB in it"
        )
    for entry in entries:
        if fault := _fault(entry, taken={archive.name, RECORD}):
            raise DataError(f"{archive}: want plain files inside the folder, found {entry.filename!r}: {fault}")
        if (folder / entry.filename).is_dir():
            raise DataError(f"{archive}: want no folder where a file belongs, found {folder / entry.filename}")
    names = Counter(entry.filename for entry in entries)
    if twice := [name for name, count in names.items() if count > 1]:
        raise DataError(f"{archive}: want each name once, found {twice[0]!r} {names[twice[0]]} times")


def _fault(entry: zipfile.ZipInfo, taken: set[str]) -> str:
    """Why an entry is not taken; empty: it is."""
    name = entry.filename
    path = PurePosixPath(name)
    faults = {
        "a name that leads outside": path.is_absolute() or ".." in path.parts or not path.parts,
        "a name that is a path on another system": "\\" in name or name[1:2] == ":",
        "a name that is taken": str(path) in taken,
        "no plain file": stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG),
        "a password": bool(entry.flag_bits & 1),
    }
    return next((fault for fault, found in faults.items() if found), "")


def _extract(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, bar: Bar) -> None:
    """One file; zipfile checks its CRC and reads no byte more than the entry declares."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(entry) as source, path.open("xb") as target:
        while piece := source.read(CHUNK):
            target.write(piece)
            bar.add(len(piece))
    if path.stat().st_size != entry.file_size:
        raise zipfile.BadZipFile(f"{entry.filename} ends early")
