"""From text to features: the stages of the registered pipeline, and the one table that all fits share."""

import math
import pickle
from array import array
from dataclasses import dataclass
from functools import reduce

import numpy as np
from pyspark import StorageLevel
from pyspark.ml import PipelineModel, Transformer
from pyspark.ml.feature import CountVectorizerModel, IDFModel, Normalizer, SQLTransformer, VectorAssembler
from pyspark.mllib.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from sentiment import splits, text
from sentiment.jobs import DataError

INPUT = "inner_input"
TOKENS = "inner_tokens"
TERMS = "inner_terms"
COUNTS = "inner_counts"
FEATURES = "inner_features"
STATISTICS = "inner_statistics"
ORDER = "inner_order"
FOLD = "inner_fold"

_CUT = "<tokens>"

MIN_ROWS_PER_TERM = 2
# From six partitions on Spark adds up gradients in two stages, with a shuffle between them at every step of a fit:
# 400 thousand tweets in seven took 26 s for LR and SVC, in four 19 s.
ROWS_PER_PARTITION = 100_000
MIN_PARTITIONS = 2


@dataclass(frozen=True)
class FeatureTable:
    """Every row's features, computed once, and the stages that compute them for a new text.

    Attributes:
        rows: id, text (null for train rows), label, split, inner_fold, inner_order, inner_features (TF-IDF of length 1,
            sparse), for trees inner_statistics (dense) and inner_counts (binary sparse vector); persisted.
        vectorising: fitted stages from inner_terms to inner_counts and inner_features.
        train_rows: rows of the train split.
    """

    rows: DataFrame
    vectorising: list[Transformer]
    train_rows: int

    def split(self, name: str) -> DataFrame:
        """The rows of one split, in partitions and an order that depend on the data alone."""
        return self.rows.where(F.col("split") == name)


def tokenising(with_statistics: bool = False) -> list[Transformer]:
    """Stages from text to its terms; all other columns wait inside one struct until `finishing` brings them back."""
    names = [f"inner_{name}" for name in text.STATISTICS] if with_statistics else []
    expressions = text.statistics(f"{INPUT}.text", TOKENS) if with_statistics else []
    extra = "".join(f", {sql} AS {name}" for name, sql in zip(names, expressions, strict=True))
    stages: list[Transformer] = [SQLTransformer(statement=_statement(text.tokens("text"), extra))]
    if with_statistics:
        stages.append(VectorAssembler(inputCols=names, outputCol=STATISTICS))
    return stages


def tokens_in(statement: str) -> str | None:
    """The SQL from text to tokens within the statement of `tokenising`; None: it makes terms in another way."""
    before, after = _statement(_CUT).split(_CUT)
    if statement.startswith(before) and statement.endswith(after):
        return statement.removeprefix(before).removesuffix(after)
    return None


def _statement(tokens: str, extra: str = "") -> str:
    return (
        f"SELECT {INPUT}, {text.terms(TOKENS)} AS {TERMS}{extra} FROM "
        f"(SELECT struct(*) AS {INPUT}, {tokens} AS {TOKENS} FROM __THIS__)"
    )


def finishing(prediction: str, probability: str) -> SQLTransformer:
    """The last stage: the input's own columns, `prediction` and `probability`, and nothing else."""
    return SQLTransformer(
        statement=f"SELECT {INPUT}.*, {prediction} AS prediction, {probability} AS probability FROM __THIS__"
    )


def build(
    divided: dict[str, DataFrame],
    train_rows: int,
    num_features: int,
    folds: int,
    salt: str,
    in_memory: bool,
    for_trees: bool = True,
) -> FeatureTable:
    """Compute the features of all splits once; vocabulary and document frequencies come from train alone.

    Args:
        divided: clean tweets (id, text, label) by the name of the split.
        train_rows: how many rows the train split has.
        num_features: the most frequent unigrams and bigrams to keep, out of those in two train rows or more.
        folds: number of folds, drawn by hash of the text.
        salt: of that hash.
        in_memory: keep the table in executor memory (what does not fit goes to disk) instead of on disk alone.
        for_trees: with inner_statistics and inner_counts, which nobody else needs.
    """
    level = StorageLevel.MEMORY_AND_DISK if in_memory else StorageLevel.DISK_ONLY
    partitions = max(MIN_PARTITIONS, math.ceil(train_rows / ROWS_PER_PARTITION))
    rows = _in_order(_labelled(divided, folds, salt), partitions)
    tokenised = PipelineModel(tokenising(with_statistics=for_trees)).transform(rows).persist(level)

    train_terms = tokenised.where(F.col(f"{INPUT}.split") == "train").select(TERMS)
    vectorising = vectorisers(rows.sparkSession, vocabulary(train_terms, num_features), train_rows)
    made = [*([STATISTICS, COUNTS] if for_trees else []), FEATURES]
    table = PipelineModel(vectorising).transform(tokenised).select(f"{INPUT}.*", *made)
    table = table.withColumn("text", F.when(F.col("split") != "train", F.col("text"))).persist(level)
    table.count()
    tokenised.unpersist()
    return FeatureTable(table, vectorising, train_rows)


