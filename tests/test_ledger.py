"""The ledger: one move at a time, nothing lost when a process dies, and everything moved past it is found."""

import json
import multiprocessing
import os
import random
import re
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import ledger_worker
import pytest
import train_and_log
from ledger_worker import MODEL, Place, dead_owner, leave_open, promote, roll_back
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from pyspark.sql import SparkSession

from sentiment import experiment, objects, training_arguments
from sentiment.jobs import ArgumentsError, DataError
from sentiment.live import claims, moves
from sentiment.live.entries import FIRST, FOUND, PROMOTED, REVERTED, ROLLED_BACK, Entry, lineage
from sentiment.live.ledger import ChampionChangedError, HandMovedError, Ledger
from sentiment.live.opening import announce_best, open_ledger
from sentiment.progress import Progress

LIVE_FOR_EVER = 1  # process 1 is always there; with another start time it is not the owner


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def steps(found: Ledger) -> list[tuple[str, str | None, str | None]]:
    return [(entry.action, entry.from_version, entry.to_version) for entry in found.entries()]


def far_owner() -> dict[str, object]:
    return {**claims.owner("far"), "host": "elsewhere"}


def test_the_first_version_of_a_name_becomes_champion_and_later_ones_only_challenger(place: Place) -> None:
    kept = place.ledger()
    assert announce_best(place.client, MODEL, "1", kept) == ["challenger", "champion"]
    assert announce_best(place.client, MODEL, "2", kept) == ["challenger"]
    assert place.aliases() == {"champion": "1", "challenger": "2"}
    (entry,) = kept.entries()
    assert (entry.action, entry.from_version, entry.to_version, entry.previous) == (FIRST, None, "1", None)
    assert entry.reason == "first of its name"


def test_training_does_not_crown_a_version_where_the_champion_was_taken_away(place: Place) -> None:
    kept = place.started("1")
    place.client.delete_registered_model_alias(MODEL, "champion")
    place.client.transition_model_version_stage(MODEL, "1", "Archived")
    assert announce_best(place.client, MODEL, "2", kept) == ["challenger"]


def test_a_move_sets_aliases_and_stages_and_says_who_and_why(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTIMENT_ACTOR", "anna")
    kept = place.started("1")
    entry = kept.move(
        PROMOTED, "2", live="1", seen=1, previous="1", reason="better", evidence={"figures": {"x": float("nan")}}
    )
    assert place.aliases() == {"champion": "2", "previous": "1"}
    stages = {int(version.version): version.current_stage for version in place.client.search_model_versions("")}
    assert (stages[1], stages[2], stages[3]) == ("Archived", "Production", "None")
    written = json.loads((Path(place.location) / MODEL / "00000002.json").read_text())
    assert (written["from"], written["to"], written["previous"]) == ("1", "2", "1")
    assert (written["by"], written["reason"], written["action"]) == ("anna", "better", "promoted")
    assert written["evidence"] == {"figures": {"x": None}}
    assert written["time"].endswith("Z")
    assert set(written["owner"]) == {"host", "pid", "started", "token"}
    assert json.loads((Path(place.location) / MODEL / "done" / "00000002.json").read_text())["outcome"] == "moved"
    assert place.ledger().entries()[-1].number == entry.number


@pytest.mark.parametrize(
    ("set_to", "by"), [("anna\n9  forged\x1b[2K", "anna 9 forged [2K"), ("an\udcffna", "an na"), (" \n", None)]
)
def test_who_asked_is_one_line_of_text(monkeypatch: pytest.MonkeyPatch, set_to: str, by: str | None) -> None:
    monkeypatch.setenv("SENTIMENT_ACTOR", set_to)
    found = claims.actor()
    if by is None:
        monkeypatch.delenv("SENTIMENT_ACTOR")
    assert found == (by or claims.actor())


def test_no_warning_of_mlflows_about_stages_reaches_the_user(place: Place, recwarn: pytest.WarningsRecorder) -> None:
    place.started("1", "2")
    assert not [warned for warned in recwarn if "transition_model_version_stage" in str(warned.message)]


class WithoutStages(MlflowClient):
    def transition_model_version_stage(self, *_args: object, **_kwargs: object) -> None:
        raise MlflowException("stages are not supported")


def test_a_registry_without_stages_moves_too(place: Place) -> None:
    kept = Ledger(WithoutStages(place.uri, place.uri), MODEL, place.location)
    promote(kept, "3")
    assert place.aliases() == {"champion": "3"}
    assert kept.pending() is None


def test_a_decision_about_another_champion_moves_nothing(place: Place) -> None:
    kept = place.started("1")
    place.started("2")
    with pytest.raises(ChampionChangedError, match="became version 2 while this was decided for version 1: run again"):
        kept.move(PROMOTED, "3", live="1", seen=1, previous="1", reason="late", evidence={})
    assert place.aliases()["champion"] == "2"
    assert len(kept.entries()) == 2


def test_a_decision_that_the_ledger_went_past_moves_nothing_although_the_same_version_is_live(place: Place) -> None:
    kept = place.started("1")
    other = place.started("2")
    roll_back(other, "1", "bad on links")
    with pytest.raises(ChampionChangedError, match="went on from entry 1 to entry 3 while this was decided: run again"):
        kept.move(PROMOTED, "2", live="1", seen=1, previous="1", reason="late", evidence={})
    assert place.aliases() == {"champion": "1"}
    assert len(kept.entries()) == 3


def test_an_entry_that_is_only_completed_meanwhile_changes_no_decision(place: Place) -> None:
    place.started("1")
    leave_open(place, "2", dead_owner())
    kept = place.ledger()
    assert (kept.settle(record=False), len(kept.entries())) == ("2", 2)
    kept.move(PROMOTED, "3", live="2", seen=2, previous="2", reason="better", evidence={})
    assert place.aliases() == {"champion": "3", "previous": "2"}


def test_of_two_that_decide_at_once_one_moves(tmp_path: Path) -> None:
    places = [Place(tmp_path) for _ in range(4)]
    places[0].started("1")

    def move(each: Place) -> bool:
        try:
            each.ledger().move(PROMOTED, "2", live="1", seen=1, previous="1", reason="race", evidence={})
        except ChampionChangedError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(move, places)) == [False, False, False, True]
    assert steps(places[0].ledger()) == [(PROMOTED, None, "1"), (PROMOTED, "1", "2")]


