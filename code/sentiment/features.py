"""From text to features: the stages of the registered pipeline, and the one table that all fits share."""

import math
import pickle
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark import StorageLevel
from pyspark.ml import Transformer
from pyspark.ml.feature import CountVectorizerModel, IDFModel, Normalizer, SQLTransformer, VectorAssembler
from pyspark.ml.linalg import VectorUDT
from pyspark.mllib.linalg import Vectors
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.types import StructField, StructType

from sentiment import opinion, terms, text
from sentiment.jobs import DataError
from sentiment.terms import Doubles, Vocabulary

INPUT = "inner_input"
TOKENS = "inner_tokens"
TERMS = "inner_terms"
COUNTS = "inner_counts"
FEATURES = "inner_features"
STATISTICS = "inner_statistics"
HASH = "inner_hash"
FOLD = "inner_fold"

_CUT = "<tokens>"

MIN_ROWS_PER_TERM = 2
# From six partitions on Spark adds up gradients in two stages, with a shuffle between them at every step of a fit:
# 1.3 million tweets in thirteen took 45 s for LR and SVC, in four 34 s.
ROWS_PER_PARTITION = 320_000
MIN_PARTITIONS = 2
BUCKETS_PER_PARTITION = 16
"""Of counted terms: so many that partitions get about as much each, though some first words are in many pairs."""


@dataclass(frozen=True)
class FeatureTable:
    """Every row's features, computed once, and the stages that compute them for a new text.

    Attributes:
        rows: id, text (null for train rows), label, split, inner_fold, inner_hash, inner_features (TF-IDF of length 1,
            sparse), for trees inner_statistics (dense) and inner_counts (sparse vector); persisted.
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
    figures = _statistics(f"{INPUT}.text") if with_statistics else {}
    extra = "".join(f", {sql} AS {name}" for name, sql in figures.items())
    stages: list[Transformer] = [SQLTransformer(statement=_statement(text.tokens("text"), extra))]
    if with_statistics:
        stages.append(VectorAssembler(inputCols=list(figures), outputCol=STATISTICS))
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


def _statistics(text_column: str) -> dict[str, str]:
    """SQL of each statistic by the name of its column."""
    names = [f"inner_statistic_{name}" for name in text.STATISTICS]
    return dict(zip(names, text.statistics(text_column, TOKENS), strict=True))


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
        folds: number of folds, drawn by hash of the tokens.
        salt: of that hash.
        in_memory: keep the table in executor memory (what does not fit goes to disk) instead of on disk alone.
        for_trees: with inner_statistics and inner_counts, which nobody else needs.
    """
    level = StorageLevel.MEMORY_AND_DISK if in_memory else StorageLevel.DISK_ONLY
    partitions = max(MIN_PARTITIONS, math.ceil(train_rows / ROWS_PER_PARTITION))
    rows = _in_order(_together(divided), partitions)
    tokenised = _tokenised(rows, folds, salt, for_trees).persist(level)
    frequencies = vocabulary(tokenised.where(F.col("split") == "train").select(TOKENS), num_features, partitions)
    vectorising = vectorisers(rows.sparkSession, frequencies, train_rows)
    weighting: Any = vectorising[1]
    known = Vocabulary(pa.array(frequencies, pa.string()), weighting.idf.toArray())
    table = _vectorised(tokenised, known, for_trees).persist(level)
    table.count()
    tokenised.unpersist()
    return FeatureTable(table, vectorising, train_rows)


def drawn(draw: str, parts: int) -> Column:
    """A whole number from 0 to `parts` - 1 by inner_hash; what `draw` names is independent of every other draw."""
    return F.pmod(F.xxhash64(F.lit(draw), HASH), F.lit(parts)).cast("int")


def wake_workers(spark: SparkSession) -> None:
    """Start the Python workers that `build` needs, which take seconds to come up."""
    cores = spark.sparkContext.defaultParallelism
    spark.range(cores, numPartitions=cores).mapInArrow(lambda batches: batches, "id long").count()


def vocabulary(train_tokens: DataFrame, size: int, partitions: int = MIN_PARTITIONS) -> dict[str, int]:
    """The `size` terms that stand in most rows, two at least, and in how many; ties in alphabetical order.

    Spark's own CountVectorizer breaks ties by the order of its partitions, so that two runs could differ.

    Args:
        train_tokens: one column, the tokens of each row with a space between.
        size: how many terms at most.
        partitions: in how many the counts are added up.
    """
    counting = partial(terms.counted_in_pieces, buckets=BUCKETS_PER_PARTITION * partitions)
    counted = train_tokens.mapInArrow(counting, "bucket int, packed binary").repartition(partitions, "bucket")
    adding = partial(terms.most_frequent, size=size, least=MIN_ROWS_PER_TERM)
    kept = counted.mapInArrow(adding, "term string, rows long").orderBy(F.desc("rows"), "term").limit(size)
    found = kept.toPandas()  # by Arrow: 131 thousand rows one by one take half a second more
    frequencies = dict(zip(found["term"], found["rows"].tolist(), strict=True))
    if not frequencies:
        raise DataError(f"the train split has no word that stands in {MIN_ROWS_PER_TERM} rows or more")
    return frequencies


