"""The generated sample: Sentiment140's format, the same bytes for the same seed, rows and labels as promised."""

import csv
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
import sample_tweets

from sentiment.jobs import DataError
from sentiment.sample import is_malformed, sample_rows

SCRIPT = Path(sample_tweets.__file__)
FORMAT = "%a %b %d %H:%M:%S PDT %Y"


def run(*args: object, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **env}, check=False)


def written(folder: Path, rows: int, seed: int = 42) -> bytes:
    sample_tweets.main(["--rows", str(rows), "--output", str(folder), "--seed", str(seed)])
    return (folder / f"sample_{rows}.csv").read_bytes()


@pytest.fixture(scope="module")
def rows() -> list[list[str]]:
    return list(sample_rows(20000, seed=42))


@pytest.fixture(scope="module")
def good(rows: list[list[str]]) -> list[list[str]]:
    return [row for row in rows if not is_malformed(row)]


def test_the_same_seed_gives_the_same_bytes_whatever_the_machine(tmp_path: Path) -> None:
    first = written(tmp_path / "here", rows=500)
    for name, env in {
        "a": {"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo"},
        "b": {"PYTHONHASHSEED": "2", "PYTHONUTF8": "0", "LC_ALL": "C"},
    }.items():
        done = run("--rows", 500, "--output", tmp_path / name, **env)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / name / "sample_500.csv").read_bytes() == first


def test_another_seed_gives_other_bytes(tmp_path: Path) -> None:
    assert written(tmp_path, rows=500) != written(tmp_path, rows=500, seed=43)


def test_every_field_is_quoted_and_every_line_ends_with_a_line_feed(tmp_path: Path) -> None:
    content = written(tmp_path, rows=2000)
    lines = content.decode("utf-8").split("\n")
    assert len(lines) == 2001
    assert lines.pop() == ""
    assert b"\r" not in content
    assert all(line.startswith('"') and line.endswith('"') for line in lines)
    assert list(csv.reader(lines)) == list(sample_rows(2000, seed=42))


def test_sound_rows_have_six_columns_and_a_known_target(rows: list[list[str]]) -> None:
    sound = [row for row in rows if len(row) == 6 and row[0] in ("0", "2", "4") and row[5]]
    assert 0.997 <= len(sound) / len(rows) < 1
    assert all(row[3] == "NO_QUERY" and row[1].isdecimal() and row[4] for row in sound)
    assert all(len(row[5]) <= 140 for row in sound)


def test_malformed_rows_show_each_fault(rows: list[list[str]]) -> None:
    broken = [row for row in rows if is_malformed(row)]
    assert 0.001 <= len(broken) / len(rows) <= 0.003
    faults = Counter("columns" if len(row) != 6 else "target" if row[5] else "text" for row in broken)
    assert faults.keys() == {"columns", "target", "text"}
    assert max(faults.values()) - min(faults.values()) <= 1


def test_ids_and_dates_run_on_and_every_weekday_is_right(good: list[list[str]]) -> None:
    ids = [int(row[1]) for row in good]
    dates = [datetime.strptime(row[2], FORMAT) for row in good]
    duplicates = Counter(map(tuple, good))
    firsts = [at for at, row in enumerate(good) if duplicates[tuple(row)] == 1]
    assert all(ids[one] < ids[two] and dates[one] <= dates[two] for one, two in pairwise(firsts))
    assert all(f"{date:%a}" == row[2][:3] for date, row in zip(dates, good, strict=True))
    assert (dates[-1] - dates[0]).days > 70
    assert {date.year for date in dates} == {2009}


def test_labels_are_balanced_and_one_in_a_hundred_is_neutral(good: list[list[str]]) -> None:
    targets = Counter(row[0] for row in good)
    assert abs(targets["0"] - targets["4"]) < 0.02 * len(good)
    assert 0.008 <= targets["2"] / len(good) <= 0.012


def test_a_few_rows_are_exact_copies_and_a_few_texts_have_both_labels(good: list[list[str]]) -> None:
    copies = sum(number - 1 for number in Counter(map(tuple, good)).values())
    labels = defaultdict(set)
    for row in good:
        labels[row[5]].add(row[0])
    both = sum(len(found & {"0", "4"}) == 2 for found in labels.values())
    assert 0.002 <= copies / len(good) <= 0.004
    assert 0.002 <= both / len(good) <= 0.004


def test_nearly_every_text_is_distinct(good: list[list[str]]) -> None:
    assert len({row[5].lower() for row in good}) > 0.985 * len(good)


@pytest.mark.parametrize(
    "mark",
    ["@", "http://", "#", "&amp;", "&quot;", "&lt;3", "is not ", "don't", " but ", "ooo", ":)", "é", "😂", "2moro"],
)
def test_what_people_type_is_there(good: list[list[str]], mark: str) -> None:
    assert sum(mark in row[5] for row in good) >= 10