def vocabulary(train_terms: DataFrame, size: int) -> dict[str, int]:
    """The `size` terms that stand in most rows, two at least, and in how many; ties in alphabetical order.

    Spark's own CountVectorizer breaks ties by the order of its partitions, so that two runs could differ.
    """
    rows = F.count(F.lit(1)).alias("rows")
    counted = train_terms.select(F.explode(F.array_distinct(TERMS)).alias("term")).groupBy("term").agg(rows)
    kept = counted.where(F.col("rows") >= MIN_ROWS_PER_TERM).orderBy(F.desc("rows"), "term").limit(size)
    found = kept.toPandas()  # by Arrow: 131 thousand rows one by one take half a second more
    frequencies = dict(zip(found["term"], found["rows"].tolist(), strict=True))
    if not frequencies:
        raise DataError(f"the train split has no word that stands in {MIN_ROWS_PER_TERM} rows or more")
    return frequencies


def vectorisers(spark: SparkSession, frequencies: dict[str, int], train_rows: int) -> list[Transformer]:
    """Stages from terms to their presence (0 or 1), to TF-IDF, to TF-IDF of length 1.

    The first two are Spark's own models, made from what the vocabulary counted already: fitting IDF would count it
    again in a pass of its own, and `CountVectorizerModel.from_vocabulary` hands terms to Java one by one, which takes
    20 s for 120,000.

    Args:
        spark: the session.
        frequencies: in how many train rows each term stands.
        train_rows: of how many.
    """
    jvm = spark._jvm
    assert jvm is not None
    terms = jvm.java.util.regex.Pattern.compile("\n").split("\n".join(frequencies))
    counting = CountVectorizerModel._create_from_java_class("org.apache.spark.ml.feature.CountVectorizerModel", terms)
    counting.setInputCol(TERMS).setOutputCol(COUNTS).setBinary(True)
    in_rows = array("i", frequencies.values())
    # As org.apache.spark.mllib.feature.IDF has it: log((rows + 1) / (rows with the term + 1))
    weights = Vectors.dense(np.log((train_rows + 1) / (np.asarray(in_rows) + 1)))
    load = jvm.org.apache.spark.mllib.api.python.SerDe.loads
    in_rows = jvm.java.util.Arrays.stream(load(pickle.dumps(in_rows, 2))).asLongStream().toArray()
    idf = jvm.org.apache.spark.mllib.feature.IDFModel(load(pickle.dumps(weights, 2)), in_rows, train_rows)
    weighting = IDFModel._create_from_java_class("org.apache.spark.ml.feature.IDFModel", "idf", idf)
    weighting.setInputCol(COUNTS).setOutputCol("inner_weighted")
    return [counting, weighting, Normalizer(p=2.0, inputCol="inner_weighted", outputCol=FEATURES)]


def _in_order(rows: DataFrame, partitions: int) -> DataFrame:
    """Rows in partitions and an order that depend on the data alone: sums and samples then come out the same."""
    return rows.repartition(partitions, ORDER).sortWithinPartitions(ORDER, "id")


def _labelled(divided: dict[str, DataFrame], folds: int, salt: str) -> DataFrame:
    """All splits as one table with the name of the split, a hash of the text, and a fold drawn by that hash."""
    frames = [frame.withColumn("split", F.lit(name)) for name, frame in divided.items()]
    rows = reduce(DataFrame.unionByName, frames).withColumn(ORDER, splits.hashed(salt))
    fold = F.pmod(F.xxhash64(F.lit("fold"), ORDER), F.lit(folds)).cast("int")
    return rows.select("id", "text", "label", "split", ORDER, fold.alias(FOLD))
