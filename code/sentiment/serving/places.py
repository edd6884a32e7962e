"""Places that a job may not mix up: what it writes must not come in again, nor lie over what else it writes."""

import os
import posixpath
import re
from fnmatch import fnmatchcase
from itertools import combinations

from sentiment.jobs import ArgumentsError

_URI = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):(//[^/]*)?)?(.*)", re.DOTALL)


def check_folders(read: str, written: dict[str, str], argument: str = "--input-path") -> None:
    """ArgumentsError where a folder that is written lies in the one that is read, or two of them are the same.

    Args:
        read: value of `argument`, a glob perhaps; empty: no folder is read.
        written: folders by flag.
        argument: names the folder that is read.
    """
    for flag, folder in written.items():
        if read and _is_within(_parts(folder), _parts(read)):
            raise ArgumentsError(f"{flag}: want a folder outside {argument}, found {folder} in {read}")
    for (flag, folder), (other_flag, other) in combinations(written.items(), 2):
        if _parts(folder) == _parts(other):
            raise ArgumentsError(f"{flag}, {other_flag}: want two folders, found {folder} for both")


def check_topics(topics: dict[str, tuple[str, str]]) -> None:
    """ArgumentsError where two of the topics (bootstrap and name by flag; no name: there is none) are the same."""
    for (flag, topic), (other_flag, other) in combinations(topics.items(), 2):
        if topic[1] and topic == other:
            raise ArgumentsError(f"{other_flag}: want another topic than {flag}, found the same")


def _is_within(folder: list[str], read: list[str]) -> bool:
    fits = (name == pattern or fnmatchcase(name, pattern) for name, pattern in zip(folder, read, strict=False))
    return len(folder) >= len(read) and all(fits)


def _parts(location: str) -> list[str]:
    """File system and names of a folder, however it was written; without a scheme it counts as a local one."""
    found = _URI.fullmatch(location)
    assert found is not None
    scheme, authority, path = (each or "" for each in found.groups())
    if scheme in ("", "file"):
        return ["", *filter(None, os.path.realpath(path).split("/"))]
    return [f"{scheme}:{authority}", *filter(None, posixpath.normpath(f"/{path}").split("/"))]
