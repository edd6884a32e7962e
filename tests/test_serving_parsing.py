"""A message becomes a tweet or a dead letter with its reason, whatever its bytes are."""

import datetime
import gzip
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from sentiment import raw_tweets
from sentiment.jobs import DataError
from sentiment.serving import parsing, rescoring, sources
from sentiment.serving.settings import CSV, CSV_HEADER, FILE, JSON, KAFKA, TEXT, Source

pytestmark = pytest.mark.spark
TIME = datetime.datetime(2026, 3, 1, 12, 0, 0)
NOT_A_STRING = "text is not a string"
GOES_ON = "the message goes on after its JSON object"
LONGEST = 50


def parsed(spark: SparkSession, payloads: list[bytes | None]) -> DataFrame:
    rows = [(payload and bytearray(payload), f"kafka:t/0/{place}", TIME) for place, payload in enumerate(payloads)]
    frame = spark.createDataFrame(rows, "payload binary, source string, ingest_time timestamp")
    return parsing.parse(frame, Source(KAFKA), LONGEST)


def parse(spark: SparkSession, payloads: list[bytes | None]) -> list[Row]:
    return parsed(spark, payloads).collect()


MESSAGES: list[tuple[bytes | None, str | None]] = [
    (b'{"text":"good day","unknown":[1]}', None),
    (b'{"text":"12"}', None),
    (b'{"text":"true"}', None),
    (b'{"text":"{not an object"}', None),
    (b'{"text":"NaN"}', None),
    (b'{"text":"\\"Infinity\\""}', None),
    ('{"text":"とても良い"}'.encode(), None),
    (b'{"text":"\\u0000"}', None),
    (None, "the message is empty"),
    (b"", "the message is empty"),
    (b"no json", "the message is not a JSON object"),
    (b'[{"text":"a"},{"text":"b"}]', "the message is not a JSON object"),
    (b'{"text":"a"', "the message is broken JSON"),
    (b'{"text":"a"} garbage', GOES_ON),
    (b'{"text":"a"}{"text":"b"}', GOES_ON),
    (b'{"text":"a"} {"text":"b"}', GOES_ON),
    (b'{"text":"a"},{"text":"b"}', GOES_ON),
    (b'{"text":"a"},"text":{"b":1}', GOES_ON),
    (b'{"text":"a"}\n]', GOES_ON),
    (b'{"text":"a"}}', GOES_ON),
    ('{"text":"とても"} garbage'.encode(), GOES_ON),
    (b'{"text":"a"} \t\r\n', None),
    (b'{"text":"} {","user":{"name":"b"}}\n', None),
    (b'\n\t\r {"text":"a"}', None),
    ('\ufeff{"text":"} {","user":{"name":"b"}}'.encode(), None),
    ('\ufeff\n{"text":"a"}}'.encode(), GOES_ON),
    (b'\x0b{"text":"a"}', "the message is not a JSON object"),
    (b"\n", "the message is not a JSON object"),
    (b'{"text":"\xff\xfe"}', "the message is not UTF-8"),
    (b'{"text":"\xed\xa0\xbd\xed\xb8\x80"}', "the message is not UTF-8"),
    ('{"text":"a real \ufffd"}'.encode(), None),
    ('{"text":"a real \ufffd and '.encode() + b'\xc3("}', "the message is not UTF-8"),
    (b"{}", "there is no text"),
    (b'{"text":null}', "there is no text"),
    (b'{"nested":{"text":"a"}}', "there is no text"),
    (b'{"text":"  "}', "the text is blank"),
    (b'{"text":12}', NOT_A_STRING),
    (b'{"text":-1.5}', NOT_A_STRING),
    (b'{"text":-1e400}', NOT_A_STRING),
    (b'{"text":true}', NOT_A_STRING),
    (b'{"text":["a"]}', NOT_A_STRING),
    (b'{"text":{"a":1}}', NOT_A_STRING),
    (b'{"text":12,"user":{"text":"a"}}', NOT_A_STRING),
    (b'{"text":"' + b"a" * (LONGEST + 1) + b'"}', f"the text is longer than {LONGEST} characters"),
    (b'{"text":"' + b"a" * 1_000_000 + b'"}', f"the message is longer than {6 * LONGEST + 65536} bytes"),
    (b'{"text":"a","id":"' + b"x" * 1001 + b'"}', "the id is longer than 1000 characters"),
]


def test_every_message_has_its_reason_or_its_text(spark: SparkSession) -> None:
    found = parse(spark, [payload for payload, _ in MESSAGES])
    assert [row["reason"] for row in found] == [reason for _, reason in MESSAGES]
    for row, (payload, reason) in zip(found, MESSAGES, strict=True):
        assert bytes(row["payload"] or b"") == (payload or b"")
        assert bool(row["text"]) == (reason is None)


