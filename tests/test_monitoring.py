"""The SQL files that go to BigQuery, translated and run here: their figures are right, and the report shows them."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import prediction_files as files
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import report as script
import sqlglot
from buckets import Store
from chaos.zoo import NAME, Zoo
from gcs_service import Gcs
from matplotlib.figure import Figure
from pyspark.sql import SparkSession
from sqlglot import exp

from sentiment import pages
from sentiment.jobs import ArgumentsError, DataError
from sentiment.monitoring import charts, report, warehouse
from sentiment.monitoring.report import Report, Request
from sentiment.progress import Progress
from sentiment.serving import service
from sentiment.serving.scoring import DEAD_COLUMNS, PREDICTION_COLUMNS
from sentiment.serving.settings import FILE, JSON, ModelChoice, Serving, Sinks, Source

BIGQUERY = script.SQL
NOW = datetime(2026, 3, 6, tzinfo=UTC)
HOUR = 3600
COLUMNS = {warehouse.PREDICTIONS: PREDICTION_COLUMNS, warehouse.DEAD_LETTERS: DEAD_COLUMNS}

Make = Callable[..., Report]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(predictions: Path | str, **changes: Any) -> Report:
        values = {"dead_letters": "", "first": None, "last": None, "max_age_seconds": HOUR, "sql": BIGQUERY} | changes
        (tmp_path / "scratch").mkdir(exist_ok=True)
        return report.make(Request(str(predictions), **values), tmp_path / "scratch", Progress(), NOW)

    return made


@pytest.fixture(scope="module")
def predictions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated predictions with dead letters beside them, and a batch that is not finished."""
    folder = files.write_both(tmp_path_factory.mktemp("monitoring") / "predictions")
    unfinished = folder / "_staging" / "0123abcd-00000009-ffffffff"
    shutil.copytree(next(folder.glob("date=*")), unfinished / "date=2026-03-02")
    return folder


def check(found: Report, folder: Path) -> None:
    """Compare every figure with those that pandas counts."""
    dead = files.frame(folder.with_name(f"{folder.name}-dead-letters"))
    expected = files.figures(files.frame(folder), dead, NOW, HOUR)
    assert set(expected) == set(found.results)
    for query, rows in expected.items():
        assert rows
        assert [len(row) for row in rows] == [len(row) for row in found.results[query].rows]
        for row, wanted in zip(found.results[query].rows, rows, strict=True):
            for value, other in zip(row, wanted, strict=True):
                assert value == (pytest.approx(other, abs=2e-5) if isinstance(other, float) else other), query


def statement(name: str) -> exp.Select:
    parsed = sqlglot.parse_one((BIGQUERY / f"{name}.sql").read_text(encoding="utf-8"), read="bigquery")
    assert isinstance(parsed, exp.Select)
    return parsed


def test_every_sql_file_is_a_table_or_stands_in_the_report() -> None:
    tables = {f"create_{table}" for table in COLUMNS}
    assert {path.stem for path in BIGQUERY.iterdir()} == {*warehouse.QUERIES, *tables}
    assert {section.query for section in report.SECTIONS} == {*warehouse.QUERIES} - {"staleness"}


@pytest.mark.parametrize("name", warehouse.QUERIES)
def test_a_query_is_bigquery_s_sql_explains_its_parameters_and_reads_no_more_partitions_than_asked(name: str) -> None:
    parsed = statement(name)
    header = re.findall(r"^-- (.*)$", (BIGQUERY / f"{name}.sql").read_text(encoding="utf-8"), re.MULTILINE)
    explained = " ".join(header).partition("Parameters: ")[2]
    names = {parameter.name for parameter in parsed.find_all(exp.Parameter)}
    assert {"first_date", "last_date"} <= names
    assert all(re.search(rf"\b{name}\b", explained) for name in names), names
    reads = [select for select in parsed.find_all(exp.Select) if _reads_a_table(select)]
    assert reads
    assert all("date BETWEEN @first_date AND @last_date" in select.sql("bigquery") for select in reads)


