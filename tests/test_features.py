"""Features: a deterministic vocabulary from train alone, and a pipeline that leaves nothing behind."""

from collections.abc import Callable

import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.feature import IDF, IDFModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from sentiment import features, opinion
from sentiment.features import COUNTS, FEATURES, FOLD, HASH, STATISTICS, TERMS, TOKENS
from sentiment.jobs import DataError

pytestmark = pytest.mark.spark

Build = Callable[[list[tuple[str, float]]], DataFrame]


def tokens(spark: SparkSession, *rows: str) -> DataFrame:
    return spark.createDataFrame([(row,) for row in rows], f"{TOKENS} string")


def terms(spark: SparkSession, rows: list[list[str]]) -> DataFrame:
    return spark.createDataFrame([(row,) for row in rows], f"{TERMS} array<string>")


def test_the_vocabulary_is_the_most_frequent_terms_with_ties_in_alphabetical_order(spark: SparkSession) -> None:
    rows = tokens(spark, "b a c z", "ü c a b", "c a once", "twice twice twice")
    for partitions in (1, 3):
        found = features.vocabulary(rows.repartition(partitions), 10)
        assert list(found.items()) == [("a", 3), ("c", 3), ("b", 2), ("c a", 2)]
    assert list(features.vocabulary(rows, 3)) == ["a", "c", "b"]


def test_rows_without_a_common_term_are_refused(spark: SparkSession) -> None:
    with pytest.raises(DataError, match="no word that stands in 2 rows"):
        features.vocabulary(tokens(spark, "a", "b"), 10)


def test_terms_are_counted(spark: SparkSession) -> None:
    counting = features.vectorisers(spark, {"a": 3, "b c": 2, "ü": 2}, 4)[0]
    row = counting.transform(terms(spark, [["a", "a", "ü", "unknown"]])).first()
    assert row is not None
    assert row[COUNTS].toArray().tolist() == [2.0, 0.0, 1.0]


def test_the_weights_are_those_that_spark_s_own_idf_would_find_more_for_opinion(spark: SparkSession) -> None:
    rows = terms(spark, [["a", "good"], ["good", "a", "a"], ["good", "c"], ["c"], ["a"]])
    vocabulary = features.vocabulary(tokens(spark, "a good", "good a a", "good c", "c", "a"), 10)
    assert list(vocabulary) == ["a", "good", "c"]
    counting, weighting, _ = features.vectorisers(spark, vocabulary, 5)
    fitted = IDF(inputCol=COUNTS, outputCol="weighted").fit(counting.transform(rows))
    assert isinstance(weighting, IDFModel)
    assert weighting.idf.toArray().tolist() == (fitted.idf.toArray() * [1, opinion.WORD, 1]).tolist()
    assert (weighting.docFreq, weighting.numDocs) == (fitted.docFreq, 5)
    assert len(fitted.docFreq) == 3


def test_the_table_holds_every_row_once_and_words_of_dev_and_test_are_not_in_the_vocabulary(
    clean_tweets: Build,
) -> None:
    divided = {
        "train": clean_tweets([("good day", 1.0), ("good night", 1.0), ("bad day", 0.0), ("", 0.0)]),
        "dev": clean_tweets([("unseen unseen", 1.0), ("unseen word", 0.0)]),
        "test": clean_tweets([("unseen", 1.0), ("bad", 0.0)]),
    }
    table = features.build(divided, train_rows=4, num_features=100, folds=3, salt="s", in_memory=True)
    rows = table.rows.collect()
    assert sorted((row["split"], row["id"]) for row in rows) == sorted(
        (name, row["id"]) for name, frame in divided.items() for row in frame.collect()
    )
    by_text = {row["text"]: row for row in rows}
    assert by_text["unseen"][FEATURES].norm(2) == pytest.approx(0.0)
    lengths = [row[FEATURES].norm(2) for row in rows if row["split"] == "train"]
    assert sorted(round(length, 9) for length in lengths) == [0.0, 1.0, 1.0, 1.0]
    assert all(row["text"] is None for row in rows if row["split"] == "train")
    assert table.train_rows == 4
    assert {STATISTICS, COUNTS} < set(table.rows.columns)
    linear = features.build(divided, 4, 100, 3, "s", in_memory=True, for_trees=False)
    assert set(table.rows.columns) - set(linear.rows.columns) == {STATISTICS, COUNTS}


def test_the_table_holds_what_the_registered_pipeline_makes_of_the_same_texts(clean_tweets: Build) -> None:
    texts = ["not a good day :)", "good day, bad day!!", "soooo GOOD &amp; bad http://x.y @z", "", "never seen ❤ 😀"]
    rows = [(text, float(place % 2)) for place, text in enumerate(texts)]
    train = [*rows[:4], *((f"{text} again", label) for text, label in rows[:4])]
    divided = {"train": clean_tweets(train), "dev": clean_tweets(rows), "test": clean_tweets(rows[1:])}
    table = features.build(divided, 8, 100, 3, "s", in_memory=True)
    made = table.rows.where("split != 'train'").collect()
    assert len(made) == 9
    stages = [*features.tokenising(with_statistics=True), *table.vectorising]
    seen = table.rows.select("split", "id", "text")
    wanted = {
        (row["inner_input"]["split"], row["inner_input"]["id"]): row
        for row in PipelineModel(stages).transform(seen).collect()
    }
    for row in made:
        same = wanted[row["split"], row["id"]]
        for column in (FEATURES, COUNTS, STATISTICS):
            assert row[column].toArray() == pytest.approx(same[column].toArray(), abs=1e-15)
        assert (row[FEATURES].indices == same[FEATURES].indices).all()
    assert sum(row[FEATURES].numNonzeros() for row in made) > 30


def test_texts_of_the_same_tokens_are_in_the_same_fold(clean_tweets: Build) -> None:
    train = [(spelt, 1.0) for place in range(12) for spelt in (f"it's word{place} soo", f"Its  WORD{place} soooo")]
    divided = {"train": clean_tweets(train), "dev": clean_tweets([("a", 0.0)]), "test": clean_tweets([("b", 0.0)])}
    table = features.build(divided, 24, 100, 3, "s", in_memory=True, for_trees=False)
    folds = {int(row["id"]): (row[HASH], row[FOLD]) for row in table.split("train").collect()}
    assert [folds[place] for place in range(0, 24, 2)] == [folds[place] for place in range(1, 24, 2)]
    assert len({drawn for drawn, _ in folds.values()}) == 12
    assert {fold for _, fold in folds.values()} == {0, 1, 2}


def test_the_first_and_last_stage_keep_the_caller_s_columns_and_drop_the_inner_ones(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(1, "good", [1, 2]), (2, None, None)], "k int, text string, list array<int>")
    stages = [*features.tokenising(with_statistics=True), features.finishing("k", f"size({TERMS})")]
    found = PipelineModel(stages).transform(frame)
    assert found.columns == ["k", "text", "list", "prediction", "probability"]
    assert found.select("k", "text", "list").collect() == frame.collect()
    assert found.where(F.col("probability") > 0).count() == 2
