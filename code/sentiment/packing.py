"""The package as a zip: for Spark's workers, and for those who submit a job."""

import io
import zipfile
from pathlib import Path

NAME = "sentiment.zip"
"""Of the zip, as --py-files takes it."""

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold


def zipped(package: Path) -> bytes:
    """A zip of the folder `package` under its own name, no caches, no hidden files; same files, same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        files = {path.relative_to(package.parent).as_posix(): path for path in package.rglob("*") if path.is_file()}
        for name in sorted(files):
            if any(part.startswith(".") or part == "__pycache__" for part in name.split("/")):
                continue
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = 3  # Unix, on every system: the permissions below are meant that way
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, files[name].read_bytes())
    return buffer.getvalue()