def _reads_a_table(select: exp.Select) -> bool:
    source = select.args.get("from_") or select.args.get("from")
    return source is not None and isinstance(source.this, exp.Table) and bool(source.this.db)


@pytest.mark.parametrize("table", COLUMNS)
def test_a_table_is_what_the_stream_writes_and_nothing_unfinished(table: str, tmp_path: Path) -> None:
    assert sorted(warehouse.Warehouse(BIGQUERY, tmp_path).columns(table)) == sorted(COLUMNS[table])
    text = (BIGQUERY / f"create_{table}.sql").read_text(encoding="utf-8")
    (uri,) = re.findall(r"uris = \['(.*)'\]", text)
    (prefix,) = re.findall(r"hive_partition_uri_prefix = '(.*)'", text)
    assert uri == f"{prefix}/date=*.parquet"
    assert "WITH PARTITION COLUMNS (date DATE)" in text


def test_figures_are_those_that_pandas_counts(predictions: Path, make: Make) -> None:
    found = make(predictions)
    check(found, predictions)
    hours = found.results["throughput_per_hour"]
    assert 0 in hours.column("predictions")
    assert {len(found.results[query].rows) for query in ("prediction_distribution", "accuracy_per_day")} == {4, 3}


@pytest.mark.parametrize(("labelled", "label"), [(1, 0.0), (12, 1.0)])
def test_a_day_on_which_all_was_wrong_or_all_was_right_is_drawn(
    tmp_path: Path, make: Make, labelled: int, label: float
) -> None:
    found = make(files.write(tmp_path / "out", [files.prediction(number, label=label) for number in range(labelled)]))
    per_day = found.results["accuracy_per_day"]
    low, accuracy, high = (per_day.column(name)[0] for name in ("accuracy_low", "accuracy", "accuracy_high"))
    assert (accuracy, 0 <= low <= accuracy <= high <= 1) == (label, True)
    assert report.write(found, tmp_path / "report").read_text().count("data:image/png;base64,") == 4


def test_a_period_leaves_out_the_days_around_it(predictions: Path, make: Make) -> None:
    found = make(predictions, first=date(2026, 3, 2), last=date(2026, 3, 3))
    rows = files.frame(predictions)
    expected = int(((rows["date"] >= date(2026, 3, 2)) & (rows["date"] <= date(2026, 3, 3))).sum())
    assert 0 < found.newest()["predictions"] == expected < len(rows)
    assert set(found.results["dead_letters"].column("date")) == {date(2026, 3, 2), date(2026, 3, 3)}


def test_without_a_period_the_newest_thirty_days_count(tmp_path: Path, make: Make) -> None:
    rows = [files.prediction(day, ingest_time=files.START - timedelta(days=day)) for day in (0, 29, 30, 400)]
    found = make(files.write(tmp_path / "out", rows))
    assert (str(found.period), found.newest()["predictions"]) == ("2026-01-31 to 2026-03-01", 2)


def test_a_time_far_ahead_is_left_out_unless_it_is_asked_for_and_told_in_any_case(tmp_path: Path, make: Make) -> None:
    times = [NOW, NOW + timedelta(days=1), NOW + timedelta(days=2), datetime(2126, 11, 29, tzinfo=UTC)]
    rows = [files.prediction(number, ingest_time=time) for number, time in enumerate(times)]
    folder = files.write(tmp_path / "out", rows)
    files.write(tmp_path / "out-dead-letters", [files.dead_letter(0, ingest_time=times[-1])], DEAD_COLUMNS)
    found = make(folder)
    assert (str(found.period), found.newest()["predictions"]) == ("2026-03-06 to 2026-03-07", 2)
    assert found.notes == [
        "predictions after tomorrow are left out: 2026-03-08 to 2126-11-29; --last-date takes them in",
        "dead letters after tomorrow are left out: 2126-11-29 to 2126-11-29; --last-date takes them in",
    ]
    report.write(found, tmp_path / "report")
    for name in (report.PAGE, report.MARKDOWN):
        assert (tmp_path / "report" / name).read_text().count("Not in this report: ") == 2
    asked = make(folder, first=NOW.date(), last=date(2126, 11, 29))
    assert (asked.newest()["predictions"], asked.notes) == (4, [])
    assert make(folder, last=date(2026, 3, 6)).notes == []


