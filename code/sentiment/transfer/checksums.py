"""Checksums of files in base64, as Google's storage writes them."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import google_crc32c

PIECE = 1 << 20


def md5(path: Path) -> str:
    """The MD5 of a file: against damage, not against malice."""
    return _of(path, hashlib.md5(usedforsecurity=False))


def crc32c(path: Path) -> str:
    """The CRC32C of a file."""
    untyped: Any = google_crc32c
    return _of(path, untyped.Checksum())


def _of(path: Path, digest: Any) -> str:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return base64.b64encode(digest.digest()).decode("ascii")
