"""Splits: by text alone, whatever the partitioning; no text in two of them."""

import re
from collections.abc import Callable
from pathlib import Path

import create_splits
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from sentiment import hadoop, splits, whole_folders
from sentiment.datasets import DEV, SPLIT_NAMES, SPLITS_REPORT, TEST
from sentiment.gate import validation
from sentiment.jobs import DataError
from sentiment.splits import Splitting

pytestmark = pytest.mark.spark

Build = Callable[[list[tuple[str, float]]], DataFrame]
TWEETS = [(f"tweet number {place} of many", float(place % 2)) for place in range(2000)]


def test_a_row_falls_in_the_same_split_whatever_the_partitioning(clean_tweets: Build) -> None:
    def places(frame: DataFrame) -> dict[str, str]:
        return {row["text"]: name for name, part in splits.divide(frame, Splitting()).items() for row in part.collect()}

    once = places(clean_tweets(TWEETS).repartition(1))
    again = places(clean_tweets(TWEETS[::-1]).repartition(7))
    assert len(once) == len(TWEETS)
    assert once == again


def test_the_ratios_are_kept_and_the_seed_changes_the_draw(clean_tweets: Build) -> None:
    def sizes(splitting: Splitting) -> tuple[list[int], set[str]]:
        parts = splits.divide(clean_tweets(TWEETS), splitting)
        return [parts[name].count() for name in ("train", "dev", "test")], {r["id"] for r in parts["test"].collect()}

    usual, chosen = sizes(Splitting())
    assert [round(size / len(TWEETS), 1) for size in usual] == [0.8, 0.1, 0.1]
    assert [round(size / len(TWEETS), 1) for size in sizes(Splitting(0.5, 0.2))[0]] == [0.5, 0.2, 0.3]
    assert sizes(Splitting(seed=43))[1] != chosen


def test_texts_that_differ_in_case_links_or_mentions_only_stand_in_one_split(clean_tweets: Build) -> None:
    forms = ["@{} LOOK at http://t.co/{} now {}", "@{}  look at  http://x.y/{}  Now {} "]
    rows = [(form.format(f"u{k}{n}", f"p{n}", k), 1.0) for k in range(300) for n, form in enumerate(forms)]
    parts = splits.divide(clean_tweets(rows), Splitting())
    where: dict[str, set[str]] = {}
    for name, part in parts.items():
        for row in part.collect():
            where.setdefault(row["text"].split()[-1], set()).add(name)
    assert len(where) == 300
    assert all(len(names) == 1 for names in where.values())
    assert len({next(iter(names)) for names in where.values()}) == 3


def test_max_rows_takes_half_of_each_label_by_hash_and_never_the_first(clean_tweets: Build) -> None:
    grouped = sorted(TWEETS, key=lambda row: row[1])
    chosen = splits.thinned(clean_tweets(grouped), 1.0, 101, seed=42).collect()
    assert sorted(row["label"] for row in chosen) == [0.0] * 50 + [1.0] * 51
    assert {row["id"] for row in chosen} != {str(place) for place in range(101)}
    again = splits.thinned(clean_tweets(grouped).repartition(5), 1.0, 101, seed=42).collect()
    assert {row["text"] for row in again} == {row["text"] for row in chosen}


def test_more_rows_than_there_are_may_be_asked_for(clean_tweets: Build) -> None:
    assert splits.thinned(clean_tweets(TWEETS), 1.0, 10**9, seed=42).count() == len(TWEETS)


def test_a_sample_fraction_keeps_that_share_of_each_label(clean_tweets: Build) -> None:
    chosen = splits.thinned(clean_tweets(TWEETS), 0.25, 0, seed=42).collect()
    for label in (0.0, 1.0):
        assert sum(row["label"] == label for row in chosen) / 1000 == pytest.approx(0.25, abs=0.05)


def test_a_split_without_one_of_the_labels_is_refused(clean_tweets: Build) -> None:
    rows = clean_tweets([("a", 0.0), ("b", 1.0)])
    one = clean_tweets([("a", 0.0)])
    with pytest.raises(DataError, match="the dev split has no positive row"):
        splits.count_labels({"train": rows, "dev": one, "test": rows})


def test_what_thinning_leaves_is_enough_to_learn_from(clean_tweets: Build) -> None:
    divided = splits.divide(clean_tweets(TWEETS[:300]), Splitting())
    splits.check_thinned(divided, least=150)
    told = "--max-rows, --sample-fraction: want them to leave at least 151 rows of each label, found 150 negative rows"
    with pytest.raises(DataError, match=told):
        splits.check_thinned(divided, least=151)


def test_a_split_that_lacks_a_label_is_told_with_the_folder_it_came_from(clean_tweets: Build, tmp_path: Path) -> None:
    clean_tweets(TWEETS[::2]).coalesce(1).write.parquet(str(tmp_path / "tweets"))
    with pytest.raises(DataError, match=rf"^--input {tmp_path}: the train split has no positive row"):
        create_splits.main(["--input", str(tmp_path), "--output", str(tmp_path / "splits")])


def test_splits_that_were_replaced_in_part_are_refused_until_they_are_whole(
    spark: SparkSession, clean_tweets: Build, tmp_path: Path
) -> None:
    rows, folder = clean_tweets([("a", 0.0), ("b", 1.0)]).coalesce(1), str(tmp_path)
    report, told = Splitting().described(), f"{tmp_path}/{SPLITS_REPORT}"
    parts = dict.fromkeys(SPLIT_NAMES, rows)
    splits.write(spark, parts, report, folder)
    assert splits.read_report(spark, told) == report
    (tmp_path / "train.new-0123abcd").mkdir()
    broken = rows.withColumn("label", F.raise_error(F.lit("power cut")).cast("double"))
    with pytest.raises(Exception, match="power cut"):
        splits.write(spark, {**parts, DEV: broken}, report, folder)
    with pytest.raises(DataError, match=r"--data: want a folder that create_splits\.py wrote"):
        splits.read_report(spark, told)
    with pytest.raises(DataError, match=r"--validation-data .*found no splits\.json"):
        validation.read(spark, folder)
    splits.write(spark, {TEST: rows}, report, folder)
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".crc") == [SPLITS_REPORT, TEST]


def test_a_folder_that_another_job_put_there_meanwhile_stays_as_it_is(spark: SparkSession, tmp_path: Path) -> None:
    for name in ("tweets", "tweets.new-1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"part-{name}").touch()
    ours, theirs = (hadoop.path_of(spark, f"{tmp_path}/{name}") for name in ("tweets.new-1", "tweets"))
    assert not whole_folders._renamed(spark, ours, theirs)
    assert [path.name for path in (tmp_path / "tweets").iterdir()] == ["part-tweets"]


def test_clean_tweets_that_are_damaged_are_told_in_one_line(clean_tweets: Build, tmp_path: Path) -> None:
    tweets = tmp_path / "in[1]" / "tweets"
    clean_tweets(TWEETS[:400]).coalesce(1).write.parquet(str(tweets))
    arguments = ["--input", str(tweets.parent), "--output", str(tmp_path / "splits")]
    create_splits.main(arguments)
    (file,) = tweets.glob("*.parquet")
    file.write_bytes(file.read_bytes()[:100])
    file.with_name(f".{file.name}.crc").unlink(missing_ok=True)
    with pytest.raises(DataError, match=rf"^--input.*{re.escape(str(tweets.parent))}.*: .+$"):
        create_splits.main(arguments)