def test_where_all_times_are_far_ahead_they_are_reported(tmp_path: Path, make: Make) -> None:
    found = make(files.write(tmp_path / "out", [files.prediction(0, ingest_time=datetime(2126, 11, 29, tzinfo=UTC))]))
    assert (str(found.period), found.notes) == ("2126-11-29 to 2126-11-29", [])
    assert "the newest 36,792 days in the future, " in found.verdict()


def test_years_that_no_date_has_are_passed_over_and_told(tmp_path: Path, make: Make) -> None:
    folder = files.write(tmp_path / "out", [files.prediction(0)])
    for year in ("+58884", "+10000", "-0001", "0000"):
        shutil.copytree(folder / "date=2026-03-01", folder / f"date={year}-09-07")
    found = make(folder)
    assert found.newest()["predictions"] == 1
    assert found.notes == [
        "predictions outside years 1 to 9999 are passed over: "
        "date=+10000-09-07, date=+58884-09-07, date=-0001-09-07 and 1 more"
    ]
    shutil.rmtree(folder / "date=2026-03-01")
    with pytest.raises(DataError, match=r"^--predictions .*: want days of years 1 to 9999, found date=\+10000-09-07$"):
        make(folder)


@pytest.mark.parametrize("first", [date(2026, 3, 2), date(2027, 1, 1)])
def test_a_first_day_after_all_that_is_there_is_told_in_one_line(tmp_path: Path, make: Make, first: date) -> None:
    rows = [files.prediction(0)]
    wanted = f"--first-date: want a day not after 2026-03-01, the newest with a folder, found {first}"
    with pytest.raises(DataError, match=f"^{wanted}$"):
        make(files.write(tmp_path / "out", rows), first=first)
    rows.append(files.prediction(1, ingest_time=datetime(2126, 11, 29, tzinfo=UTC)))
    with pytest.raises(DataError, match=f"^{wanted}; --last-date takes in later ones$"):
        make(files.write(tmp_path / "more", rows), first=first)


def test_a_long_period_has_no_row_for_every_hour_and_few_bars(tmp_path: Path, make: Make) -> None:
    times = [datetime(1, 1, 1, tzinfo=UTC), NOW - timedelta(days=90, hours=5), NOW - timedelta(hours=5)]
    rows = [files.prediction(number, ingest_time=time) for number, time in enumerate(times)]
    found = make(files.write(tmp_path / "out", rows), first=date(1, 1, 1))
    hours = found.results["throughput_per_hour"]
    assert hours.column("hour")[:2] == times[:2]
    assert hours.column("predictions") == [1, 1, *[0] * (90 * 24 - 1), 1]
    bars, width = charts._bars(hours.column("hour"), hours.column("predictions"))
    assert (sum(bars.values()), len(bars)) == (3, 2)
    assert width.days == pytest.approx((times[-1] - times[0]).days / 720, abs=1)
    assert report.write(found, tmp_path / "report").is_file()


