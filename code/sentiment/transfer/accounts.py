"""Whose Kaggle account is used: a token or a key, looked for where and in the order in which Kaggle's client looks.

Nothing here, nor any message, shows a secret's value.
"""

import json
import os
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path

from sentiment.jobs import DataError

HOW = 'make one at https://www.kaggle.com/settings/api ("Generate New Token")'
FILES = ("access_token", "access_token.txt")


@dataclass(frozen=True)
class Account:
    """A token, or a user's name with a key; `source` says where it was found."""

    source: str
    token: str | None = field(default=None, repr=False)
    username: str | None = None
    key: str | None = field(default=None, repr=False)


def find_account() -> Account:
    """The account that the environment or the user's files name; DataError: there is none, or one without a key."""
    return _by_token() or _by_key() or _none()


def config_folder() -> Path:
    """Where Kaggle's client keeps kaggle.json: KAGGLE_CONFIG_DIR, ~/.kaggle, on Linux else ~/.config/kaggle."""
    if named := os.environ.get("KAGGLE_CONFIG_DIR"):
        return Path(named)
    home = Path.home() / ".kaggle"
    if sys.platform.startswith("linux") and not home.exists():
        return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "kaggle"
    return home


def _by_token() -> Account | None:
    """KAGGLE_API_TOKEN (a token, or a file that holds one), or ~/.kaggle/access_token."""
    if named := os.environ.get("KAGGLE_API_TOKEN"):
        path = _file_of(named)
        token = named if path is None else _text(path, "KAGGLE_API_TOKEN")
        if not token:
            raise DataError(f"KAGGLE_API_TOKEN: want a token, found the empty file {path}")
        return Account("KAGGLE_API_TOKEN", token=token)
    for name in FILES:
        path = Path.home() / ".kaggle" / name
        if path.exists() and (token := _text(path, "Kaggle token")):
            return Account(str(path), token=token)
    return None


def _by_key() -> Account | None:
    """KAGGLE_USERNAME and KAGGLE_KEY, each over what kaggle.json holds."""
    path = config_folder() / "kaggle.json"
    kept = _read_json(path) if path.exists() else {}
    named = {name: os.environ[f"KAGGLE_{name.upper()}"] for name in ("username", "key") if _has(name)}
    found = {**kept, **named}
    username, key = found.get("username"), found.get("key")
    if not username and not key:
        return None
    source = " and ".join(f"KAGGLE_{name.upper()}" for name in named) or str(path)
    if not isinstance(username, str) or not isinstance(key, str) or not username or not key:
        missing = "username" if not isinstance(username, str) or not username else "key"
        raise DataError(f"Kaggle credentials in {source}: want username and key, found no {missing}; {HOW}")
    return Account(source, username=username, key=key)


def _none() -> Account:
    oauth = Path.home() / ".kaggle" / "credentials.json"
    hint = HOW
    if oauth.exists():
        hint = f"{oauth} is a login of the kaggle command: export KAGGLE_API_TOKEN=$(kaggle auth print-access-token)"
    raise DataError(
        f"Kaggle credentials: want a token in KAGGLE_API_TOKEN or {Path.home() / '.kaggle' / FILES[0]}, "
        f"or KAGGLE_USERNAME and KAGGLE_KEY, or {config_folder() / 'kaggle.json'}; found none of them; {hint}"
    )


def _has(name: str) -> bool:
    return bool(os.environ.get(f"KAGGLE_{name.upper()}"))


def _file_of(value: str) -> Path | None:
    """The file that a variable names, if it names one; a long token is no possible name of a file."""
    try:
        return Path(value) if Path(value).exists() else None
    except (OSError, ValueError):
        return None


def _text(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no text"
        raise DataError(f"{what}: want a file that can be read, found {path}: {why}") from None


def _read_json(path: Path) -> dict[str, object]:
    text = _text(path, "Kaggle credentials")
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise DataError(f"Kaggle credentials: want JSON with username and key in {path}, found something else; {HOW}")
    if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        print(f"warning: other users can read {path}: chmod 600 {path}", file=sys.stderr, flush=True)
    return found
