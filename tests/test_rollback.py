"""One command goes back: to what had been live before, and never into what was bad."""

import os
import subprocess
import sys
from pathlib import Path

import document_commands
import pytest
from ledger_worker import MODEL, Place, dead_owner, leave_open, script

from sentiment.jobs import ArgumentsError, DataError
from sentiment.live.entries import ROLLED_BACK
from sentiment.live.ledger import HandMovedError

SCRIPT = document_commands.ROOT / "ci-cd" / "rollback-model.py"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def flags(place: Place, *more: str) -> list[str]:
    return ["--mlflow-uri", place.uri, "--model-name", MODEL, "--ledger", place.location, *more]


def roll_back(place: Place, *more: str) -> None:
    script("rollback-model.py").main(flags(place, "--reason", "wrong on negation", *more))


def test_a_rollback_and_another_go_further_and_further_back(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    kept = place.started("1", "2", "3")
    roll_back(place)
    assert capsys.readouterr().out.splitlines() == [
        f"{MODEL}: moved from version 3 to version 2 (entry 4)",
        "alias previous: version 1",
        "running streams follow within their --reload-interval-seconds",
    ]
    assert place.aliases() == {"champion": "2", "previous": "1"}
    roll_back(place)
    assert place.aliases() == {"champion": "1"}
    last = kept.entries()[-1]
    assert (last.action, last.from_version, last.to_version, last.reason) == (
        ROLLED_BACK,
        "2",
        "1",
        "wrong on negation",
    )
    with pytest.raises(DataError, match=r"^--to previous: want a version .* live before version 1, found none$"):
        roll_back(place)


def test_a_reason_is_kept_as_one_line(place: Place) -> None:
    kept = place.started("1", "2")
    script("rollback-model.py").main(flags(place, "--reason", " bad\n1   2026-11-20\tforged\x1b[2K "))
    assert kept.entries()[-1].reason == "bad 1 2026-11-20 forged [2K"


def test_a_version_by_its_number(place: Place) -> None:
    place.started("1", "2", "3")
    roll_back(place, "--to", "1")
    assert place.aliases() == {"champion": "1"}
    roll_back(place, "--to", "3")
    assert place.aliases() == {"champion": "3", "previous": "2"}


def test_a_dry_run_says_what_would_move(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    kept = place.started("1", "2")
    roll_back(place, "--dry-run")
    assert capsys.readouterr().out == f"{MODEL}: would move from version 2 to version 1; previous: no version\n"
    assert place.aliases() == {"champion": "2", "previous": "1"}
    assert len(kept.entries()) == 2


@pytest.mark.parametrize(
    ("to", "told"),
    [
        ("2", "--to 2: version 2 of tweets-best is live already"),
        ("4", "--to 4: .* found one that never was: promote-model.py makes it live"),
        ("99", "--to 99: .* found one that never was"),
    ],
)
def test_a_target_that_makes_no_sense_moves_nothing(place: Place, to: str, told: str) -> None:
    kept = place.started("1", "2")
    with pytest.raises(DataError, match=told):
        roll_back(place, "--to", to)
    assert len(kept.entries()) == 2


def test_a_version_that_is_gone_is_told(place: Place) -> None:
    place.started("1", "2", "3")
    place.client.delete_model_version(MODEL, "1")
    with pytest.raises(DataError, match="--to 1: want version 1 of tweets-best in the registry, found none"):
        roll_back(place, "--to", "1")
    place.client.delete_model_version(MODEL, "2")
    with pytest.raises(DataError, match="--to previous: want version 2 of tweets-best in the registry, found none"):
        roll_back(place)
    assert place.aliases()["champion"] == "3"


def test_a_rollback_passes_over_what_is_gone(place: Place) -> None:
    place.started("1", "2", "3")
    place.client.delete_model_version(MODEL, "2")
    roll_back(place)
    assert place.aliases() == {"champion": "1"}


def settled(place: Place) -> None:
    """What was done by hand stands in the ledger."""
    with pytest.raises(HandMovedError):
        place.ledger().settle()


def test_a_rollback_goes_past_a_champion_that_was_deleted_while_nothing_was_live(place: Place) -> None:
    place.started("1", "2")
    place.client.delete_model_version(MODEL, "2")
    settled(place)
    place.started("3")  # after nothing: its entry names no previous version
    roll_back(place)
    assert place.aliases() == {"champion": "1"}


def test_where_nothing_is_live_a_rollback_passes_over_what_is_gone_too(place: Place) -> None:
    place.started("1", "2", "3")
    place.client.delete_model_version(MODEL, "3")
    settled(place)
    place.client.delete_model_version(MODEL, "2")  # which that entry calls the previous one
    roll_back(place)
    assert place.aliases() == {"champion": "1"}


@pytest.mark.parametrize("to", ["previous", "1"])
@pytest.mark.parametrize("before", ["set by hand, no ledger yet", "left open, then gone"])
def test_a_dry_run_says_what_the_command_then_does(
    place: Place, capsys: pytest.CaptureFixture[str], before: str, to: str
) -> None:
    if before == "left open, then gone":
        place.started("1", "2")
        leave_open(place, "3", dead_owner())
        place.client.delete_model_version(MODEL, "3")
    else:
        place.client.set_registered_model_alias(MODEL, "champion", "2")
        place.client.set_registered_model_alias(MODEL, "previous", "1")
    entries = len(place.ledger().entries())
    roll_back(place, "--to", to, "--dry-run")
    told = f"{MODEL}: would move from version 2 to version 1; previous: no version\n"
    assert capsys.readouterr().out == told
    assert len(place.ledger().entries()) == entries
    roll_back(place, "--to", to)
    assert capsys.readouterr().out.startswith(f"{MODEL}: moved from version 2 to version 1 ")
    assert place.aliases() == {"champion": "1"}


def test_of_an_unknown_model_nothing_is_written(place: Place) -> None:
    with pytest.raises(DataError, match="--model-name nonsense: want a registered model, found none"):
        roll_back(place, "--model-name", "nonsense")
    assert not Path(place.location).exists()


def test_a_model_without_a_ledger_has_nothing_to_go_back_to(place: Place) -> None:
    with pytest.raises(DataError, match="live before no version, found none"):
        roll_back(place)


@pytest.mark.parametrize(
    ("more", "flag"),
    [
        ([], "--reason"),
        (["--reason", "  "], "--reason"),
        (["--reason", "caf\udce9"], r"--reason: want a reason in UTF-8, got 'caf\udce9'"),
        (["--reason", "x", "--to", "newest"], "--to"),
    ],
)
def test_arguments_that_do_not_fit_end_with_2(
    place: Place, capsys: pytest.CaptureFixture[str], more: list[str], flag: str
) -> None:
    with pytest.raises((SystemExit, ArgumentsError)) as ended:
        script("rollback-model.py").main(flags(place, *more))
    assert getattr(ended.value, "code", 2) == 2
    assert flag in capsys.readouterr().err.splitlines()[-1]


def test_the_command_itself_needs_no_jvm_and_tells_a_hand_moved_alias_in_one_line(place: Place) -> None:
    place.started("1", "2")
    place.client.set_registered_model_alias(MODEL, "champion", "5")
    command = [sys.executable, str(SCRIPT), *flags(place, "--reason", "bad")]
    environment = {**os.environ, "JAVA_HOME": "/nowhere", "PATH": "/nowhere", "SENTIMENT_ACTOR": "anna"}
    moved = [
        subprocess.run(command, env=environment, cwd=place.folder, capture_output=True, text=True, check=False)
        for _ in range(2)
    ]
    assert [done.returncode for done in moved] == [1, 0]
    told, line = moved[0].stderr.splitlines()
    assert told.endswith(f" registry: {place.uri}")
    assert line.startswith(f"rollback-model.py: error: --model-name {MODEL}: alias champion was moved outside")
    assert len(moved[1].stderr.splitlines()) == 1
    assert place.aliases() == {"champion": "2", "previous": "1"}
    assert place.ledger().entries()[-1].by == "anna"
