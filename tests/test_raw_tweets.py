"""Raw tweets: every line is read or rejected with its reason, whatever its encoding."""

from pathlib import Path

import pytest
from conftest import WriteTweets
from pyspark.sql import SparkSession

from sentiment import raw_tweets
from sentiment.jobs import DataError

pytestmark = pytest.mark.spark


def read(spark: SparkSession, path: Path) -> list[tuple[str | None, str | None, float | None]]:
    rows = raw_tweets.read(spark, raw_tweets.find_files(spark, str(path))).collect()
    return sorted(((row["reason"], row["text"], row["label"]) for row in rows), key=str)


def test_targets_become_labels_and_what_is_unusable_gets_its_reason(spark: SparkSession, tmp_path: Path) -> None:
    lines = [
        '"0","1","d","q","u","sad, ""very"" sad"',
        '"4","2","d","q","u","happy"',
        '"2","3","d","q","u","so so"',
        '"7","4","d","q","u","what"',
        '"4","5","d","q","u","   "',
        '"4","6","d","q"',
        '"4","7","d","q","u","one","too many"',
        "no tweet at all",
        "",
    ]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    found = [(reason, text, label) for reason, text, label in read(spark, path) if reason not in ("columns", "text")]
    assert found == [
        ("neutral", "so so", None),
        ("target", "what", None),
        (None, "happy", 1.0),
        (None, 'sad, "very" sad', 0.0),
    ]
    assert [reason for reason, _, _ in read(spark, path)].count("columns") == 3
    assert [reason for reason, _, _ in read(spark, path)].count("text") == 1


def test_utf_8_and_latin_1_are_told_apart_line_by_line(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "mixed.csv"
    line = '"4","1","d","q","u","{}"\n'
    path.write_bytes(line.format("café 最高 😀").encode("utf-8") + line.format("déjà vu £5").encode("latin-1"))
    assert {text for _, text, _ in read(spark, path)} == {"café 最高 😀", "déjà vu £5"}


def test_a_row_without_id_gets_one_that_depends_on_its_text_alone(
    spark: SparkSession, write_tweets: WriteTweets
) -> None:
    def ids(rows: list[tuple[str, ...]]) -> dict[str, str]:
        frame = raw_tweets.read(spark, [str(write_tweets(rows))])
        return {row["text"]: row["id"] for row in frame.collect()}

    given = ("4", " 77 ", "d", "q", "u", "with id")
    first, second = ids([("0", "no id"), given, ("4", "other")]), ids([("4", "other"), ("0", "no id")])
    assert first["with id"] == "77"
    assert first["no id"] == second["no id"]
    assert first["no id"] != first["other"]
    assert first["no id"].startswith("t")


def test_every_csv_below_a_folder_is_read_but_no_sample_among_real_tweets(
    spark: SparkSession, write_tweets: WriteTweets, tmp_path: Path
) -> None:
    for name in (
        "sentiment140/a.csv",
        "sentiment140/sample_100.csv",
        "sample/sample_200.csv",
        "x/y/z.CSV",
        "notes.txt",
    ):
        write_tweets([("0", "x")], name)
    found = [
        file.removeprefix(tmp_path.as_uri().replace("///", "/")) for file in raw_tweets.find_files(spark, str(tmp_path))
    ]
    assert found == ["/sample/sample_200.csv", "/sentiment140/a.csv", "/x/y/z.CSV"]


@pytest.mark.parametrize("name", ["nowhere", "nowhere/*.csv"])
def test_a_path_without_files_is_named(spark: SparkSession, tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"nowhere.*: want a CSV file or a folder that holds one, found nothing"):
        raw_tweets.find_files(spark, str(tmp_path / name))
