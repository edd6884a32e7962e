"""What was live when, for people, programs and a page; and predictions that the ledger cannot explain are named."""

import base64
import json
import re
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from ledger_worker import MODEL, Place, script
from matplotlib.figure import Figure
from pyspark.sql import SparkSession

from sentiment import pages
from sentiment.jobs import DataError
from sentiment.live import history, history_check, history_page, history_text
from sentiment.live.entries import FIRST, FOUND, PROMOTED, REVERTED, ROLLED_BACK, Entry
from sentiment.live.history import History

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MOVED, GONE, OPEN = "moved", "reverted", ""

Course = list[tuple[str, str | None, float, str]]

COURSE: Course = [(FIRST, "1", 0, MOVED), (PROMOTED, "2", 60, MOVED), (ROLLED_BACK, "1", 120, MOVED)]
"""Action, version, minutes after noon, outcome."""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def minutes(after_noon: float) -> datetime:
    return NOON + timedelta(minutes=after_noon)


def written(place: Place, course: Course, evidence: dict[str, object] | None = None) -> History:
    """A ledger with these entries, each done one second after it was claimed, and the aliases as they leave them."""
    kept, live = place.ledger(), None
    for number, (action, version, after_noon, outcome) in enumerate(course, 1):
        time = history.iso(minutes(after_noon))
        registered = kept.aliases.registered()
        entry = Entry(
            number, action, MODEL, live, version, live, "anna", f"reason {number}", time, evidence or {}, {}, registered
        )
        assert kept.records.claim(entry)
        if outcome:
            kept.records.close(number, outcome, {}, history.iso(minutes(after_noon) + timedelta(seconds=1)))
            kept.aliases.point("champion", version)
        live = version
    return history.read(place.client, place.ledger())


def flags(place: Place, *more: str) -> list[str]:
    return ["--mlflow-uri", place.uri, "--model-name", MODEL, "--ledger", place.location, *more]


def ask(place: Place, *more: str) -> None:
    script("model-history.py").main(flags(place, *more))


def test_spans_follow_one_another_with_their_figures(place: Place) -> None:
    found = written(place, COURSE)
    assert [(span.entry.to_version, span.begin, span.end) for span in found.spans] == [
        ("1", minutes(0), minutes(60)),
        ("2", minutes(60), minutes(120)),
        ("1", minutes(120), None),
    ]
    assert found.spans[1].metrics == {"accuracy": 0.53125, "roc_auc": 0.78125, "log_loss": 0.5}
    assert found.disagreement == ""


EVIDENCE = {
    "difference": {"accuracy": 0.0123, "low": 0.001, "high": 0.02},
    "rules": {
        "min-accuracy": {"verdict": "passed"},
        "latency": {"verdict": "failed"},
        "loads": {"verdict": "left out"},
    },
    "overruled": {"latency": "1.6 times"},
}


def test_the_table_says_who_when_why_and_what_the_gate_found(place: Place) -> None:
    lines = history_text.table(written(place, COURSE[:2], EVIDENCE)).splitlines()
    assert lines[0] == f"{MODEL}: version 2 is live"
    assert re.split(r"\s{2,}", lines[2]) == [
        *("1", "2026-11-20 12:00:00", "2026-11-20 13:00:00", "1", "first", "anna"),
        *("0.5156", "0.7656", "0.5000", "reason 1"),
    ]
    gate = "gate: accuracy +0.0123 (+0.0010 to +0.0200); 1 of 2 rules passed, 1 left out; overruled: latency"
    assert lines[3].strip() == gate
    assert re.split(r"\s{2,}", lines[4])[2] == "now"


def test_json_holds_everything(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    written(place, COURSE, EVIDENCE)
    ask(place, "--format", "json")
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["live"], len(found["spans"])) == (MODEL, "1", 3)
    assert found["spans"][1] == {
        "version": "2",
        "from": "2026-11-20T13:00:00.000000Z",
        "until": "2026-11-20T14:00:00.000000Z",
        "entry": 2,
        "action": "promoted",
        "by": "anna",
        "reason": "reason 2",
        "state": "done",
        "metrics": {"accuracy": 0.53125, "roc_auc": 0.78125, "log_loss": 0.5},
        "evidence": EVIDENCE,
    }


