"""How one Airflow Variable is read: what it may hold, its default, and the error that names it."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any

Parse = Callable[[str], Any]
"""Takes the text of a Variable that is not empty. ValueError: it does not fit."""

BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")


class SettingsError(ValueError):
    """A Variable or Param that a user has to change; the message names it, what was wanted and what was found."""


class AwayError(RuntimeError):
    """What a Variable names does not answer now; unlike a SettingsError it leaves the task its other tries."""


def variable(default: str, wanted: str, parse: Parse, meaning: str) -> Any:
    """A field of a settings class that is read from the Variable of its name.

    Args:
        default: what an absent or empty Variable stands for, as text; may be empty.
        wanted: what is allowed, for the error line.
        parse: text to value; a field whose default is empty holds the text "" then, or `parse.empty`.
        meaning: one line for the docs.
    """
    return field(metadata={"default": default, "wanted": wanted, "parse": parse, "meaning": meaning})


def as_text(value: Any) -> str:
    """A Param's or Variable's value as a Variable would hold it: None is empty, true is "true", a list is JSON."""
    if value is None:
        return ""
    if isinstance(value, bool | list | dict):
        return json.dumps(value)
    return str(value).strip()


def text(value: str) -> str:
    """Any text."""
    return value


def fitting(pattern: re.Pattern[str]) -> Parse:
    """A text that a pattern takes as a whole."""

    def parse(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError
        return value

    return parse


def one_of(allowed: Sequence[str]) -> Parse:
    """One of a few words."""

    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError
        return value

    return parse


def boolean(value: str) -> bool:
    """true or false."""
    known = {"true": True, "false": False}
    if value.lower() not in known:
        raise ValueError
    return known[value.lower()]


def whole(least: int, never: int = -1) -> Parse:
    """A whole number of at least `least`, and not `never`."""

    def parse(value: str) -> int:
        if not value.isdecimal() or int(value) < least or int(value) == never:
            raise ValueError
        return int(value)

    return parse


def positive(value: str) -> float:
    """A number above 0."""
    found = float(value)
    if not 0 < found < float("inf"):
        raise ValueError
    return found


def properties(value: str) -> dict[str, str]:
    """A JSON object of texts, numbers or booleans; all become texts, as Spark's properties are."""
    found = json.loads(value)
    if not isinstance(found, dict) or any(isinstance(item, list | dict | None) for item in found.values()):
        raise ValueError
    return {key: as_text(item) for key, item in found.items()}


def names(value: str) -> list[Any]:
    """A JSON list of texts and objects."""
    found = json.loads(value)
    if not isinstance(found, list) or not all(isinstance(item, str | dict) and item for item in found):
        raise ValueError
    return found


def arguments(value: str) -> list[str]:
    """A JSON list of texts: the words of a command line."""
    found = names(value)
    if not all(isinstance(item, str) for item in found):
        raise ValueError
    return found
