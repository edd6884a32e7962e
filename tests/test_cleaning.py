"""Clean tweets: one row per text, no contradictions, and the contract's rules, each by its own breach."""

import json
from pathlib import Path
from typing import Any

import preprocess
import pytest
from conftest import WriteTweets
from pyspark.sql import DataFrame, SparkSession

from sentiment import cleaning, raw_tweets, storage, whole_folders
from sentiment.cleaning import Contract
from sentiment.datasets import REJECTS, REPORT
from sentiment.jobs import DataError


def figures(negative: int, positive: int, **rejected: int) -> dict[str, Any]:
    kept = negative + positive
    return {
        "rows_read": kept + sum(rejected.values()),
        "rows_kept": kept,
        "rows_rejected": rejected,
        "labels": {"negative": negative, "positive": positive},
        "minority_share": round(min(negative, positive) / kept, 6) if kept else 0.0,
    }


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (figures(0, 0), "is empty"),
        (figures(200, 200, columns=100), "'expected columns'.*another number of them in 100 of 500 rows"),
        (
            figures(200, 200, target=20, text=10),
            r"--max-rejected\): want at most 0.05, found 0.0698 \(target 20, text 10",
        ),
        (figures(500, 0), "one label only: want both, found no positive row"),
        (figures(0, 500), "one label only: want both, found no negative row"),
        (figures(900, 100), r"--min-minority-share\): want at least 0.2 .* found 0.1000"),
        (figures(8_000_001, 1_999_999), r"want at least 0.2 .* \(1,999,999 of 10,000,000\)"),
        (figures(150, 99), "want at least 100, found 99 positive rows"),
    ],
)
def test_each_breach_of_the_contract_names_its_rule_and_the_figure(found: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        cleaning.check(found, Contract(), "tweets.csv")


def test_a_share_that_is_met_exactly_passes() -> None:
    for percent in range(51):  # 0.29 * 400 is less than 116
        kept = 2 * (100 - percent)
        contract = Contract(max_rejected=float(f"0.{percent:02}"))
        cleaning.check(figures(kept, kept, target=4 * percent), contract, "tweets.csv")


def test_data_within_the_contract_pass_and_set_aside_rows_do_not_count_against_it() -> None:
    cleaning.check(figures(100, 100, columns=5, target=5, duplicate=500, neutral=300), Contract(), "tweets.csv")


@pytest.mark.spark
def test_the_figures_beside_clean_tweets_are_theirs(
    spark: SparkSession, write_tweets: WriteTweets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[tuple[str, ...]] = [(str(place % 2 * 4), f"tweet {place}") for place in range(200)]
    good, clean = write_tweets(rows), tmp_path / "clean"
    preprocess.main(["--input", str(good), "--output", str(clean)])
    figures = storage.read_text(spark, f"{clean}/{REPORT}")
    assert json.loads(figures)["rows_kept"] == 200
    with pytest.raises(DataError, match="one label only"):
        preprocess.main(["--input", str(write_tweets(rows[::2], "bad.csv")), "--output", str(clean)])
    assert storage.read_text(spark, f"{clean}/{REPORT}") == figures  # a breach changes nothing

    def killed(_: DataFrame, location: str) -> None:
        if location.endswith(REJECTS):
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(whole_folders, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            preprocess.main(["--input", str(good), "--output", str(clean)])
    assert not (clean / REPORT).exists()


@pytest.mark.spark
def test_a_small_file_is_replaced_whole_and_hadoop_can_read_it(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    for name in (path, tmp_path / ".run.json.crc"):  # as an earlier version left them
        name.write_bytes(b"crc\0")
    before = path.stat().st_ino
    storage.write_json(spark, str(path), {"state": "finished"})
    assert path.stat().st_ino != before
    assert json.loads(path.read_text()) == {"state": "finished"}
    assert spark.read.text(str(path)).count() == 3
    assert [left.name for left in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.spark
def test_duplicates_and_contradictions_are_dropped_and_accounted_for(
    spark: SparkSession, write_tweets: WriteTweets
) -> None:
    path = write_tweets(
        [
            ("4", "9", "d", "q", "u", "twice"),
            ("4", "5", "d", "q", "u", "twice"),
            ("0", "both"),
            ("4", "both"),
            ("0", "once"),
            ("2", "once"),
            ("7", "strange"),
        ]
    )
    assessed = cleaning.assess(raw_tweets.read(spark, [str(path)]))
    kept = {(row["text"], row["label"], row["id"]) for row in cleaning.clean(assessed).collect()}
    assert {(text, label) for text, label, _ in kept} == {("twice", 1.0), ("once", 0.0)}
    assert ("twice", 1.0, "5") in kept
    rejected = [(row["reason"], row["raw"]) for row in cleaning.rejects(assessed).collect()]
    assert sorted(reason for reason, _ in rejected) == ["both labels", "both labels", "duplicate", "neutral", "target"]
    assert all(raw.startswith('"') for _, raw in rejected)
    report = cleaning.report(assessed)
    assert report["rows_read"] == report["rows_kept"] + sum(report["rows_rejected"].values()) == 7
    assert report["labels"] == {"negative": 1, "positive": 1}
    assert report["text_length_quantiles"]["1.00"] == 5