@pytest.mark.parametrize(
    ("moment", "version", "possibly"),
    [
        ("2026-11-20T12:00:00Z", "1", []),
        ("2026-11-20T12:59:59.999999", "1", []),
        ("2026-11-20T13:00:00", "2", ["1"]),  # its aliases had been moved a second later
        ("2026-11-20T13:00:01", "2", []),
        ("2026-11-20T14:59:59+01:00", "2", []),
        ("2026-11-20T15:00:02+01:00", "1", []),
        ("2026-11-21", "1", []),
    ],
)
def test_a_moment_belongs_to_the_span_that_begins_with_it(
    place: Place, capsys: pytest.CaptureFixture[str], moment: str, version: str, possibly: list[str]
) -> None:
    written(place, COURSE)
    ask(place, "--at", moment, "--format", "json")
    found = json.loads(capsys.readouterr().out)
    assert (found["version"], found["possibly"]) == (version, possibly)
    ask(place, "--at", moment)
    assert f"UTC: version {version}, since " in capsys.readouterr().out


REVERSED: Course = [(FIRST, "1", 0, MOVED), (PROMOTED, "2", 60, GONE), (REVERTED, "1", 120, MOVED)]
"""A gate died after it had claimed version 2, which was then deleted; version 1 was live throughout."""


def test_a_version_that_was_claimed_and_gone_is_not_called_live(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    written(place, REVERSED)
    ask(place, "--at", "2026-11-20T13:30")
    assert capsys.readouterr().out.splitlines() == [
        f"{MODEL} at 2026-11-20 13:30:00 UTC: version 1, since 2026-11-20 12:00:00",
        "entry 2: promoted by anna: reason 2; version 2 was claimed then, and was gone from the registry",
        "possibly also version 2: aliases were on their way, or moved by hand",
    ]
    ask(place, "--at", "2026-11-20T13:30", "--format", "json")
    found = json.loads(capsys.readouterr().out)
    assert (found["version"], found["claimed"], found["possibly"]) == ("1", "2", ["2"])
    ask(place, "--at", "2026-11-20T14:30")
    assert "UTC: version 1, since 2026-11-20 14:00:00 and still is\n" in capsys.readouterr().out


def test_the_timeline_fills_only_the_bars_of_what_was_live(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []

    def kept(figure: Figure) -> bytes:
        drawn.append(figure)
        return b""

    monkeypatch.setattr(pages, "png", kept)
    history_page.timeline(written(place, REVERSED), minutes(180))
    (axes,) = drawn[0].axes
    assert [bool(bar.get_hatch()) for bar in axes.patches] == [False, True, False]
    plt.close(drawn[0])


def test_where_all_that_was_claimed_is_gone_what_had_been_live_before_is_named(place: Place) -> None:
    found = written(place, [*REVERSED[:2], (REVERTED, "1", 120, GONE), (REVERTED, None, 180, MOVED)])
    times = [f"2026-11-20T{hour}:30:00Z" for hour in (11, 12, 13, 14, 15)]
    assert [history_check._live_at(found, time) for time in times] == [
        "nothing that the ledger knows of",
        "version 1",
        "version 1; version 2 was claimed and gone",
        "version 1; version 1 was claimed and gone",
        "nothing",
    ]


def test_a_moment_before_the_first_entry_has_no_answer(place: Place) -> None:
    written(place, COURSE)
    with pytest.raises(DataError, match=r"^--at 2026-11-20T00:00:00.000000Z: want a moment since the first entry"):
        ask(place, "--at", "2026-11-20")


def test_a_claim_in_progress_is_shown_and_left_alone(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    written(place, [*COURSE, (PROMOTED, "3", 180, OPEN)])
    ask(place)
    shown = capsys.readouterr()
    assert re.split(r"\s{2,}", shown.out.splitlines()[-1])[:3] == ["3", "2026-11-20 15:00:00", "in progress"]
    assert "warning" not in shown.err
    ask(place, "--at", "2026-11-20T16:00")
    assert "possibly also version 1: " in capsys.readouterr().out
    assert place.ledger().pending() is not None
    assert place.aliases() == {"champion": "1"}


def test_an_alias_that_says_something_else_is_told_on_stderr(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    written(place, COURSE)
    place.client.set_registered_model_alias(MODEL, "champion", "5")
    ask(place)
    told = capsys.readouterr().err
    assert told.partition("\n")[2] == (
        "model-history.py: warning: alias champion was moved outside the ledger: version 5 is live, "
        "entry 3 says version 1\n"
    )
    assert len(place.ledger().entries()) == 3


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("00000002.json", {"by": None}),
        ("00000002.json", {"evidence": None}),
        ("00000002.json", {"to": 2}),
        ("00000002.json", {"time": "0001-01-01T00:00:00+05:00"}),
        ("done/00000002.json", {"time": None}),
        ("done/00000002.json", {"time": "noon"}),
    ],
)
def test_a_damaged_ledger_is_told_in_one_line(place: Place, name: str, damage: dict[str, object]) -> None:
    written(place, COURSE)
    path = Path(place.location) / MODEL / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **damage}))
    with pytest.raises(DataError, match=rf"^--ledger {path}: want an (entry|outcome)[^\n]+, found something else$"):
        ask(place)