def test_what_a_dead_process_left_open_is_completed_at_once(place: Place) -> None:
    place.started("1")
    leave_open(place, "2", dead_owner())
    kept = place.ledger()
    begun = time.monotonic()
    assert kept.settle(record=False) == "2"
    assert place.aliases() == {"champion": "1"}
    assert kept.settle() == "2"
    assert time.monotonic() - begun < 5
    assert place.aliases() == {"champion": "2", "previous": "1"}
    assert kept.pending() is None


def test_a_process_with_the_same_number_that_started_later_is_not_the_owner(place: Place) -> None:
    place.started("1")
    leave_open(place, "2", {**claims.owner("other"), "pid": os.getpid(), "started": 1.0})
    assert claims.is_gone({**claims.owner("x"), "pid": LIVE_FOR_EVER, "started": 1.0})
    assert not claims.is_gone(claims.owner("x"))
    assert place.ledger().settle() == "2"


@pytest.mark.parametrize("owner", [far_owner, lambda: claims.owner("alive")], ids=["another host", "alive"])
def test_a_claim_of_somebody_who_may_be_alive_is_waited_for(
    place: Place, owner: Callable[[], dict[str, object]]
) -> None:
    place.started("1")
    leave_open(place, "2", owner())
    begun = time.monotonic()
    assert place.ledger(patience_seconds=0.7).settle() == "2"
    assert time.monotonic() - begun > 0.7
    assert place.aliases()["champion"] == "2"


def test_an_alias_moved_by_hand_is_found_recorded_and_told_once(place: Place) -> None:
    kept = place.started("1", "2")
    place.client.set_registered_model_alias(MODEL, "champion", "4")
    told = "alias champion was moved outside the ledger: version 4 is live, entry 2 says version 2"
    with pytest.raises(HandMovedError, match=told):
        kept.settle(record=False)
    assert len(kept.entries()) == 2
    with pytest.raises(HandMovedError, match=f"{told}; recorded as entry 3; run again to decide"):
        kept.move(PROMOTED, "3", live="2", seen=2, previous="2", reason="better", evidence={})
    assert kept.settle() == "4"
    last = kept.entries()[-1]
    assert (last.action, last.from_version, last.to_version, last.previous) == (FOUND, "2", "4", "2")
    assert last.reason.startswith(f"moved outside the ledger between {kept.entries()[1].time} and ")
    assert place.aliases() == {"champion": "4", "previous": "2"}


def test_a_champion_taken_away_by_hand_is_found_too(place: Place) -> None:
    kept = place.started("1")
    place.client.delete_model_version(MODEL, "1")
    with pytest.raises(HandMovedError, match="no version is live, entry 1 says version 1"):
        kept.settle()
    promote(kept, "2")
    assert steps(kept)[1:] == [(FOUND, "1", None), (PROMOTED, None, "2")]


