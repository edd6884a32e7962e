"""Raw tweets: every line is read or rejected with its reason, whatever its encoding."""

import gzip
import os
import re
from pathlib import Path

import preprocess
import pytest
from conftest import WriteTweets
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812
from sentiment_dags import contract

from sentiment import raw_files, raw_tweets
from sentiment.jobs import DataError

pytestmark = pytest.mark.spark


EDGES = [0x20, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0]
"""Second bytes of a character, left and right of what is allowed somewhere."""


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
        '"4","8","d","q","u","one line',
        'and another"',
        '"4","9","d","q","u","\t\u00a0\u3000"',
        "1," * 30_000,
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
    assert [reason for reason, _, _ in read(spark, path)].count("columns") == 6
    assert [reason for reason, _, _ in read(spark, path)].count("text") == 2


def test_utf_8_and_latin_1_are_told_apart_line_by_line(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "mixed.csv"
    line = '"4","1","d","q","u","{}"\n'
    path.write_bytes(line.format("café 最高 😀").encode("utf-8") + line.format("déjà vu £5").encode("latin-1"))
    assert {text for _, text, _ in read(spark, path)} == {"café 最高 😀", "déjà vu £5"}


def test_utf_8_is_what_python_takes_for_it(spark: SparkSession) -> None:
    leads = [*range(0xC0, 0xF6), 0xFF]
    found = [bytes([lead, second, *[0xBF] * rest]) for lead in leads for second in EDGES for rest in range(3)]
    found += [b"", b"a", b"\x7f", b"\x80", "\uffff\U0010ffff é".encode(), b"\xc3\xa9\xed\xa0\xbd\xed\xb8\x80"]

    def is_python_s(value: bytes) -> bool:
        try:
            value.decode()
        except UnicodeDecodeError:
            return False
        return True

    rows = spark.createDataFrame([(bytearray(value),) for value in found], "value binary")
    said = rows.select("value", raw_tweets.is_utf8(F.col("value").cast("string")).alias("said")).collect()
    assert [bytes(row["value"]) for row in said if row["said"] != is_python_s(bytes(row["value"]))] == []


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


FILES = {
    "a.csv": True,
    "b.csv.bak": False,
    "notes.txt": False,
    "sample/sample_200.csv": True,
    "sentiment140/a.csv": True,
    "sentiment140/sample_100.csv": False,
    "sentiment140/sample_2009/a.csv": True,
    "sentiment140/x/sample_1.csv": True,
    "x/.hidden/a.csv": False,
    "x/_half.csv": False,
    "x/y/z.CSV": True,
    "x/y/z.Csv.gz": True,
}
"""Files below a folder, and whether a training reads them."""


def test_every_csv_below_a_folder_is_read_but_no_sample_among_real_tweets(spark: SparkSession, tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(gzip.compress(MANY) if name.endswith(".gz") else MANY)
    found = [
        file.removeprefix(tmp_path.as_uri().replace("///", "/")) for file in raw_tweets.find_files(spark, str(tmp_path))
    ]
    wanted = [name for name, is_read in FILES.items() if is_read]
    assert found == [f"/{name}" for name in wanted]
    assert [name for name in FILES if contract.is_read(f"_raw/{name}", "_raw")] == wanted
    for number, (name, is_read) in enumerate(FILES.items()):
        file = tmp_path / "alone" / str(number) / name
        file.parent.mkdir(parents=True)
        file.touch()
        assert raw_files.has_tweets(tmp_path / "alone" / str(number)) == is_read, name


def test_tweets_are_looked_for_behind_links_and_no_circle_is_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.csv").touch()
    (tmp_path / "real" / "folder.csv").mkdir(parents=True)
    (tmp_path / "real" / "back").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "gone.csv").symlink_to("nowhere")
    assert not raw_files.has_tweets(tmp_path / "real")
    (tmp_path / "real" / "there").symlink_to(tmp_path / "elsewhere")
    assert raw_files.has_tweets(tmp_path / "real")


def test_generated_files_among_those_that_are_read_are_told() -> None:
    real, made = "file:/data_raw/sentiment140/a.csv", "file:/data_raw/sample/sample_20000.csv"
    assert raw_tweets.described([real]) == "1 file(s)"
    assert raw_tweets.described([made, real]) == "2 file(s), 1 of them generated (sample_*.csv),"


@pytest.mark.parametrize("name", ["nowhere", "nowhere/*.csv"])
def test_a_path_without_files_is_named(spark: SparkSession, tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"nowhere.*: want a CSV file or a folder that holds one, found nothing"):
        raw_tweets.find_files(spark, str(tmp_path / name))


MANY = "".join(f'"{place % 2 * 4}","{place}","d","q","u","tweet {place * 7919}"\n' for place in range(400)).encode()


@pytest.mark.parametrize("name", ["a[1].csv", "a{1}.csv", "dir[2]/a?.csv", "a b ünï%20#.csv", "a\\*.csv"])
def test_a_name_is_no_pattern(spark: SparkSession, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(MANY)
    for asked in {path, path.parent, tmp_path}:
        assert raw_tweets.read(spark, raw_tweets.find_files(spark, str(asked))).count() == 400


@pytest.mark.parametrize(
    ("content", "kind"), [(gzip.compress(MANY), "gzip"), (MANY.decode().encode("utf-16"), "UTF-16")]
)
def test_a_file_of_another_kind_is_named(spark: SparkSession, tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "good.csv").write_bytes(MANY)
    path = tmp_path / "other.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"^--input \S+/other\.csv: want lines of text in UTF-8 .+, found {kind}$"):
        raw_tweets.find_files(spark, str(tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a:b.csv", MANY, "want names without a colon"),
        ("padded.csv.gz", gzip.compress(MANY) + bytes(1000), "want gzip alone"),
    ],
)
def test_what_hadoop_says_too_little_of_is_explained(
    spark: SparkSession, tmp_path: Path, name: str, content: bytes, why: str
) -> None:
    assert spark.version
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=why):
        preprocess.main(["--input", str(tmp_path), "--output", str(tmp_path / "clean")])


@pytest.mark.parametrize(
    ("name", "content"),
    [("cut%20 ü.csv.gz", gzip.compress(MANY)[:1000]), ("plain.csv.gz", MANY), ("a:b.csv", MANY), ("_a.csv", MANY)],
)
def test_a_file_that_cannot_be_read_is_named_in_one_line(
    spark: SparkSession, tmp_path: Path, name: str, content: bytes
) -> None:
    assert spark.version
    (tmp_path / name).write_bytes(content)
    (tmp_path / "good.csv").write_bytes(MANY)
    asked = tmp_path / name if name.startswith("_") else tmp_path
    with pytest.raises(DataError, match=rf"^(--input|cannot read) {re.escape(str(asked))}: .+$") as told:
        preprocess.main(["--input", str(asked), "--output", str(tmp_path / "clean")])
    assert name in str(told.value)


@pytest.mark.parametrize(
    ("name", "alone"),
    [
        ("a.txt", r"want files named \*\.csv or \*\.csv\.gz, found none"),
        ("sentiment140/sample_100.csv", r"want real tweets in sentiment140/, found only sample_\*, which is read if"),
    ],
)
def test_a_file_asked_for_by_name_is_read_however_that_is_spelled(
    spark: SparkSession, write_tweets: WriteTweets, name: str, alone: str
) -> None:
    path = write_tweets([("0", "x")], name)
    for spelled in (str(path), path.as_uri(), f"{path.parent}/../{path.parent.name}//{path.name}"):
        assert len(raw_tweets.find_files(spark, spelled)) == 1, spelled
    with pytest.raises(DataError, match=alone):
        raw_tweets.find_files(spark, str(path.parent))


@pytest.mark.parametrize("unread", [b"\xfc.csv", b"f\xfcr/a.csv"])
def test_a_name_that_java_cannot_read_is_told(
    spark: SparkSession, write_tweets: WriteTweets, tmp_path: Path, unread: bytes
) -> None:
    write_tweets([("0", "x")], "a/ü.csv")
    (tmp_path / "a" / "back").symlink_to("..")
    assert len(raw_tweets.find_files(spark, str(tmp_path))) == 1
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/_hidden/" + unread))
    file.parent.mkdir(parents=True)
    file.touch()
    assert len(raw_tweets.find_files(spark, str(tmp_path))) == 1
    (tmp_path / "_hidden").rename(tmp_path / "shown")
    with pytest.raises(DataError, match=r"^cannot read .*: want names of files in UTF-8, .* found '.*/shown/f?\\udcfc"):
        raw_tweets.find_files(spark, str(tmp_path))


def test_a_link_back_is_followed_once(spark: SparkSession, write_tweets: WriteTweets, tmp_path: Path) -> None:
    write_tweets([("0", "x")], "a/t.csv")
    (tmp_path / "a" / "back").symlink_to("..")
    assert len(raw_tweets.find_files(spark, str(tmp_path))) == 1