@pytest.mark.parametrize(
    ("word", "worth"), [("wonderful", "4"), ("terrible", "0"), ("not good", "0"), ("not boring", "4")]
)
def test_words_tell_the_label_but_not_always(good: list[list[str]], word: str, worth: str) -> None:
    targets = [row[0] for row in good if word in row[5].lower()]
    assert len(targets) >= 10
    assert 0.65 < targets.count(worth) / len(targets) < 0.98


def test_a_linear_model_learns_something_but_not_everything(good: list[list[str]]) -> None:
    labelled = {row[5]: row[0] for row in good if row[0] != "2"}
    texts, targets = list(labelled), list(labelled.values())
    words = pytest.importorskip("sklearn.feature_extraction.text")
    linear = pytest.importorskip("sklearn.linear_model")
    rows = words.TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True).fit_transform(texts)
    model = linear.LogisticRegression(C=2, max_iter=1000).fit(rows[:16000], targets[:16000])
    assert 0.80 < model.score(rows[16000:], targets[16000:]) < 0.87


def test_one_hundred_rows_hold_one_malformed_and_stay_below_one_in_twenty(tmp_path: Path) -> None:
    written(tmp_path, rows=100)
    assert [path.name for path in tmp_path.iterdir()] == ["sample_100.csv"]
    rows = list(sample_rows(100, seed=42))
    assert 1 <= sum(map(is_malformed, rows)) < 5


@pytest.mark.parametrize("count", [1, 2, 7, 49])
def test_a_handful_of_rows_is_sound(count: int) -> None:
    rows = list(sample_rows(count, seed=42))
    assert len(rows) == count
    assert not any(map(is_malformed, rows))


def test_the_summary_names_file_rows_shares_and_malformed_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, rows=1000)
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{tmp_path}/sample_1000.csv: 1000 rows: negative ")
    assert "neutral 1.0%" in line
    assert line.endswith("malformed 2")


def test_a_name_that_is_no_utf_8_is_shown_by_number(tmp_path: Path) -> None:
    done = run("--rows", 10, "--output", tmp_path / os.fsdecode(b"\xff"), PYTHONIOENCODING="utf-8:strict")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{tmp_path}/\\udcff/sample_10.csv: 10 rows")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_job_whose_output_nobody_reads_goes_on_and_ends_as_it_would(unbuffered: str) -> None:
    code = "import sys; from sentiment import jobs; jobs.run(lambda: (print('x'), sys.exit(3 + jobs.is_heard())))"
    reading, writing = os.pipe()
    os.close(reading)
    env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SCRIPT.parent, env=env, stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (3, b"")


def onto_a_full_disk(*arguments: str, **env: str) -> tuple[int, str]:
    """Exit code and stderr of a Python whose standard output takes nothing."""
    command, env = [sys.executable, *arguments], {**os.environ, **env}
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command, cwd=SCRIPT.parent, env=env, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    return done.returncode, done.stderr


UNWRITTEN = "error: want standard output that can be written, found [Errno 28] No space left on device\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("end", ["sys.exit()", "print(heard())", "sys.exit(3 + heard())", "[][0]"])
def test_output_that_cannot_be_written_is_told_at_the_end(unbuffered: str, end: str) -> None:
    begin = "import sys; from sentiment.jobs import is_heard as heard, run"
    job = f"{begin}; run(lambda: (print('x', flush=True), {end}))"
    code, told = onto_a_full_disk("-c", job, PYTHONUNBUFFERED=unbuffered)
    if end == "[][0]":  # what has failed otherwise is told as that
        assert (code, told.splitlines()[-1]) == (1, "IndexError: list index out of range")
        assert "standard output" not in told
    else:
        assert (code, told) == ((3, "") if "3" in end else (1, f"-c: {UNWRITTEN}"))


def test_help_that_cannot_be_written_is_told() -> None:
    assert onto_a_full_disk(str(SCRIPT), "--help") == (1, f"sample_tweets.py: {UNWRITTEN}")


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--rows", "10"],
        ["--rows", "0", "--output", "out"],
        ["--rows", "1000000000000", "--output", "out"],
        ["--rows", "many", "--output", "out"],
        ["--seed", "-1", "--output", "out"],
        ["--output", ""],
        ["--output", "gs://bucket/sample"],
    ],
)
def test_bad_arguments_end_with_2(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        sample_tweets.main(args)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err.splitlines()[-1]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    done = run("--rows", 10, "--output", in_the_way / "below")
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(
        f"sample_tweets.py: error: --output: want a folder to write sample_10.csv to, got {in_the_way}"
    )


def test_a_run_that_fails_half_way_leaves_the_old_file_whole(tmp_path: Path) -> None:
    def rows() -> Iterator[list[str]]:
        yield ["0", "1", "", "", "", "text"]
        raise OSError(28, "No space left on device")

    path = tmp_path / "sample_2.csv"
    path.write_text("old")
    with pytest.raises(DataError, match="No space left"):
        sample_tweets.write_csv(path, rows())
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("sample_2.csv", "old")]