def test_a_champion_from_before_the_ledger_is_recorded_silently(place: Place) -> None:
    place.client.set_registered_model_alias(MODEL, "champion", "3")
    kept = place.ledger()
    assert kept.settle() == "3"
    promote(kept, "4")
    assert steps(kept) == [(FOUND, None, "3"), (PROMOTED, "3", "4")]
    assert kept.entries()[0].reason == "live before the ledger began"


def test_a_stage_set_by_hand_is_live_where_no_alias_is_set(place: Place) -> None:
    place.client.transition_model_version_stage(MODEL, "2", "Production")
    assert place.ledger().settle() == "2"


def test_a_version_that_went_before_its_aliases_moved_is_reverted(place: Place) -> None:
    place.started("1", "2")
    leave_open(place, "3", dead_owner())
    place.client.delete_model_version(MODEL, "3")
    kept = place.ledger()
    assert kept.settle(record=False) == "2"
    assert kept.settle() == "2"
    assert steps(kept)[2:] == [(PROMOTED, "2", "3"), (REVERTED, "3", "2")]
    assert place.aliases() == {"champion": "2", "previous": "1"}
    assert kept.records.outcome(3) == "reverted"
    assert kept.pending() is None


def test_where_the_former_version_went_too_nothing_is_live(place: Place) -> None:
    place.started("2")
    leave_open(place, "3", dead_owner())
    place.client.delete_model_version(MODEL, "3")
    place.client.delete_model_version(MODEL, "2")
    kept = place.ledger()
    assert kept.settle() is None
    assert steps(kept)[1:] == [(PROMOTED, "2", "3"), (REVERTED, "3", None)]


def test_a_version_that_is_not_there_moves_nothing(place: Place) -> None:
    kept = place.started("1")
    for version in ("99", "abc"):
        with pytest.raises(DataError, match=f"want version {version} in the registry, found none"):
            kept.move(PROMOTED, version, live="1", seen=1, previous="1", reason="x", evidence={})
    assert len(kept.entries()) == 1


def test_an_unknown_model_is_named(place: Place) -> None:
    with pytest.raises(DataError, match="--model-name nobody: want a registered model, found none"):
        open_ledger(place.client, "nobody", place.location).settle()


def test_a_ledger_that_cannot_be_written_is_named_and_nothing_moves(place: Place) -> None:
    place.started("1")
    blocked = place.folder / "a-file"
    blocked.write_text("")
    kept = open_ledger(place.client, MODEL, str(blocked))
    for ask in (kept.check, kept.settle):
        with pytest.raises(DataError, match=rf"--ledger {blocked}/{MODEL}: want a folder that can be written: .*\w"):
            ask()
    assert place.aliases() == {"champion": "1"}


@pytest.mark.parametrize(
    "location", ["hdfs://name/ledger", "s3://bucket/x", "mlflow-artifacts:/ledger", "file://host/x", "http://[x"]
)
def test_a_place_without_create_once_is_refused(place: Place, location: str) -> None:
    with pytest.raises(
        ArgumentsError, match=re.escape(f"--ledger: want a local folder or gs://BUCKET/FOLDER, found {location}")
    ):
        open_ledger(place.client, MODEL, location)


def test_a_hole_and_a_spoilt_entry_are_named(place: Place) -> None:
    kept = place.started("1", "2", "3")
    folder = Path(place.location) / MODEL
    whole = (folder / "00000002.json").read_text()
    (folder / "00000002.json").write_text("{")
    with pytest.raises(DataError, match=r"--ledger .*/00000002.json: want an entry of the ledger, found something"):
        place.ledger().entries()
    (folder / "00000002.json").write_text(whole.replace('"number": 2', '"number": 7'))
    with pytest.raises(DataError, match=r"want entry 2, found entry 7"):
        place.ledger().entries()
    (folder / "00000002.json").unlink()
    for ask in (place.ledger().entries, place.ledger().settle, kept.pending):
        with pytest.raises(DataError, match="want entries without a hole, found none with number 2"):
            ask()


def test_the_ledger_of_another_registry_is_refused(place: Place) -> None:
    place.started("1")
    with sqlite3.connect(place.folder / "registry.db") as database:
        database.execute("UPDATE registered_models SET creation_time = creation_time + 1")
    for ask in (place.ledger().settle, place.ledger().check):
        with pytest.raises(DataError, match="want the ledger of this registry, found 1 entries"):
            ask()


