"""Each bad challenger is caught by its own rule; a good one goes live; nothing else moves anything."""

import importlib.util
import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from gate_shelf import SCORES, Shelf, rows, write_splits
from mlflow.tracking import MlflowClient
from pyspark.sql import SparkSession

from sentiment.gate import decision, fresh, trial
from sentiment.gate.case import LEFT_OUT
from sentiment.gate.decision import Outcome
from sentiment.gate.settings import Limits, Settings
from sentiment.gate.trial import Request, Trial
from sentiment.gate.validation import SLICES
from sentiment.jobs import DataError
from sentiment.live.aliases import Aliases
from sentiment.live.ledger import HandMovedError, Ledger
from sentiment.live.opening import open_ledger
from sentiment.progress import Progress

pytestmark = pytest.mark.spark

ROOT = Path(__file__).parent.parent
EASY = Limits(max_latency_ratio=50)  # what is not about speed must not fail for a busy machine


@pytest.fixture(scope="module")
def shelf(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    assert spark.version  # pipelines are saved by it
    made = Shelf(tmp_path_factory.mktemp("gate"))
    made.make()
    return made


class Gate:
    """The decision with the trial in this process, and the script's own lines."""

    def __init__(self, spark: SparkSession, shelf: Shelf, ledgers: Path) -> None:
        self.spark, self.shelf, self.ledgers = spark, shelf, ledgers
        self.requests: list[Request] = []

    def __call__(self, model: str, **settings: Any) -> Outcome:
        given = {"limits": EASY, "ledger": str(self.ledgers), **settings}
        return decision.promote(Settings(self.shelf.uri, model, **given), Progress(), self.attempt)

    def attempt(self, request: Request, _seconds: int) -> Trial:
        """A real trial; what the same pipelines said of the same rows once, they say again."""
        self.requests.append(request)
        get = self.shelf.client.get_model_version
        sources = [get(request.model, number).source for number in request.versions.values()]
        key = str((sources, [*request.versions], request.location, request.load, request.insist, request.splittings))
        if key not in self.shelf.trials:
            self.shelf.trials[key] = trial.run(self.spark, request, lambda _role, _doing: nullcontext())
        return self.shelf.trials[key]

    def entries(self, model: str) -> list[Any]:
        return open_ledger(self.shelf.client, model, str(self.ledgers)).entries()


@pytest.fixture
def gate(spark: SparkSession, shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    monkeypatch.setattr(trial, "ROUNDS", 2)
    monkeypatch.setattr(trial, "WARM_UP_ROUNDS", 1)
    return Gate(spark, shelf, tmp_path / "ledger")


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("promote_model", ROOT / "ci-cd/promote-model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def failed(outcome: Outcome) -> dict[str, str]:
    """The reasons of the rules that failed."""
    return {verdict.rule: verdict.reason for verdict in outcome.findings.failed}


BAD: dict[str, tuple[dict[str, Any], set[str], str]] = {
    "worse": ({}, {"regression", *(f"slice-{name}" for name in SLICES)}, "challenger minus champion -0.0300"),
    "worse-on-negation": ({}, {"slice-negation"}, "challenger minus champion -0.1000"),
    "as-good": ({}, {"regression"}, "such a difference would be enough on about 3,07"),
    "one-class": (
        {},
        {"both-classes", "min-accuracy", "regression", *(f"slice-{name}" for name in SLICES), "calibration"},
        "it calls each of the 2,000 validation rows positive; it calls each of the 6 probe texts positive",
    ),
    "uncalibrated": ({}, {"calibration"}, "expected calibration error 0.1490, want <= 0.05"),
    "corrupt": ({}, {"loads"}, "version 2 is damaged"),
    "no-number": ({}, {"loads"}, "gave prediction"),
    "other-split": (
        {"params": {"seed": 7, "hash_salt": "split-7"}},
        {"same-split"},
        "version 2 has seed 7, hash_salt split-7: one of them may have trained on these rows",
    ),
    "other-Spark": ({"tags": {"spark_minor": "3.4"}}, {"spark-minor"}, "version 2 was made with Spark 3.4, this is"),
    "no-metrics": (
        {"metrics": {"roc_auc": None, "log_loss": float("nan")}},
        {"run-metrics"},
        "version 2 has no finite roc_auc, log_loss",
    ),
}
OWN_RULE = {"worse": "regression", "one-class": "both-classes"}


@pytest.mark.parametrize("fault", list(BAD))
def test_a_bad_challenger_is_kept_out_by_its_own_rule(shelf: Shelf, gate: Gate, script: Any, fault: str) -> None:
    changes, expected, reason = BAD[fault]
    model = shelf.stand(fault if fault in SCORES or fault == "corrupt" else "good", **changes)
    before = shelf.aliases(model)
    outcome = gate(model)
    assert failed(outcome).keys() == expected
    own = OWN_RULE.get(fault, next(iter(expected)))
    (line,) = [line for line in script.told(outcome, False) if line.startswith(f"kept: {own}: ")]
    assert reason in line
    assert "\n" not in line
    assert (outcome.promotes, outcome.entry, shelf.aliases(model)) == (False, None, before)
    assert [entry.action for entry in gate.entries(model)] == ["found"]


def test_one_that_takes_much_longer_is_kept_out(shelf: Shelf, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "ROUNDS", 6)
    outcome = gate(shelf.stand("slow"), limits=Limits())
    assert failed(outcome).keys() == {"latency"}
    assert "p95 of 12" in failed(outcome)["latency"]  # measured a second time before it counts
    assert "a batch of 1,000 rows takes Spark's stages " in failed(outcome)["latency"]


def test_a_good_one_goes_live_with_entry_and_card(shelf: Shelf, gate: Gate, script: Any) -> None:
    model = shelf.stand("good")
    outcome = gate(model)
    assert failed(outcome) == {}
    assert shelf.aliases(model) == {"champion": "2", "challenger": "2", "previous": "1"}
    found, entry = gate.entries(model)
    assert (found.action, found.to_version) == ("found", "1")
    assert (entry.action, entry.from_version, entry.to_version, entry.previous) == ("promoted", "1", "2", "1")
    assert entry.reason == "every rule passed"
    evidence = json.loads(json.dumps(entry.evidence))
    assert evidence["figures"]["challenger"]["accuracy"] == 0.85
    assert evidence["figures"]["champion"]["accuracy"] == 0.8
    assert evidence["difference"]["accuracy"] == 0.05
    assert evidence["difference"]["low"] > 0.035
    assert {rule["verdict"] for rule in evidence["rules"].values()} == {"passed"}
    assert evidence["validation"]["rows"] == 2_000
    assert evidence["validation"]["data"] == f"{shelf.splits}/test"
    assert list(script.told(outcome, False))[-1] == "promoted: version 2 is the champion (entry 2, was version 1)"
    version = shelf.client.get_model_version(model, "2")
    assert version.run_id is not None
    folder = Path(evidence["card"].removeprefix("file://"))
    assert folder.name == "v2"
    assert {path.name for path in folder.iterdir()} == {"card.md", "card.html", "plots"}
    plots = {path.name for path in (folder / "plots").iterdir()}
    assert plots == {"confusion-matrix.png", "roc.png", "calibration.png", "slices.png"}
    markdown, page = (folder / "card.md").read_text(), (folder / "card.html").read_text()
    for text in (markdown, page):
        assert "Version 2 is promoted: every rule passed." in text
        assert "+0.0500" in text
        assert all(verdict.rule in text for verdict in outcome.findings.verdicts)
    assert page.count("data:image/png;base64,") == len(plots)
    assert "http" not in page.replace("http://t.co", "")


def test_the_figures_in_the_card_and_the_slices_are_those_of_the_rows(shelf: Shelf, gate: Gate) -> None:
    gate(shelf.stand("worse-on-negation"), dry_run=True)
    made = gate.attempt(gate.requests[-1], 0)
    assert made.rows is not None
    assert [int(made.rows[name].sum()) for name in SLICES] == [200] * 5
    assert made.digest.endswith("-2000")
    assert made.counts == {"negative": 1_000, "positive": 1_000}


def test_without_champion_the_rules_that_compare_are_left_out(shelf: Shelf, gate: Gate) -> None:
    model = shelf.stand("good", champion="")
    outcome = gate(model)
    left = {verdict.rule for verdict in outcome.findings.verdicts if verdict.verdict == LEFT_OUT}
    assert left == {"regression", "latency", *(f"slice-{name}" for name in SLICES)}
    assert shelf.aliases(model) == {"champion": "1", "challenger": "1"}


def test_a_champion_that_cannot_be_loaded_wants_a_person(shelf: Shelf, gate: Gate) -> None:
    model = shelf.stand("good", champion="corrupt")
    outcome = gate(model)
    assert failed(outcome).keys() == {"regression", "latency", *(f"slice-{name}" for name in SLICES)}
    assert "cannot be compared with the champion: version 1 is damaged" in failed(outcome)["regression"]
    approved = gate(model, approve=True, reason="the old one is broken")
    assert approved.promotes
    assert shelf.aliases(model)["champion"] == "2"


def test_a_person_can_overrule_with_a_reason_that_the_ledger_keeps(shelf: Shelf, gate: Gate, script: Any) -> None:
    model = shelf.stand("worse-on-negation")
    outcome = gate(model, approve=True, reason="negation | comes next month")
    entry = gate.entries(model)[-1]
    assert entry.reason == "negation | comes next month (overruled: slice-negation)"
    assert entry.evidence["overruled"].keys() == {"slice-negation"}
    assert shelf.aliases(model)["champion"] == "2"
    assert any(line.startswith("overruled: slice-negation: ") for line in script.told(outcome, False))
    card = Path(entry.evidence["card"].removeprefix("file://")) / "card.md"
    assert "promoted by a person, who overruled slice-negation: negation | comes next month" in card.read_text()


@pytest.mark.parametrize("fault", ["corrupt", "no-number", "other-Spark"])
def test_nobody_can_approve_what_was_never_scored(shelf: Shelf, gate: Gate, script: Any, fault: str) -> None:
    changes, (rule,), _ = BAD[fault]
    model = shelf.stand("good" if changes else fault, **changes)
    before = shelf.aliases(model)
    outcome = gate(model, approve=True, reason="I know better")
    assert (outcome.promotes, outcome.overruled, shelf.aliases(model)) == (False, [], before)
    assert f"--approve cannot overrule {rule}: a version that was not scored never goes live" in list(
        script.told(outcome, False)
    )


def test_approving_another_split_scores_the_rows_all_the_same(shelf: Shelf, gate: Gate) -> None:
    model = shelf.stand("good", params={"train_ratio": 0.7})
    assert gate(model).promotes is False
    assert gate.attempt(gate.requests[-1], 0).rows is None
    outcome = gate(model, approve=True, reason="we split anew")
    assert [verdict.rule for verdict in outcome.overruled] == ["same-split"]
    assert outcome.promotes


def test_a_dry_run_moves_and_writes_nothing_but_the_card_asked_for(
    shelf: Shelf, gate: Gate, script: Any, tmp_path: Path
) -> None:
    model = shelf.stand("good")
    before = shelf.aliases(model)
    outcome = gate(model, dry_run=True, card=str(tmp_path / "card"))
    assert outcome.promotes
    assert (shelf.aliases(model), gate.entries(model)) == (before, [])
    assert (tmp_path / "card" / "card.html").exists()
    assert (tmp_path / "card" / "card.md").read_text().splitlines()[2] == NOBODY_KNOWS
    run_id = shelf.client.get_model_version(model, "2").run_id
    assert run_id is not None
    assert shelf.client.list_artifacts(run_id) == []
    assert list(script.told(outcome, True))[-1] == "dry run: version 2 would be promoted; nothing was moved"


def test_one_that_was_rolled_back_from_is_named_with_its_entry(shelf: Shelf, gate: Gate) -> None:
    model = shelf.stand("good")
    gate(model)
    ledger = open_ledger(shelf.client, model, str(gate.ledgers))
    ledger.move("rolled-back", "1", live="2", seen=2, previous=None, reason="angry customers", evidence={})
    outcome = gate(model)
    assert failed(outcome) == {"rolled-back": "version 2 was rolled back from (entry 3: angry customers)"}


def test_after_a_move_by_hand_nothing_goes_live_until_a_person_approves_it(shelf: Shelf, gate: Gate) -> None:
    model = shelf.stand("good")
    gate(model)
    third = shelf.add(model, "good")
    shelf.client.set_registered_model_alias(model, "champion", "1")
    with pytest.raises(HandMovedError):
        gate(model, version=third)
    moved = "the champion was moved by hand from version 2 to version 1 (entry 3)"
    told = f"{moved}: a person decides, with --approve and a --reason"
    for _retry in range(2):
        assert failed(gate(model, version=third)) == {"hand-moved": told}
    assert shelf.aliases(model)["champion"] == "1"
    assert gate(model, version=third, approve=True, reason="the page showed the wrong one").promotes
    assert failed(gate(model, version="2")).keys() == {"rolled-back"}


def test_one_that_was_moved_away_from_by_hand_is_one_that_was_rolled_back_from(shelf: Shelf, gate: Gate) -> None:
    model = shelf.stand("good")
    gate(model)
    shelf.client.set_registered_model_alias(model, "champion", "1")
    with pytest.raises(HandMovedError):
        gate(model)
    reason = failed(gate(model))["rolled-back"]
    assert reason.startswith("version 2 was rolled back from (entry 3: moved outside the ledger between ")


def test_the_champion_itself_is_kept_without_a_trial(shelf: Shelf, gate: Gate, script: Any) -> None:
    model = shelf.stand("good")
    outcome = gate(model, version="1")
    assert list(script.told(outcome, False)) == ["kept: version 1 is the champion already"]
    assert (outcome.promotes, gate.requests) == (False, [])


def test_a_champion_that_changed_meanwhile_stops_the_move(shelf: Shelf, gate: Gate) -> None:
    model = shelf.stand("good")
    third = shelf.add(model, "good")
    attempt = gate.attempt

    def meanwhile(request: Request, seconds: int) -> Trial:
        made = attempt(request, seconds)
        ledger = open_ledger(shelf.client, model, str(gate.ledgers))
        ledger.move("promoted", third, live="1", seen=1, previous="1", reason="faster", evidence={})
        return made

    with pytest.raises(DataError, match="the champion became version 3"):
        decision.promote(Settings(shelf.uri, model, ledger=str(gate.ledgers), limits=EASY), Progress(), meanwhile)
    assert shelf.aliases(model)["champion"] == "3"
    run_id = shelf.client.get_model_version(model, "2").run_id
    assert run_id is not None
    card = Path(shelf.client.download_artifacts(run_id, "model_card/v2/card.md")).read_text()
    assert "Version 2 is not promoted: what is live was moved while this was decided." in card


def carded(shelf: Shelf, model: str) -> str:
    """The decision in the card of version 2."""
    run_id = shelf.client.get_model_version(model, "2").run_id
    assert run_id is not None
    return Path(shelf.client.download_artifacts(run_id, "model_card/v2/card.md")).read_text().splitlines()[2]


AWAY = DataError("--mlflow-uri: the registry does not answer: connection\x1b refused")
NOBODY_KNOWS = "Version 2 may be promoted (the ledger says whether it was): every rule passed."


def _fails(error: BaseException) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("what", "error", "told"),
    [
        ("live", AWAY, f"Version 2 is not promoted: {str(AWAY).replace(chr(27), '')}."),
        ("live", KeyboardInterrupt(), NOBODY_KNOWS),
        ("set_stages", AWAY, NOBODY_KNOWS),  # the claim stays open: the next command completes it
    ],
    ids=["asking fails", "a signal", "the claim stays open"],
)
def test_the_card_calls_a_version_promoted_only_when_it_is(
    shelf: Shelf, gate: Gate, monkeypatch: pytest.MonkeyPatch, what: str, error: BaseException, told: str
) -> None:
    model = shelf.stand("good")
    attempt = gate.attempt

    def meanwhile(request: Request, seconds: int) -> Trial:
        made = attempt(request, seconds)
        monkeypatch.setattr(Aliases, what, _fails(error))
        return made

    with pytest.raises(type(error)):
        decision.promote(Settings(shelf.uri, model, ledger=str(gate.ledgers), limits=EASY), Progress(), meanwhile)
    assert carded(shelf, model) == told


def test_the_card_of_a_version_that_was_removed_meanwhile_says_so(shelf: Shelf, gate: Gate, tmp_path: Path) -> None:
    model = shelf.stand("good")
    attempt = gate.attempt

    def meanwhile(request: Request, seconds: int) -> Trial:
        made = attempt(request, seconds)
        shelf.client.delete_model_version(model, "2")
        return made

    settings = Settings(shelf.uri, model, ledger=str(gate.ledgers), limits=EASY, card=str(tmp_path / "card"))
    with pytest.raises(DataError, match="want version 2 in the registry, found none"):
        decision.promote(settings, Progress(), meanwhile)
    told = f"Version 2 is not promoted: --model-name {model}: want version 2 in the registry, found none."
    assert (tmp_path / "card" / "card.md").read_text().splitlines()[2] == told
    assert f'<p class="verdict">{told}</p>' in (tmp_path / "card" / "card.html").read_text()


def test_a_promotion_stands_although_its_card_cannot_say_so_any_more(
    shelf: Shelf, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = shelf.stand("good")
    move = Ledger.move

    def moved(*given: Any, **how: Any) -> Any:
        entry = move(*given, **how)
        monkeypatch.setattr(MlflowClient, "log_artifacts", _fails(OSError("the store is away")))
        return entry

    monkeypatch.setattr(Ledger, "move", moved)
    outcome = gate(model)
    assert outcome.promotes
    assert outcome.entry is not None
    assert carded(shelf, model) == NOBODY_KNOWS


def test_one_that_was_promoted_and_rolled_back_meanwhile_stays_out(shelf: Shelf, gate: Gate) -> None:
    model = shelf.stand("good")
    attempt = gate.attempt

    def meanwhile(request: Request, seconds: int) -> Trial:
        made = attempt(request, seconds)
        ledger = open_ledger(shelf.client, model, str(gate.ledgers))
        ledger.move("promoted", "2", live="1", seen=1, previous="1", reason="every rule passed", evidence={})
        ledger.move("rolled-back", "1", live="2", seen=2, previous=None, reason="angry customers", evidence={})
        return made

    with pytest.raises(DataError, match="the ledger went on from entry 1 to entry 3"):
        decision.promote(Settings(shelf.uri, model, ledger=str(gate.ledgers), limits=EASY), Progress(), meanwhile)
    assert shelf.aliases(model)["champion"] == "1"


def test_where_the_champion_was_deleted_a_rollback_still_finds_the_one_before_it(shelf: Shelf, gate: Gate) -> None:
    model = shelf.stand("good")
    gate(model)
    shelf.client.delete_model_version(model, "2")
    third = shelf.add(model, "good")
    with pytest.raises(DataError, match="no version is live, entry 2 says version 2"):
        gate(model, version=third)
    assert gate(model, version=third, approve=True, reason="the champion is gone").promotes
    assert gate.entries(model)[-1].previous == "1"
    assert shelf.aliases(model)["previous"] == "1"


def _one_label(folder: Path) -> Path:
    frame = rows()
    return write_splits(folder, frame[frame["label"] == 1.0])


def _other_columns(folder: Path) -> Path:
    return write_splits(folder, rows().rename(columns={"text": "tweet"}))


def _no_rows(folder: Path) -> Path:
    return write_splits(folder, rows().head(0))


def _null_text(folder: Path) -> Path:
    frame = rows()
    frame.loc[3, "text"] = None
    return write_splits(folder, frame)


def _csv(folder: Path) -> Path:
    write_splits(folder, rows())
    for path in (folder / "test").iterdir():
        path.unlink()
    rows().to_csv(folder / "test" / "tweets.csv", index=False)
    return folder


def _no_report(folder: Path) -> Path:
    write_splits(folder, rows())
    (folder / "splits.json").unlink()
    return folder


def _other_report(folder: Path) -> Path:
    return write_splits(folder, rows(), {"rows": 3})


def _no_path(_: Path) -> Path:
    return Path("data:final")


def _train(folder: Path) -> Path:
    (write_splits(folder, rows()) / "test").rename(folder / "train")
    return folder / "train"


UNUSABLE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "one label": (_one_label, "the test split has no negative row"),
    "other columns": (_other_columns, "want columns id string, text string, label double"),
    "no rows": (_no_rows, "the test split has no negative and no positive row"),
    "null text": (_null_text, "want a text and a label of 0 or 1 in every row"),
    "CSV": (_csv, "want a Parquet folder of clean tweets"),
    "no report": (_no_report, "found no splits.json in it or beside it"),
    "other report": (_other_report, "want how the splits were made"),
    "no path": (_no_path, "cannot read data:final/splits.json: "),
    "train": (_train, "want the test split, which no training looks at, found train"),
    "nothing": (lambda folder: folder, "found no splits.json in it or beside it"),
}


@pytest.mark.parametrize("what", list(UNUSABLE))
def test_validation_data_that_cannot_be_used_are_told_in_one_line(
    shelf: Shelf, gate: Gate, tmp_path: Path, what: str
) -> None:
    make, reason = UNUSABLE[what]
    model = shelf.stand("good")
    before = shelf.aliases(model)
    with pytest.raises(DataError) as caught:
        gate(model, validation_data=str(make(tmp_path / "data")))
    assert str(caught.value).startswith("--validation-data")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert shelf.aliases(model) == before


def test_the_test_folder_itself_will_do_and_a_run_without_splits_asks_for_it(shelf: Shelf, gate: Gate) -> None:
    model = shelf.stand("good", input="/nowhere/tweets.csv")
    with pytest.raises(DataError, match=r"^--validation-data /nowhere/tweets.csv: .*by the training of version 2"):
        gate(model, dry_run=True)
    assert gate(model, dry_run=True, validation_data=f"{shelf.splits}/test/").promotes


@pytest.mark.parametrize(
    ("model", "settings", "reason"),
    [
        ("unknown", {}, "--model-name unknown: want a registered model, found none of that name"),
        ("", {"version": "7"}, "want version 7, found no such version"),
        ("bare", {}, "--model-version: want a number, or a version of bare with alias challenger, found none"),
    ],
)
def test_a_model_or_version_that_is_not_there_is_named(
    shelf: Shelf, gate: Gate, model: str, settings: dict[str, str], reason: str
) -> None:
    if model == "bare":
        shelf.add("bare", "good")
    with pytest.raises(DataError, match=reason):
        gate(model or shelf.stand("good"), **settings)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--approve"], "--approve: want a --reason with it, found none"),
        (["--approve", "--reason", "  "], "--approve: want a --reason with it, found none"),
        (["--reason", "caf\udce9"], r"--reason: want a reason in UTF-8, got 'caf\udce9'"),
        (["--min-accuracy", "75"], "--min-accuracy: want a number from 0 to 1, got '75'"),
        (["--max-regression", "nan"], "--max-regression: want a number from -1 to 1, got 'nan'"),
        (["--max-latency-ratio", "0"], "--max-latency-ratio: want a number above 0, got '0'"),
        (["--max-latency-ratio", "inf"], "--max-latency-ratio: want a number above 0, got 'inf'"),
        (["--card", "gs://bucket/card"], "--card: want a local folder, got 'gs://bucket/card'"),
        (["--model-version", "two"], "--model-version: want a whole number >= 1, got 'two'"),
    ],
)
def test_arguments_that_make_no_sense_are_named(
    script: Any, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        script.parse_args(arguments)
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err


def test_a_verdict_that_cannot_be_written_is_told_before_anything_moves(shelf: Shelf, script: Any) -> None:
    model = shelf.stand("good")
    before = shelf.aliases(model)
    with pytest.raises(DataError, match=r"^--verdict /dev/null/x: want an object that can be written: "):
        script.main(["--mlflow-uri", shelf.uri, "--model-name", model, "--verdict", "/dev/null/x"])
    assert shelf.aliases(model) == before


def test_every_argument_reaches_the_decision(script: Any) -> None:
    given = ["--max-regression", "-0.01", "--approve", "--reason", " why\n", "--model-version", "3", "--dry-run"]
    made = script.settings(script.parse_args(given))
    assert (made.limits.max_regression, made.reason, made.version, made.dry_run) == (-0.01, "why", "3", True)


def test_a_process_that_takes_too_long_is_stopped_and_told(shelf: Shelf, gate: Gate) -> None:
    with pytest.raises(DataError, match=r"was stopped after 1 s \(--trial-seconds\) while starting"):
        fresh.run(Request(shelf.uri, "any", "1", "", str(shelf.splits), {}), seconds=1)
    made = Trial(unfit={"challenger": "the trial's process was stopped while scoring 9 rows with the challenger"})
    model = shelf.stand("good")
    outcome = decision.promote(
        Settings(shelf.uri, model, ledger=str(gate.ledgers), approve=True, reason="hurry"),
        Progress(),
        lambda _request, _seconds: made,
    )
    assert failed(outcome).keys() == {"loads"}
    assert not outcome.promotes


def test_a_version_registered_by_hand_without_a_run_is_kept_out(shelf: Shelf, gate: Gate) -> None:
    model = shelf.stand("good")
    source = (shelf.folder / "saved" / "good").as_uri()
    bare = shelf.client.create_model_version(model, source, tags={})
    outcome = gate(model, version=str(bare.version), validation_data=str(shelf.splits))
    assert failed(outcome).keys() == {"run-metrics", "same-split", "spark-minor"}
    assert failed(outcome)["spark-minor"].startswith("version 3 has no tag spark_minor, want ")
    assert failed(outcome)["run-metrics"] == "version 3 has no training run"


@pytest.fixture(autouse=True)
def _no_cache_left(spark: SparkSession) -> Iterator[None]:
    """Whatever a trial caches it gives back."""
    before = set(spark.sparkContext._jsc.getPersistentRDDs())
    yield
    assert set(spark.sparkContext._jsc.getPersistentRDDs()) <= before


def test_few_rows_of_a_slice_are_shown_and_not_judged(shelf: Shelf, gate: Gate, tmp_path: Path) -> None:
    frame = rows()
    links = frame[frame["text"].str.contains("http")]
    few = pd.concat([frame.drop(links.index), links.head(20)])
    outcome = gate(shelf.stand("worse"), validation_data=str(write_splits(tmp_path / "few", few)), dry_run=True)
    (verdict,) = [verdict for verdict in outcome.findings.verdicts if verdict.rule == "slice-link"]
    assert verdict.verdict == LEFT_OUT
    assert verdict.reason.endswith("fewer than 50 are not judged")
    assert verdict.found