def test_fields_that_cannot_be_read_are_null_and_a_missing_id_is_the_place(spark: SparkSession) -> None:
    whole, empty, large = parse(
        spark,
        [
            b'{"text":"a","id":7,"timestamp":"2026-02-01T10:00:00.123456+01:00","label":4}',
            b'{"text":"b","id":"","timestamp":"tomorrow","label":"x"}',
            b'{"text":"c","id":1e400}',
        ],
    )
    assert (whole["id"], whole["label"]) == ("7", 1.0)
    assert (empty["id"], empty["label"], empty["event_time"]) == ("kafka:t/0/1", None, None)
    assert empty["ingest_time"] == TIME
    assert large["id"] == "kafka:t/0/2"
    micros = parse(spark, [b'{"text":"a","timestamp":"2026-02-01T09:00:00.123456Z"}'])[0]
    assert whole["event_time"] == micros["event_time"]
    assert whole["event_time"].microsecond == 123456


def test_a_time_without_its_date_is_null(spark: SparkSession) -> None:
    times = ["12:30", "T12:30:15", "12:3-08:00", "2026-02-01 12:30"]
    found = parse(spark, [f'{{"text":"a","timestamp":"{time}"}}'.encode() for time in times])
    assert [row["event_time"] for row in found] == [None, None, None, datetime.datetime(2026, 2, 1, 12, 30)]


def test_an_ancient_time_can_be_written_and_read(spark: SparkSession, tmp_path: Path) -> None:
    times = ["0001-01-01T00:00:00Z", "1850-05-05"]
    rows = parsed(spark, [f'{{"text":"a","timestamp":"{time}"}}'.encode() for time in times])
    rows.coalesce(1).write.parquet(str(tmp_path / "spark"))
    by_arrow = pa.table({"event_time": pa.array([datetime.datetime(1, 1, 1)], pa.timestamp("us", "UTC"))})
    (tmp_path / "arrow").mkdir()
    parquet.write_table(by_arrow, tmp_path / "arrow" / "0.parquet")
    found = spark.read.parquet(str(tmp_path / "spark"), str(tmp_path / "arrow"))
    days = [row["day"] for row in found.select(F.col("event_time").cast("date").cast("string").alias("day")).collect()]
    assert sorted(days) == ["0001-01-01", "0001-01-01", "1850-05-05"]


@pytest.mark.parametrize(("label", "expected"), [("0", 0.0), ("1", 1.0), ("4", 1.0), ("2", None), ('"4"', 1.0)])
def test_labels_are_mapped_to_0_and_1(spark: SparkSession, label: str, expected: float | None) -> None:
    assert parse(spark, [f'{{"text":"a","label":{label}}}'.encode()])[0]["label"] == expected


def parse_files(spark: SparkSession, kind: str, contents: dict[str, bytes], folder: Path) -> list[Row]:
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    source = Source(FILE, path=str(folder), format=kind)
    batch = sources.files(spark, sources.list_inputs(spark, str(folder)))
    paths = [row[0] for row in batch.select("file_path").distinct().collect()]
    firsts = sources.headers(spark, source, paths)
    rows = parsing.parse(sources.messages(batch, source, firsts), source, LONGEST, firsts)
    return sorted(rows.collect(), key=lambda row: (row["source"].split("#")[0], row["id"] or ""))


def test_sentiment140_lines_in_both_encodings(spark: SparkSession, tmp_path: Path) -> None:
    lines = '"4","1","date","flag","me","café, ""good"""\n'.encode("latin-1")
    lines += '"0","2","date","flag","me","☹"\n"0","too","few"\n'.encode()
    good, sad, broken = parse_files(spark, CSV, {"a.csv": lines}, tmp_path)
    assert (good["id"], good["text"], good["label"], good["reason"]) == ("1", 'café, "good"', 1.0, None)
    assert (sad["id"], sad["text"], sad["label"], sad["reason"]) == ("2", "☹", 0.0, None)
    assert broken["reason"] == "the line has not 6 columns"


@pytest.mark.parametrize(("kind", "header", "count"), [(CSV, "", 6), (CSV_HEADER, "id,text\n", 2)])
def test_a_line_of_very_many_columns_is_a_dead_letter(
    spark: SparkSession, tmp_path: Path, kind: str, header: str, count: int
) -> None:
    lines = ["1," * 30_000, "," * raw_tweets.MOST_COLUMNS, "," * (raw_tweets.MOST_COLUMNS - 1)]
    found = parse_files(spark, kind, {"a.csv": (header + "\n".join(lines)).encode()}, tmp_path)
    assert [row["reason"] for row in found] == [f"the line has not {count} columns"] * 3