def test_the_ledger_lies_beside_the_artifacts_unless_they_are_served(place: Place) -> None:
    def location(artifacts: str) -> str:
        with sqlite3.connect(place.folder / "registry.db") as database:
            database.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = 0", (artifacts,))
        return open_ledger(place.client, MODEL).records.folder

    assert location("/data/mlruns/0") == f"/data/mlruns/ledger/{MODEL}"
    assert location("file:///data/ml%20runs/0") == f"/data/ml runs/ledger/{MODEL}"
    assert location("gs://bucket/mlflow/0") == f"gs://bucket/mlflow/ledger/{MODEL}"
    with pytest.raises(DataError, match=r"--ledger: want a local folder .* artifacts lie at mlflow-artifacts:/0"):
        location("mlflow-artifacts:/0")


def test_a_registry_slower_than_a_claim_lasts_moves_nothing_more(place: Place) -> None:
    place.started("1")
    ticks = iter([0.0, 0.0, 20.0, 20.0])
    slow = place.ledger(clock=lambda: next(ticks))
    with pytest.raises(
        DataError, match=r"entry 2 \(promoted, version 1 to version 2\) is open; the next call completes"
    ):
        slow.move(PROMOTED, "2", live="1", seen=1, previous="1", reason="x", evidence={})
    assert place.aliases() == {"champion": "2"}
    assert slow.pending()
    slow.mover.clock = slow.clock = time.monotonic
    assert slow.settle() == "2"
    assert place.aliases() == {"champion": "2", "previous": "1"}


LINES = {
    "promotions add": ("p1 p2 p3", "1 2 3"),
    "back leaves out what came after": ("p1 p2 p3 r2", "1 2"),
    "back twice": ("p1 p2 p3 r2 r1", "1"),
    "back, on, and back again does not go into the bad one": ("p1 p2 r1 p3 r1", "1"),
    "a version again": ("p1 p2 p1", "1 2 1"),
    "forward to one that was left out brings what it had before": ("p1 p2 p3 r1 r3", "1 2 3"),
    "by hand forward": ("p1 p2 f3", "1 2 3"),
    "by hand back": ("p1 p2 p3 f2", "1 2"),
    "reverted": ("p1 p2 p3 v2", "1 2"),
    "nothing live for a while": ("p1 p2 f- p3", "1 2 3"),
}


@pytest.mark.parametrize(("course", "line"), LINES.values(), ids=list(LINES))
def test_rollbacks_go_further_back_and_not_forward(course: str, line: str) -> None:
    actions = {"p": PROMOTED, "r": ROLLED_BACK, "f": FOUND, "v": REVERTED}
    made = [
        Entry(number, actions[step[0]], MODEL, None, None if step[1] == "-" else step[1], None, "", "", "")
        for number, step in enumerate(course.split(), 1)
    ]
    assert lineage(made) == line.split()


def test_the_version_before_is_the_newest_that_is_still_there(place: Place) -> None:
    kept = place.started("1", "2", "3", "4")
    place.client.delete_model_version(MODEL, "2")
    assert kept.before("3") == "1"
    roll_back(kept, "3")
    assert place.aliases() == {"champion": "3", "previous": "1"}


def test_what_a_promotion_comes_after_is_known_where_nothing_is_live(place: Place) -> None:
    kept = place.started("1", "2")
    place.client.delete_model_version(MODEL, "2")
    with pytest.raises(HandMovedError):
        kept.settle()
    assert (kept.settle(), kept.before("3", PROMOTED), kept.before(None)) == (None, "1", "1")


PAUSES = ["ledger-claim", "ledger-champion", "ledger-previous", "ledger-done"]
MOVES = 50
RANDOM_KILLS = 6


class Workers:
    """Two processes that promote and roll back at once; who is killed gets a successor."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(ledger_worker.PRELOADED)
        self.kills = self.started = 0

    def start(self, pause: str = "") -> tuple[multiprocessing.process.BaseProcess, Path]:
        """A worker and its log."""
        self.started += 1
        log = self.folder / f"worker-{self.started}.log"
        arguments = (str(self.folder), self.started, str(log), pause)
        worker = self.context.Process(target=ledger_worker.keep_moving, args=arguments)
        worker.start()
        return worker, log

    def kill(self, worker: multiprocessing.process.BaseProcess) -> None:
        """kill -9; counts only if the process was still at work."""
        assert worker.pid
        if worker.is_alive():
            send(worker.pid, signal.SIGKILL)
        worker.join(10)
        self.kills += worker.exitcode == -signal.SIGKILL


def send(pid: int, number: signal.Signals) -> None:
    """What is_alive said a moment ago may be over: the server of forks, not we, buries these processes."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def wait_for(what: Callable[[], bool], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.02)


