"""What local/settings.toml says, unless the environment variable SECTION_KEY says otherwise."""

import os
import tomllib
from pathlib import Path
from typing import Any

from services import SettingError, port_setting

PATH = Path(__file__).resolve().with_name("settings.toml")


def port(section: str, key: str = "port", default: int = 0) -> int:
    """A port; 0 in the file stands for `default`, where there is one. SettingError: it is no port."""
    value = _value(section, key)
    if type(value) is not int or not (0 if default else 1) <= value < 65536:
        raise _unfit(section, key, "a port number from 1 to 65535", value)
    return port_setting(variable(section, key), value or default)


def whole(section: str, key: str) -> int:
    """A whole number, at least 1."""
    given, wanted = os.environ.get(variable(section, key)), "a whole number >= 1"
    if given and not (given.isdecimal() and int(given)):
        raise SettingError(f"{variable(section, key)}: want {wanted}, got {given!r}")
    value = int(given) if given else _value(section, key)
    if type(value) is not int or value < 1:
        raise _unfit(section, key, wanted, value)
    return value


def text(section: str, key: str) -> str:
    """A text that is not empty."""
    value = os.environ.get(variable(section, key)) or _value(section, key)
    if not isinstance(value, str) or not value:
        raise _unfit(section, key, "a text", value)
    return value


def words(section: str, key: str) -> list[str]:
    """A list of texts; in the environment they are separated by spaces."""
    given = os.environ.get(variable(section, key))
    value = given.split() if given else _value(section, key)
    if not isinstance(value, list) or not all(isinstance(word, str) and word for word in value):
        raise _unfit(section, key, "a list of texts", value)
    return value


def variable(section: str, key: str) -> str:
    """The environment variable that overrides a setting."""
    return f"{section}_{key}".upper()


def names(section: str, key: str) -> str:
    """A setting as a line names it to a user who shall change it."""
    return f"{variable(section, key)} (or {key} under [{section}] in local/{PATH.name})"


def _value(section: str, key: str) -> Any:
    try:
        with PATH.open("rb") as file:
            content = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingError(f"local/{PATH.name}: want a file in TOML, found one that cannot be read: {error}") from None
    try:
        return content[section][key]
    except (KeyError, TypeError):
        raise SettingError(f"local/{PATH.name}: want {key} under [{section}], found none") from None


def _unfit(section: str, key: str, wanted: str, found: object) -> SettingError:
    return SettingError(f"local/{PATH.name}: want {key} under [{section}] to be {wanted}, found {found!r}")