def test_each_file_is_read_by_its_own_header_and_the_header_is_no_row(spark: SparkSession, tmp_path: Path) -> None:
    contents = {"a.csv": b"id,text\n1,first\n", "b.csv": b"\xef\xbb\xbfText,label,id\nsecond,4,2\n"}
    first, second = parse_files(spark, CSV_HEADER, contents, tmp_path)
    assert (first["id"], first["text"], first["reason"]) == ("1", "first", None)
    assert (second["id"], second["text"], second["label"]) == ("2", "second", 1.0)


@pytest.mark.parametrize("first", [b" ", b"x" * 150_000])
def test_a_first_line_that_names_no_columns_is_a_message(spark: SparkSession, tmp_path: Path, first: bytes) -> None:
    found = parse_files(spark, CSV_HEADER, {"a.csv": first + b"\ngood\n"}, tmp_path)
    assert len(found) == 2
    assert all(row["reason"] for row in found)


def test_the_header_of_a_latin_1_file_is_no_row(spark: SparkSession, tmp_path: Path) -> None:
    (only,) = parse_files(spark, CSV_HEADER, {"a.csv": "text,prénom\nfirst,me\n".encode("latin-1")}, tmp_path)
    assert (only["text"], only["reason"]) == ("first", None)


def test_plain_text_and_json_files(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "j").mkdir()
    assert [row["text"] for row in parse_files(spark, TEXT, {"a.txt": b"hello\n"}, tmp_path / "t")] == ["hello"]
    contents = {"a.json": b'{"text":"hi","id":"1"}\nx\n', "part-0001": b'{"text":"hi","id":"2"}\n', "_hidden": b"x\n"}
    found = parse_files(spark, JSON, contents, tmp_path / "j")
    assert sorted(row["reason"] or "" for row in found) == ["", "", "the message is not a JSON object"]


def test_a_dead_letter_that_was_cut_is_not_scored_as_if_it_were_whole(spark: SparkSession, tmp_path: Path) -> None:
    old = "the text is blank"
    letters = [(b"good day", 8, old), (b"good d", 70_000, old), (b"good d", 6, rescoring.CUT), (None, 0, old)]
    rows = [
        (payload and bytearray(payload), length, reason, str(n), TIME)
        for n, (payload, length, reason) in enumerate(letters)
    ]
    kinds = "payload binary, payload_length long, reason string, source string, ingest_time timestamp"
    folder = tmp_path / "letters[1]"  # no pattern
    spark.createDataFrame(rows, kinds).write.parquet(str(folder / "date=2026-03-01"))
    found = rescoring.parsed(spark, rescoring.DEAD_LETTERS, str(folder), TEXT, "", LONGEST)
    assert sorted(found.columns) == sorted(parsing.COLUMNS)
    expected = [("0", "good day", None), ("1", None, rescoring.CUT), ("2", None, rescoring.CUT)]
    assert sorted((row["id"], row["text"], row["reason"]) for row in found.collect()) == [
        *expected,
        ("3", None, "the message is empty"),
    ]


@pytest.mark.parametrize(
    ("kind", "columns", "missing"),
    [
        (rescoring.PREDICTIONS, rescoring.NEEDED[rescoring.DEAD_LETTERS], "id, text, label, event_time"),
        (rescoring.DEAD_LETTERS, rescoring.NEEDED[rescoring.PREDICTIONS], "payload, payload_length, reason"),
    ],
)
def test_predictions_and_dead_letters_are_not_taken_for_each_other(
    spark: SparkSession, tmp_path: Path, kind: str, columns: list[str], missing: str
) -> None:
    rows = spark.range(1).select(*(F.lit("").alias(name) for name in columns))
    rows.write.parquet(str(tmp_path / "date=2026-03-01"))
    with pytest.raises(DataError, match=rf"^--input {tmp_path}: want {kind} with columns .*, found no {missing}$"):
        rescoring.parsed(spark, kind, str(tmp_path), JSON, "", LONGEST)


def test_a_file_that_was_cut_is_named_before_anything_is_scored(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text("a\n")
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"".join(b"%d\n" % n for n in range(5_000)))[:2_000])
    with pytest.raises(DataError, match=rf"^--input {tmp_path}: \S+/cut.csv.gz: Unexpected end of input stream$"):
        rescoring.parsed(spark, rescoring.FILES, str(tmp_path), TEXT, "", LONGEST)


def test_equal_lines_of_a_file_have_places_of_their_own(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("same\nsame\nother\n")
    batch = sources.files(spark, [str(tmp_path / "a.txt")]).repartition(3)
    places = [row["source"] for row in sources.messages(batch, Source(FILE, format=TEXT)).collect()]
    again = [row["source"] for row in sources.messages(batch.coalesce(1), Source(FILE, format=TEXT)).collect()]
    assert len(set(places)) == 3
    assert set(places) == set(again)
    assert sum(place.endswith("-1") for place in places) == 1