def test_fifty_moves_by_two_processes_that_are_killed_again_and_again(place: Place) -> None:
    workers, chance = Workers(place.folder), random.Random(7)  # noqa: S311
    kept = place.ledger()
    one, _ = workers.start()
    for pause in PAUSES:  # the other one dies at each point of a move
        other, log = workers.start(pause)
        wait_for(lambda log=log: log.exists() and "standing still" in log.read_text())  # type: ignore[misc]
        workers.kill(other)
    pair = [one, workers.start()[0]]
    for _ in range(RANDOM_KILLS):
        before = kept.records.last_number()
        wait_for(lambda before=before: kept.records.last_number() > before + 1)  # type: ignore[misc]
        time.sleep(chance.uniform(0, 0.15))
        victim = chance.randrange(2)
        workers.kill(pair[victim])
        pair[victim] = workers.start()[0]
    wait_for(lambda: kept.records.last_number() >= MOVES)
    (place.folder / ledger_worker.STOP).touch()
    for worker in pair:
        worker.join(60)
        assert worker.exitcode == 0

    live = kept.settle()
    found = kept.entries()
    assert len(found) >= MOVES
    assert workers.kills >= len(PAUSES) + 3
    assert [entry.number for entry in found] == list(range(1, len(found) + 1))
    assert [entry.from_version for entry in found] == [None, *(entry.to_version for entry in found[:-1])]
    assert {entry.action for entry in found} == {PROMOTED, ROLLED_BACK}
    assert place.aliases().get("champion") == live == found[-1].to_version
    assert place.aliases().get("previous") == found[-1].previous
    assert all(kept.records.outcome(entry.number) == "moved" for entry in found)
    assert len(objects.names(f"{kept.records.folder}/taken")) >= len(PAUSES)


def test_a_frozen_owner_that_wakes_up_late_puts_right_what_its_call_did(place: Place) -> None:
    place.started("1")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(ledger_worker.PRELOADED)
    log = place.folder / "frozen.log"
    frozen = context.Process(target=ledger_worker.move_frozen, args=(str(place.folder), "2", str(log), 0.5))
    frozen.start()
    pid = frozen.pid
    assert pid
    kept = place.ledger(patience_seconds=1.0)
    wait_for(lambda: kept.pending() is not None and _stopped(pid))
    assert place.aliases() == {"champion": "1"}
    promote(kept, "3")  # takes the claim over first
    assert place.aliases() == {"champion": "3", "previous": "2"}
    os.kill(pid, signal.SIGCONT)
    wait_for(lambda: _stopped(pid) or not frozen.is_alive())  # it stops in its correcting call, too
    assert place.aliases()["champion"] == "2"  # the late call came through
    while frozen.is_alive():
        send(pid, signal.SIGCONT)
        time.sleep(0.02)
    frozen.join(10)
    assert frozen.exitcode == 0
    assert place.aliases() == {"champion": "3", "previous": "2"}
    assert steps(kept)[1:] == [(PROMOTED, "1", "2"), (PROMOTED, "2", "3")]
    assert kept.settle() == "3"


def _stopped(pid: int) -> bool:
    import psutil

    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.NoSuchProcess:
        return False


def test_without_psutil_a_dead_owner_is_waited_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = dead_owner()
    assert claims.is_gone(owner)
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert not claims.is_gone(owner)
    assert claims.owner("x")["started"] is None
    assert claims.owner("x")["host"] == socket.gethostname()
    assert place.ledger().settle() is None


def test_the_defaults_leave_time_for_a_call_that_is_on_its_way() -> None:
    assert moves.HOLD_SECONDS < moves.PATIENCE_SECONDS


@pytest.mark.spark
@pytest.mark.parametrize(
    ("location", "error", "told"),
    [("hdfs://x/y", ArgumentsError, "want a local folder"), ("{file}", DataError, "can be written")],
)
def test_a_training_names_an_unusable_ledger_before_it_trains(
    spark: SparkSession, place: Place, location: str, error: type[Exception], told: str
) -> None:
    (place.folder / "file").write_text("")
    args = train_and_log.parse_args(
        [
            *("--data", "nowhere", "--output", str(place.folder / "models"), "--mlflow-uri", place.uri),
            *("--ledger", location.format(file=place.folder / "file")),
        ]
    )
    with pytest.raises(error, match=f"--ledger.*{told}"):
        experiment.train(spark, {}, training_arguments.settings(args, args.data, {}), Progress(), place.folder)
