"""Tokens: what a tweet becomes before anything is counted."""

from itertools import pairwise

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from sentiment import opinion, text

pytestmark = pytest.mark.spark


def tokens(frame: DataFrame) -> list[list[str]]:
    found = [row["tokens"] for row in frame.select(F.expr(text.tokens("text")).alias("tokens")).collect()]
    assert all(row[0] == text.START and row[-1] == text.END for row in found)
    return [row[1:-1] for row in found]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Loved IT", ["loved", "it"]),
        ("@bob see http://t.co/x?y=1 and www.a.b", [text.MENTION, "see", text.LINK, "and", text.LINK]),
        ("not good", ["not", "good", "~good"]),
        (
            "don't like this one bit at all",
            ["dont", "like", "~like", "this", "~this", "one", "~one", "bit", "at", "all"],
        ),
        ("not good! really bad", ["not", "good", "~good", "!", "really", "bad"]),
        ("knot good", ["knot", "good"]),
        ("I’m sooooo happyyyy", ["im", "soo", "happyy"]),
        ("wow!!! what?!", ["wow", "!!", "what", "?!"]),
        ("yes :) no :-( ;D <3 (: :'(", ["yes", ":)", "no", ":-(", ";d", "<3", "(:", ":("]),
        ("i &lt;3 R&amp;B &quot;x&quot;", ["i", "<3", "r", "&", "b", '"', "x", '"']),
        ("#fail at 1000000 :different", ["#", "fail", "at", "1000000", ":", "different"]),
        ("a~b \\ c^d [x]{y}", ["ab", "cd", "[", "x", "]", "{", "y", "}"]),
        ("8) 8pm :] [: 8-d ‘don’t’ 3", ["8)", "8pm", ":]", "[:", "8-d", "dont", "3", "~3"]),
        ("wait... no", ["wait", "..", "no"]),
        ("naïve ПРИВЕТ 最高", ["naïve", "привет", "最高"]),
        ("one\ttwo\nthree", ["one", "two", "three"]),
        ("", []),
        (None, []),
    ],
)
def test_a_text_becomes_these_tokens(spark: SparkSession, raw: str | None, expected: list[str]) -> None:
    assert tokens(spark.createDataFrame([(raw,)], "text string")) == [expected]


def test_each_word_of_opinion_is_a_token(spark: SparkSession) -> None:
    words = sorted(opinion.words())
    assert len(words) > 1000
    frame = spark.createDataFrame([(word,) for word in words], "text string")
    assert tokens(frame) == [[word] for word in words]


def test_a_word_of_opinion_counts_for_more_also_when_negated_and_a_pair_with_one_half_as_much_more() -> None:
    terms = ["good", "~good", "day", "good day", "my ~sad", "the day", "goodly", ":(", text.LINK]
    word, pair = opinion.WORD, opinion.PAIR
    assert opinion.emphasis(terms).tolist() == [word, word, 1, pair, pair, 1, 1, word, 1]
    assert 1 < pair < word


def test_a_million_characters_of_any_kind_do_not_break_a_pattern(spark: SparkSession) -> None:
    long_texts = ["a" * 10**6, "not " * 250_000, "!?" * 500_000, "@" * 10**6, ":)" * 500_000, "ab " * 333_333]
    found = tokens(spark.createDataFrame([(content,) for content in long_texts], "text string"))
    assert len(found) == len(long_texts)
    assert all(1 <= len(row) <= 2 * text.MAX_CHARACTERS for row in found)


def test_the_expressions_hold_no_backslash_so_that_no_parser_setting_changes_them(spark: SparkSession) -> None:
    expressions = [text.tokens("text"), text.terms("tokens"), *text.statistics("text", "tokens")]
    assert not any("\\" in expression for expression in expressions)
    frame = spark.createDataFrame([("Sooo \\ not 'good' at all :)",)], "text string")
    usual = tokens(frame)
    spark.conf.set("spark.sql.parser.escapedStringLiterals", "true")
    try:
        assert tokens(frame) == usual
    finally:
        spark.conf.unset("spark.sql.parser.escapedStringLiterals")


@pytest.mark.parametrize(
    ("words", "last"),
    [
        ("xstartx s a xendx", "s a"),
        ("xstartx i hate mondays , but this one is fun !! .. xlinkx xendx", "this one is fun"),
        ("xstartx buttons ! xmentionx but but xendx", "xmentionx"),
        ("xstartx .. but xendx", ""),
        ("", ""),
    ],
)
def test_the_last_clause_is_what_no_end_of_one_stands_behind(spark: SparkSession, words: str, last: str) -> None:
    frame = spark.createDataFrame([(words.split(),)], "tokens array<string>")
    pairs = [f"{first} {second}" for first, second in pairwise(words.split())]
    pairs_of_last = [f"{first} {second}" for first, second in pairwise(last.split())]
    found = frame.select(F.expr(text.last_clause("tokens")).alias("last"), F.expr(text.terms("tokens")).alias("terms"))
    assert [tuple(row) for row in found.collect()] == [
        (last.split(), [*words.split(), *pairs, *last.split(), *pairs_of_last])
    ]


def test_statistics_count_what_their_names_say(spark: SparkSession) -> None:
    tweet = '@a Not good!! ok? see http://x.y, "HA"..'
    frame = spark.createDataFrame([(tweet,), (None,)], "text string")
    frame = frame.withColumn("tokens", F.expr(text.tokens("text")))
    columns = [
        F.expr(sql).alias(name) for name, sql in zip(text.STATISTICS, text.statistics("text", "tokens"), strict=True)
    ]
    full, empty = (row.asDict() for row in frame.select(*columns).collect())
    wanted = {"exclamations": 2, "questions": 1, "mentions": 1, "links": 1, "commas": 1, "quotes": 2, "negated": 1}
    assert {name: full[name] for name in wanted} == wanted
    assert full["characters"] == len(tweet)
    assert full["dots"] == 3
    assert full["capitals"] == pytest.approx(3 / len(tweet))
    assert full["starts_with_mention"] == 1
    assert set(empty.values()) == {0.0}
