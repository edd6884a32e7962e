"""Argument types that know nothing of Spark or MLflow: a script that needs neither starts at once."""

import argparse
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from sentiment.lines import printable

MOST_INT, MOST_LONG = 2**31 - 1, 2**63 - 1
"""What Java's whole numbers hold."""


class _Help(argparse.HelpFormatter):
    """Help that ends with the flag's default, for flags that have one to show."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        shows = action.option_strings and action.default not in (None, False, argparse.SUPPRESS)
        return f"{action.help} (default: %(default)s)" if shows else action.help


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser that takes no abbreviations and prints every default once, beside its flag."""
    return argparse.ArgumentParser(description=description, allow_abbrev=False, formatter_class=_Help)


def whole(least: int, most: int = MOST_LONG) -> Callable[[str], int]:
    """A type for whole numbers from `least` to `most`."""

    def parse(text: str) -> int:
        try:
            number = int(text) if text.isdecimal() else least - 1
        except ValueError:  # Python takes no number of so many digits
            number = most + 1
        if least <= number <= most:
            return number
        wanted = f"from {least} to {most}" if most != MOST_LONG or number > most else f">= {least}"
        raise argparse.ArgumentTypeError(f"want a whole number {wanted}, got {text!r}")

    return parse


def path(text: str) -> str:
    """A path or a URI."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"want a path or a URI, got {text!r}")
    return text


def folder(text: str) -> str:
    """The URI of a folder to write to, without a slash at its end; a root is none."""
    found = text.rstrip("/")
    if not found.strip() or found.endswith(":"):
        raise argparse.ArgumentTypeError(f"want a folder below the root, got {text!r}")
    return found


def local_path(text: str) -> Path:
    """A path on this machine."""
    return Path(path(text))


def model_name(text: str) -> str:
    """A name that MLflow's registry takes, and can be asked for: in its filters a quote ends it, in its URIs a ?.

    A tab or a line break is left out of a URI, which then names another model.
    """
    if not text.strip() or not text.isprintable() or any(character in text for character in "/:?'\""):
        raise argparse.ArgumentTypeError(f"want a name without / : ? ' and \", got {text!r}")
    return text


def reason(text: str) -> str:
    """Why, in words, as one line; empty where nothing is said."""
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair stands for a byte that was no UTF-8
        raise argparse.ArgumentTypeError(f"want a reason in UTF-8, got {text!r}") from None
    return printable(text)


def share(text: str) -> float:
    """A number from 0 to 1, both allowed."""
    return _number(text, "a number from 0 to 1", lambda value: 0 <= value <= 1)


def fraction(text: str) -> float:
    """A number above 0 and at most 1."""
    return _number(text, "a number above 0 and at most 1", lambda value: 0 < value <= 1)


def ratio(text: str) -> float:
    """A number above 0 and below 1."""
    return _number(text, "a number above 0 and below 1", lambda value: 0 < value < 1)


def above_zero(text: str) -> float:
    """A number above 0."""
    return _number(text, "a number above 0", lambda value: 0 < value < math.inf)


def moment(text: str) -> datetime:
    """A moment in ISO 8601; without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"want a moment like 2026-11-21T08:30:00Z or a date, got {text!r}") from None


def _number(text: str, wanted: str, fits: Callable[[float], bool]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not fits(value):
        raise argparse.ArgumentTypeError(f"want {wanted}, got {text!r}")
    return value