@pytest.mark.parametrize(
    ("days", "width"), [(29, timedelta(hours=1)), (31, timedelta(days=1)), (721, timedelta(days=2))]
)
def test_bars_are_hours_and_of_a_longer_period_whole_days(days: int, width: timedelta) -> None:
    hours = [NOW + timedelta(hours=number) for number in range(24 * days)]
    bars, found = charts._bars(hours, [1] * len(hours))
    assert (found, next(iter(bars)), sum(bars.values())) == (width, NOW, 24 * days)
    assert set(list(bars.values())[:-1]) == {width // timedelta(hours=1)}


@pytest.mark.parametrize(("time", "last"), [("0001-01-01", "0001-01-05"), ("9999-12-31T23:30:00", "9999-12-31")])
def test_the_ends_of_the_calendar_are_drawn(tmp_path: Path, make: Make, time: str, last: str) -> None:
    rows = [files.prediction(0, ingest_time=datetime.fromisoformat(time).replace(tzinfo=UTC), label=1.0)]
    found = make(files.write(tmp_path / "out", rows), last=date.fromisoformat(last))
    assert report.write(found, tmp_path / "report").read_text().count("data:image/png;base64,") == 4


def test_a_name_from_the_data_is_no_formula_and_stands_in_the_legend(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["a$_{$b", "_hidden", "c$"]
    rows = [files.prediction(number, model_name=name) for number, name in enumerate(names)]
    dead = [files.dead_letter(number, reason=f"{name} is no text") for number, name in enumerate(names)]
    folder = files.write(tmp_path / "out", rows)
    files.write(tmp_path / "out-dead-letters", dead, DEAD_COLUMNS)
    shown: list[str] = []

    def kept(figure: Figure) -> bytes:
        figure.canvas.draw()
        if legend := figure.axes[0].get_legend():
            shown.extend(text.get_text() for text in legend.get_texts())
        return b""

    monkeypatch.setattr(pages, "png", kept)
    report.write(make(folder), tmp_path / "report")
    for name in (r"a\$_{\$b", " _hidden", r"c\$"):
        assert {f"{name}, version 1", f"{name} is no text"} <= set(shown)


@pytest.mark.spark
def test_figures_of_a_real_stream(spark: SparkSession, zoo: Zoo, tmp_path: Path, make: Make) -> None:
    """Its files' modification times are its messages' times."""
    output = tmp_path / "out"
    (tmp_path / "in").mkdir()
    for number, version in enumerate(("1", "2")):
        zoo.set_champion(version)
        lines = [json.dumps({"id": f"m{n}", "text": f"I love {n}", "label": n % 2}) for n in range(20)]
        bad = ["no json"] * (number + 1) + ['{"text": ""}']
        file = tmp_path / "in" / f"{number}.json"
        file.write_text("\n".join(lines + bad) + "\n", encoding="utf-8")
        time = (NOW - timedelta(hours=30 - 28 * number)).timestamp()
        os.utime(file, (time, time))
        source = Source(FILE, path=str(tmp_path / "in"), format=JSON)
        sinks, choice = Sinks(str(output), f"{output}-dead-letters"), ModelChoice(zoo.uri, NAME, alias="champion")
        service.serve(spark, Serving(source, sinks, choice, str(tmp_path / "ck"), available_now=True))
    found = make(output)
    check(found, output)
    assert found.results["throughput_per_hour"].column("predictions") == [20, *[0] * 27, 20]
    assert found.results["model_versions"].column("model_version") == ["1", "2"]
    assert found.results["dead_letters"].column("dead_letters") == [1, 1, 2, 1]
    assert found.newest()["seconds_since"] == 2 * HOUR
    assert found.newest()["is_stale"]


def figures(found: Report) -> dict[str, list[list[Any]]]:
    """All results; threads add up in any order, so that the last digits of a mean are their own."""
    return {
        name: [[round(value, 12) if isinstance(value, float) else value for value in row] for row in result.rows]
        for name, result in found.results.items()
    }


def test_a_folder_on_gs_gives_the_same_figures(
    predictions: Path, make: Make, gcs: Gcs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = f"{tmp_path.name}/predictions"
    with Store(gcs.port) as store:
        for file in [path for path in predictions.parent.rglob("*") if path.is_file()]:
            name = f"{tmp_path.name}/{file.relative_to(predictions.parent)}"
            store.write("sentiment-bucket-predictions", name, file.read_bytes())
        store.write("sentiment-bucket-predictions", f"{place}/date=2026-03-02/", b"")  # as the connector leaves them
    for name, value in gcs.exports().items():
        monkeypatch.setenv(name, value)
    found = make(f"gs://sentiment-bucket-predictions/{place}/")
    assert figures(found) == figures(make(predictions))
    with pytest.raises(DataError, match=r"^cannot read gs://no-such-bucket/x: .*"):
        make("gs://no-such-bucket/x")
    with pytest.raises(DataError, match=r"^--predictions gs://sentiment-bucket/nothing: want predictions under date="):
        make("gs://sentiment-bucket/nothing")


def test_the_page_stands_alone_and_escapes_what_it_shows(predictions: Path, make: Make, tmp_path: Path) -> None:
    strange = [files.dead_letter(0, reason="<script>alert(1)</script> a|b")]
    dead = files.write(tmp_path / "dead", strange, DEAD_COLUMNS)
    page = report.write(make(predictions, dead_letters=str(dead)), tmp_path / "new" / "report").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert page.count("data:image/png;base64,") == 5
    text = (tmp_path / "new" / "report" / "report.md").read_text()
    assert "| <script>alert(1)</script> a\\|b |" in text
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == len(report.SECTIONS)
    assert all(len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1 for table in tables)


def test_a_stream_without_dead_letters_or_labels_says_so(tmp_path: Path, make: Make) -> None:
    found = make(files.write(tmp_path / "out", [files.prediction(number) for number in range(5)]))
    assert found.verdict() == "5 predictions, the newest 4 days old (stale), none labelled, 0 dead letters"
    report.write(found, tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text()
    assert [text.count(f"## {title}") for title in ("Accuracy per day", "Dead letters")] == [1, 1]
    assert text.count("None in these days.") == 2


@pytest.mark.parametrize(
    ("seconds", "words", "stale"),
    [
        (0, "0 seconds old", False),
        (HOUR, "60 minutes old", False),
        (HOUR + 1, "60 minutes old", True),
        (50 * HOUR, "2 days old", True),
        (-600, "10 minutes in the future", False),
    ],
)
def test_a_newest_prediction_older_than_the_limit_is_stale(
    tmp_path: Path, make: Make, seconds: int, words: str, stale: bool
) -> None:
    rows = [files.prediction(0, ingest_time=NOW - timedelta(seconds=seconds))]
    found = make(files.write(tmp_path / "out", rows))
    assert found.newest()["is_stale"] is stale
    assert f"the newest {words}{' (stale)' if stale else ''}, " in found.verdict()


def test_a_path_may_hold_what_patterns_and_sql_are_made_of(tmp_path: Path, make: Make) -> None:
    folder = files.write(tmp_path / "it's [1] *" / "out", [files.prediction(0)])
    assert make(folder).newest()["predictions"] == 1


def rewritten(change: Callable[[pa.Table], pa.Table], days: str = "*") -> Callable[[Path], None]:
    """What writes the files of some days again, with their table changed."""

    def spoil(folder: Path) -> None:
        for file in folder.glob(f"date={days}/*.parquet"):
            pq.write_table(change(pq.read_table(file, partitioning=None)), file)

    return spoil


def cut(folder: Path) -> None:
    (file,) = folder.glob("date=2026-03-02/*")
    file.write_bytes(file.read_bytes()[:-9])


def scrambled(folder: Path) -> None:
    (file,) = folder.glob("date=2026-03-02/*")
    content = file.read_bytes()
    file.write_bytes(content[:4] + bytes(200) + content[204:])


def emptied(folder: Path) -> None:
    for file in folder.glob("date=*/*"):
        file.unlink()


NOTHING = "want predictions of 2026-03-01 to 2026-03-02, found none; folders from 2026-03-01 to 2026-03-02"


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (emptied, NOTHING),
        (rewritten(lambda table: table.slice(0, 0)), NOTHING),
        (
            rewritten(lambda table: table.drop_columns(["score", "label"]), "2026-03-02"),
            "want the columns of predictions, found none called score, label in FOLDER/date=2026-03-02/.*parquet",
        ),
        (
            rewritten(lambda table: table.set_column(4, "score", pa.array(["0.5"]))),
            "want score DOUBLE; found score VARCHAR",
        ),
        (cut, "want Parquet files, found .* 'FOLDER/date=2026-03-02/.*parquet'"),
        (lambda folder: (folder / "date=2026-03-02").rename(folder / "date=today"), "want .* found date=today"),
        (lambda folder: (folder / "date=2026-03-02").rename(folder / "date=20260302"), "want .* found date=20260302"),
        (
            lambda folder: (folder / "date=2026-03-02").rename(folder / "date=2026-02-30"),
            "want .* found date=2026-02-30",
        ),
    ],
)
def test_a_folder_that_is_no_dataset_is_told_in_one_line(
    tmp_path: Path, make: Make, spoil: Callable[[Path], None], told: str
) -> None:
    folder = tmp_path / "out"
    files.write(folder, [files.prediction(n, ingest_time=files.START + timedelta(days=n)) for n in range(2)])
    spoil(folder)
    with pytest.raises(DataError) as caught:
        make(folder)
    assert re.fullmatch(f"--predictions FOLDER: {told}", str(caught.value).replace(str(folder), "FOLDER"))


@pytest.mark.parametrize(
    "spoil", [scrambled, rewritten(lambda table: table.set_column(4, "score", pa.array(["x"])), "2026-03-02")]
)
def test_a_file_that_fails_while_it_is_read_is_told_in_one_line(
    tmp_path: Path, make: Make, spoil: Callable[[Path], None]
) -> None:
    folder = tmp_path / "out"
    files.write(folder, [files.prediction(n, ingest_time=files.START + timedelta(days=n)) for n in range(2)])
    spoil(folder)
    with pytest.raises(DataError, match=r"^--predictions, --dead-letters: want readable files, found [^\n]+$"):
        make(folder)


def test_what_is_not_there_is_told(predictions: Path, make: Make, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"^--predictions .*/nowhere: want predictions under date=YYYY-MM-DD/, found no"
    ):
        make(tmp_path / "nowhere")
    with pytest.raises(
        DataError, match=r"want predictions of 2020-01-01 to 2020-01-01, found none; folders from 2026-"
    ):
        make(predictions, last=date(2020, 1, 1))
    with pytest.raises(DataError, match=r"^--dead-letters .*/nowhere: want dead letters under date=YYYY-MM-DD/, found"):
        make(predictions, dead_letters=str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"^--dead-letters .*: want the columns of dead_letters, found none called pay"):
        make(predictions, dead_letters=str(predictions))
    with pytest.raises(
        ArgumentsError, match=r"^--predictions: want a local folder or gs://BUCKET/FOLDER, found s3://x"
    ):
        make("s3://x")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"^--output .*/file: want a folder to write to: File exists"):
        report.write(make(predictions), tmp_path / "file")


def test_the_script_ends_with_one_line_and_its_code(predictions: Path, tmp_path: Path) -> None:
    def run(*more: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, script.__file__, "--output", str(tmp_path / "report"), *more]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)

    done = run("--predictions", str(predictions))
    assert done.returncode == 0
    assert re.fullmatch(r"2026-03-01 to 2026-03-04: .* dead letters\n.*/report/report.html\n", done.stdout)
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"report.html", "report.md"}
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    missing = run("--predictions", "nowhere")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.splitlines()[-1].startswith("report.py: error: --predictions nowhere: want predictions")
    assert "Traceback" not in missing.stderr
    swapped = run("--predictions", "x", "--first-date", "2026-03-02", "--last-date", "2026-03-01")
    assert swapped.returncode == 2
    assert "--first-date: want a day not after --last-date 2026-03-01" in swapped.stderr.splitlines()[-1]