def vectorisers(spark: SparkSession, frequencies: dict[str, int], train_rows: int) -> list[Transformer]:
    """Stages from terms to their counts, to TF-IDF, to TF-IDF of length 1.

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
    known = jvm.java.util.regex.Pattern.compile("\n").split("\n".join(frequencies))
    counting = CountVectorizerModel._create_from_java_class("org.apache.spark.ml.feature.CountVectorizerModel", known)
    counting.setInputCol(TERMS).setOutputCol(COUNTS)
    in_rows = array("i", frequencies.values())
    weights = Vectors.dense(_weights(frequencies, train_rows))
    load = jvm.org.apache.spark.mllib.api.python.SerDe.loads
    in_rows = jvm.java.util.Arrays.stream(load(pickle.dumps(in_rows, 2))).asLongStream().toArray()
    idf = jvm.org.apache.spark.mllib.feature.IDFModel(load(pickle.dumps(weights, 2)), in_rows, train_rows)
    weighting = IDFModel._create_from_java_class("org.apache.spark.ml.feature.IDFModel", "idf", idf)
    weighting.setInputCol(COUNTS).setOutputCol("inner_weighted")
    return [counting, weighting, Normalizer(p=2.0, inputCol="inner_weighted", outputCol=FEATURES)]


def _weights(frequencies: dict[str, int], train_rows: int) -> Doubles:
    """The inverse frequencies of org.apache.spark.mllib.feature.IDF, more for words of opinion.

    Spark's: log((rows + 1) / (rows with the term + 1)).
    """
    inverse: Doubles = np.log((train_rows + 1) / (np.array(list(frequencies.values())) + 1))
    return inverse * opinion.emphasis(frequencies)


def _tokenised(rows: DataFrame, folds: int, salt: str, with_statistics: bool) -> DataFrame:
    """The rows with inner_tokens, a space between, inner_hash of these, inner_fold; inner_statistics if wanted.

    Text is left to dev and test alone.
    """
    made = rows.withColumn(TOKENS, F.expr(text.tokens("text")))
    if with_statistics:
        figures = {name: F.expr(sql) for name, sql in _statistics("text").items()}
        made = VectorAssembler(inputCols=list(figures), outputCol=STATISTICS).transform(made.withColumns(figures))
        made = made.drop(*figures)
    shown = F.when(F.col("split") != "train", F.col("text"))
    made = made.withColumns({"text": shown, TOKENS: F.array_join(TOKENS, " ")})
    made = made.withColumn(HASH, F.xxhash64(F.lit(salt), TOKENS))
    return made.withColumn(FOLD, drawn("fold", folds))


def _vectorised(tokenised: DataFrame, known: Vocabulary, with_counts: bool) -> DataFrame:
    """The rows with inner_features, and inner_counts if wanted, in the place of inner_tokens."""
    made = [FEATURES, *([COUNTS] if with_counts else [])]
    size = len(known.terms)
    about = {"ml_attr": {"num_attrs": size}}  # else every fit looks at a row first
    vectors = [StructField(name, VectorUDT(), nullable=False, metadata=about) for name in made]
    kept = [field for field in tokenised.schema if field.name != TOKENS]

    def vectorised(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            found = known.weighted(batch[TOKENS])
            columns = {field.name: batch[field.name] for field in kept}
            columns[FEATURES] = found.vectors(batch.num_rows, size, found.weight)
            if with_counts:
                columns[COUNTS] = found.vectors(batch.num_rows, size, found.count.astype(float))
            yield pa.RecordBatch.from_pydict(columns)

    return tokenised.mapInArrow(vectorised, StructType([*kept, *vectors]))


def _in_order(rows: DataFrame, partitions: int) -> DataFrame:
    """Rows in partitions and an order that depend on the data alone: sums and samples then come out the same."""
    return rows.repartition(partitions, "text").sortWithinPartitions(F.xxhash64("text"), "id")


def _together(divided: dict[str, DataFrame]) -> DataFrame:
    """All splits as one table with the name of the split."""
    frames = [frame.select("id", "text", "label", F.lit(name).alias("split")) for name, frame in divided.items()]
    return reduce(DataFrame.unionByName, frames)