def test_an_empty_ledger_and_an_unknown_model_are_told(place: Place) -> None:
    with pytest.raises(DataError, match=f"--ledger .*: want entries of {MODEL}, found none"):
        ask(place)
    with pytest.raises(DataError, match="--model-name nobody: want a registered model, found none"):
        script("model-history.py").main(["--mlflow-uri", place.uri, "--model-name", "nobody", "--ledger", "x"])


@pytest.mark.parametrize(
    ("more", "flag"),
    [
        (["--format", "html"], "--output"),
        (["--format", "html", "--output", "x", "--at", "2026-11-20"], "--at"),
        (["--at", "yesterday"], "--at"),
        (["--at", "2999-01-01"], "--at"),
        (["--check", "x", "--format", "json"], "--check"),
        (["--check", "x", "--grace-seconds", "-1"], "--grace-seconds"),
        (["--check", "x", "--max-lag-seconds", "99999999999999"], "--max-lag-seconds"),
        (["--check", ""], "--check"),
        (["--at", "0001-01-01T00:00:00+05:00"], "--at"),
    ],
)
def test_arguments_that_do_not_fit_end_with_2(
    place: Place, capsys: pytest.CaptureFixture[str], more: list[str], flag: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        ask(place, *more)
    assert ended.value.code == 2
    assert flag in capsys.readouterr().err.splitlines()[-1]


def test_the_page_stands_alone_and_escapes_what_people_wrote(place: Place) -> None:
    found = written(place, COURSE, EVIDENCE)
    found.spans[0].entry.__dict__["reason"] = "<script>alert(1)</script>"
    text = history_page.page(found, minutes(600))
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    (picture,) = re.findall(r"data:image/png;base64,([^\"]+)", text)
    assert struct.unpack(">II", base64.b64decode(picture)[16:24])[0] > 1000
    assert text.count("<tr>") == 1 + len(COURSE)


@pytest.mark.parametrize("form", ["text", "json", "html"])
def test_what_an_old_entry_was_told_forges_no_line_and_stops_no_format(
    place: Place, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    written(place, COURSE)
    path = Path(place.location) / MODEL / "00000002.json"
    told = {"by": "anna\n9  forged", "reason": "caf\udce9\n1  2026-11-20 12:00:00\x1b[2K"}
    path.write_text(json.dumps({**json.loads(path.read_text()), **told}))
    output = place.folder / "page.html"
    ask(place, "--format", form, *(["--output", str(output)] if form == "html" else []))
    shown = output.read_text() if form == "html" else capsys.readouterr().out
    assert "anna 9 forged" in shown
    assert "caf 1 2026-11-20 12:00:00 [2K" in shown
    if form == "text":
        assert len(shown.splitlines()) == 2 + len(COURSE)


def test_the_page_is_written_where_it_is_wanted(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    written(place, COURSE)
    ask(place, "--format", "html", "--output", str(place.folder / "page.html"))
    assert capsys.readouterr().out == f"{place.folder / 'page.html'}\n"
    assert (place.folder / "page.html").read_text().startswith("<!DOCTYPE html>")
    with pytest.raises(DataError, match=r"--output /nowhere/page.html: want a file that can be written: No such file"):
        ask(place, "--format", "html", "--output", "/nowhere/page.html")


LONG: Course = [
    (FOUND, "1", 0, MOVED),
    (PROMOTED, "2", 600, MOVED),
    (FOUND, "3", 1200, MOVED),
    (PROMOTED, "4", 1800, GONE),
    (REVERTED, "3", 1860, MOVED),
]


def rows_at(spark: SparkSession, folder: Path, rows: list[tuple[str, str, datetime]], model: str = MODEL) -> str:
    """Predictions (id, version, ingest_time) as the stream writes them."""
    known = [(name, f"kafka:tweets/0/{name}", model, version, time) for name, version, time in rows]
    columns = "id string, source string, model_name string, model_version string, ingest_time timestamp"
    frame = spark.createDataFrame(known, columns).selectExpr("*", "cast(ingest_time AS date) AS date")
    frame.coalesce(1).write.partitionBy("date").mode("append").parquet(str(folder))
    return str(folder)


EXPLAINED = [
    ("before the ledger began", "1", -90_000),
    ("while it was live", "2", 700),
    ("waited in the topic until it was live", "2", 600 - 59),
    ("within the grace after it", "1", 600 + 9),
    ("by hand, found later", "3", 700),
    ("after it was found", "3", 1_300),
    ("moved, then gone", "4", 1_830),
    ("not yet moved, then gone", "3", 1_855),
    ("live now", "3", 90_000),
]
STRANGE = [
    ("long after it was live", "1", 900),
    ("long before it was live", "2", 500),
    ("never live", "9", 700),
    ("gone for long", "4", 2_000),
]


@pytest.mark.spark
def test_rows_are_explained_by_what_was_live_around_them(spark: SparkSession, place: Place, tmp_path: Path) -> None:
    found = written(place, LONG)
    rows = [(name, version, minutes(after_noon)) for name, version, after_noon in EXPLAINED + STRANGE]
    predictions = rows_at(spark, tmp_path / "predictions", rows)
    rows_at(spark, tmp_path / "predictions", [("other", "9", minutes(700))], model="another-best")
    result = history_check.check(spark, found, predictions, 600, 3600)
    assert (result.checked, result.others) == (len(rows), 1)
    assert {line.split(",")[0].removeprefix("id ") for line in result.first} == {name for name, _, _ in STRANGE}
    assert result.unexplained == len(STRANGE)
    (never,) = [line for line in result.first if "never" in line]
    assert never == (
        "id never live, kafka:tweets/0/never live: version 9 at 2026-11-20T23:40:00.000000Z; live then: version 2"
    )


@pytest.mark.spark
def test_rows_with_a_time_that_nobody_knows_are_named_too(spark: SparkSession, place: Place, tmp_path: Path) -> None:
    found = written(place, COURSE)
    times = ["null", "timestamp_micros(1796040000000000000)", "timestamp '2026-11-20 13:30:00 UTC'"]
    columns = "'kafka:tweets/0/1' AS source, string(id) AS id, '9' AS model_version"
    for time in times:
        rows = spark.range(1).selectExpr(*columns.split(", "), f"'{MODEL}' AS model_name", f"{time} AS ingest_time")
        rows.selectExpr("* EXCEPT (ingest_time)", "timestamp(ingest_time) AS ingest_time").write.mode("append").parquet(
            str(tmp_path / "predictions")
        )
    result = history_check.check(spark, found, str(tmp_path / "predictions"), 600, 3600)
    assert [line.partition(" at ")[2] for line in result.first] == [
        "no time; live then: unknown",
        "2026-11-20T13:30:00.000000Z; live then: version 2",
        "+58884-03-29T00:00:00.000000Z; live then: unknown",
    ]


@pytest.mark.spark
def test_the_check_ends_with_0_or_names_the_rows_and_ends_with_1(
    spark: SparkSession, place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(place, COURSE)
    predictions = rows_at(spark, tmp_path / "predictions", [("a", "1", minutes(30)), ("b", "2", minutes(90))])
    ask(place, "--check", predictions)
    assert capsys.readouterr().out.splitlines() == [
        "rows checked                    2",
        "rows of other models            0",
        "rows unexplained                0",
        "every row explained",
    ]
    rows_at(spark, tmp_path / "predictions", [("forged", "2", minutes(240))])
    with pytest.raises(DataError, match=f"--check {predictions}: 1 of 3 rows of {MODEL} name a version that no entry"):
        ask(place, "--check", predictions)
    assert "id forged, kafka:tweets/0/forged: version 2 at" in capsys.readouterr().out
    damaged = next((tmp_path / "predictions").rglob("*.parquet"))
    damaged.write_bytes(damaged.read_bytes()[:200])
    damaged.with_name(f".{damaged.name}.crc").unlink()
    with pytest.raises(DataError, match=rf"^--check {predictions}: .*is not a Parquet file"):
        ask(place, "--check", predictions)


@pytest.mark.spark
def test_a_check_of_nothing_is_no_success(spark: SparkSession, place: Place, tmp_path: Path) -> None:
    found = written(place, COURSE)
    with pytest.raises(DataError, match="want a Parquet folder of predictions, found nothing"):
        history_check.check(spark, found, str(tmp_path / "nothing"), 600, 3600)
    others = rows_at(spark, tmp_path / "others", [("a", "1", minutes(30))], model="another-best")
    with pytest.raises(DataError, match=f"want predictions of {MODEL}, found 1 rows of other models"):
        history_check.check(spark, found, others, 600, 3600)
    spark.range(1).write.parquet(str(tmp_path / "numbers"))
    with pytest.raises(DataError, match=r"want columns id string, source string, .*; found id"):
        history_check.check(spark, found, str(tmp_path / "numbers"), 600, 3600)
