"""Kaggle credentials are found where and in the order in which Kaggle's client finds them, and never shown."""

import json
import os
from pathlib import Path

import pytest

from sentiment.jobs import DataError
from sentiment.transfer.accounts import Account, config_folder, find_account

SECRET = "s3cr3t"  # noqa: S105 - made up


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home and no variable that names an account."""
    for variable in [name for name in os.environ if name.startswith("KAGGLE_")]:
        monkeypatch.delenv(variable)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    path.chmod(0o600)
    return path


def test_each_place_counts_less_than_the_one_before(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = write(home / ".kaggle" / "kaggle.json", {"username": "a", "key": SECRET})
    assert find_account() == Account(str(key), username="a", key=SECRET)
    elsewhere = write(home / "other" / "kaggle.json", {"username": "b", "key": SECRET})
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(elsewhere.parent))
    assert find_account() == Account(str(elsewhere), username="b", key=SECRET)
    monkeypatch.setenv("KAGGLE_USERNAME", "c")
    monkeypatch.setenv("KAGGLE_KEY", "other")
    assert find_account() == Account("KAGGLE_USERNAME and KAGGLE_KEY", username="c", key="other")
    token = write(home / ".kaggle" / "access_token", f"{SECRET}\n")
    assert find_account() == Account(str(token), token=SECRET)
    monkeypatch.setenv("KAGGLE_API_TOKEN", "newer")
    assert find_account() == Account("KAGGLE_API_TOKEN", token="newer")  # noqa: S106
    monkeypatch.setenv("KAGGLE_API_TOKEN", str(token))
    assert find_account() == Account("KAGGLE_API_TOKEN", token=SECRET)


def test_a_home_without_dot_kaggle_uses_the_systems_folder_and_none_is_made(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    assert config_folder() == home / ".config" / "kaggle"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "xdg"))
    assert config_folder() == home / "xdg" / "kaggle"
    monkeypatch.setattr("sys.platform", "darwin")
    assert config_folder() == home / ".kaggle"
    assert list(home.iterdir()) == []


def test_it_agrees_with_kaggles_own_client(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = pytest.importorskip("kagglesdk.kaggle_env").get_access_token_from_env
    for variable, content in (("", SECRET), ("KAGGLE_API_TOKEN", "newer")):
        write(home / ".kaggle" / "access_token.txt", content)
        if variable:
            monkeypatch.setenv(variable, content)
        assert find_account().token == own()[0] == content


def test_a_token_too_long_for_a_files_name_is_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", SECRET * 100)
    assert find_account().token == SECRET * 100


def test_an_account_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", SECRET)
    assert SECRET not in repr(find_account())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (SECRET, "want JSON with username and key"),
        ([SECRET], "want JSON with username and key"),
        ({"username": SECRET}, "found no key"),
        ({"key": SECRET}, "found no username"),
        ({"username": 1, "key": SECRET}, "found no username"),
    ],
)
def test_a_file_that_holds_no_account_is_one_line_without_what_it_holds(home: Path, content: object, said: str) -> None:
    path = write(home / ".kaggle" / "kaggle.json", content)
    with pytest.raises(DataError, match=said) as told:
        find_account()
    assert str(path) in str(told.value)
    assert "kaggle.com/settings/api" in str(told.value)
    assert SECRET not in str(told.value)
    assert "\n" not in str(told.value)


def test_without_any_every_place_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(home / "mine"))
    with pytest.raises(DataError) as told:
        find_account()
    places = ("KAGGLE_API_TOKEN", f"{home}/.kaggle/access_token", "KAGGLE_USERNAME and KAGGLE_KEY")
    for place in (*places, f"{home}/mine/kaggle.json", "kaggle.com/settings/api"):
        assert place in str(told.value)
    write(home / ".kaggle" / "credentials.json", {"refresh_token": SECRET})
    with pytest.raises(DataError, match=r"export KAGGLE_API_TOKEN=\$\(kaggle auth print-access-token\)"):
        find_account()


def test_an_empty_token_file_and_an_open_key_file_are_told(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(home / ".kaggle" / "kaggle.json", {"username": "a", "key": SECRET})
    path.chmod(0o644)
    find_account()
    assert capsys.readouterr().err == f"warning: other users can read {path}: chmod 600 {path}\n"
    monkeypatch.setenv("KAGGLE_API_TOKEN", str(write(home / "token", "")))
    with pytest.raises(DataError, match=r"KAGGLE_API_TOKEN: want a token, found the empty file"):
        find_account()
