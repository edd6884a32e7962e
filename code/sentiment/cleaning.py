"""From raw to clean tweets: one row per text, no text with both labels, and a contract that the data must meet."""

from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812

from sentiment import raw_tweets
from sentiment.jobs import DataError

CLEAN_COLUMNS = ["id", "text", "label"]
BOTH_LABELS = "both labels"
DUPLICATE = "duplicate"
UNUSABLE = [raw_tweets.WRONG_COLUMNS, raw_tweets.WRONG_TARGET, raw_tweets.NO_TEXT]
"""Reasons that count against the contract; the others set aside rows that are well formed."""

MIN_ROWS_PER_LABEL = 100
QUANTILES = [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0]


@dataclass(frozen=True)
class Contract:
    """What raw tweets must be like for a model to be trained on them.

    Attributes:
        max_rejected: largest share of rows that are unusable (wrong columns, unknown target, no text).
        min_minority_share: smallest share of the rarer label among the clean tweets.
    """

    max_rejected: float = 0.05
    min_minority_share: float = 0.2


def assess(rows: DataFrame) -> DataFrame:
    """Raw tweets with every row's fate: reason is null for one row of each text that has one label only.

    Which row of a text is kept depends on the ids and lines alone, never on their order.
    """
    usable = F.col("reason").isNull()
    # Unusable rows pass through beside the others. Asked for by a filter of their own, each line would be parsed again
    # for every column that the reason looks at: 1.6 million tweets took 140 s.
    same_text = Window.partitionBy("reason", F.when(usable, F.col("text")).otherwise(F.col("raw")))
    first = same_text.orderBy("id", F.xxhash64("raw"))
    judged = rows.select(
        "*",
        F.min("label").over(same_text).alias("lowest"),
        F.max("label").over(same_text).alias("highest"),
        F.row_number().over(first).alias("place"),
    )
    fate = (
        F.when(~usable, F.col("reason"))
        .when(F.col("lowest") != F.col("highest"), BOTH_LABELS)
        .when(F.col("place") > 1, DUPLICATE)
    )
    return judged.withColumn("reason", fate).drop("lowest", "highest", "place")


def clean(assessed: DataFrame) -> DataFrame:
    """Clean tweets (id, text, label) out of assessed raw ones."""
    return assessed.where(F.col("reason").isNull()).select(*CLEAN_COLUMNS)


def rejects(assessed: DataFrame) -> DataFrame:
    """The lines that were not kept: raw, reason."""
    return assessed.where(F.col("reason").isNotNull()).select("raw", "reason")


def report(assessed: DataFrame) -> dict[str, Any]:
    """Figures of the data: rows read, kept, rejected by reason, label balance, text length quantiles (characters)."""
    counts = {
        (row["reason"], row["label"]): row["count"]
        for row in assessed.groupBy("reason", F.when(F.col("reason").isNull(), F.col("label")).alias("label"))
        .count()
        .collect()
    }
    negative, positive = counts.get((None, 0.0), 0), counts.get((None, 1.0), 0)
    kept = negative + positive
    rejected = {reason: count for (reason, _), count in sorted(counts.items(), key=str) if reason is not None}
    lengths = clean(assessed).select(F.length("text").alias("characters"))
    quantiles = lengths.approxQuantile("characters", QUANTILES, 0.001) if kept else []
    return {
        "rows_read": sum(counts.values()),
        "rows_kept": kept,
        "rows_rejected": rejected,
        "labels": {"negative": negative, "positive": positive},
        "minority_share": round(min(negative, positive) / kept, 6) if kept else 0.0,
        "text_length_quantiles": {
            f"{share:.2f}": int(length) for share, length in zip(QUANTILES, quantiles, strict=False)
        },
    }


def check(figures: dict[str, Any], contract: Contract, source: str) -> None:
    """Raise DataError naming the first rule of the contract that `figures` breaks, and by how much."""
    read, kept = figures["rows_read"], figures["rows_kept"]
    rejected, labels = figures["rows_rejected"], figures["labels"]
    if not read:
        raise DataError(f"{source} is empty: want rows of six columns ({', '.join(raw_tweets.COLUMNS)})")
    malformed = rejected.get(raw_tweets.WRONG_COLUMNS, 0)
    if malformed / read > contract.max_rejected:  # a product of them may be a little less than it is by hand
        raise DataError(
            f"{source} breaks the rule 'expected columns': want six quoted columns ({', '.join(raw_tweets.COLUMNS)}) "
            f"without a header, found another number of them in {malformed:,} of {read:,} rows"
        )
    unusable = sum(rejected.get(reason, 0) for reason in UNUSABLE)
    if unusable / read > contract.max_rejected:
        by_reason = ", ".join(f"{reason} {rejected[reason]:,}" for reason in UNUSABLE if reason in rejected)
        raise DataError(
            f"{source} breaks the rule 'share of rejected rows' (--max-rejected): want at most "
            f"{contract.max_rejected:g}, found {unusable / read:.4f} ({by_reason} of {read:,} rows)"
        )
    for name, target in (("negative", raw_tweets.NEGATIVE), ("positive", raw_tweets.POSITIVE)):
        if not labels[name]:
            raise DataError(f"{source} has one label only: want both, found no {name} row (target {target})")
    rarer = min(labels.values())
    if rarer / kept < contract.min_minority_share:
        raise DataError(
            f"{source} breaks the rule 'label balance' (--min-minority-share): want at least "
            f"{contract.min_minority_share:g} for the rarer label, found {rarer / kept:.4f} ({rarer:,} of {kept:,})"
        )
    for name, count in labels.items():
        if count < MIN_ROWS_PER_LABEL:
            raise DataError(
                f"{source} breaks the rule 'rows of each label': want at least {MIN_ROWS_PER_LABEL}, "
                f"found {count:,} {name} rows"
            )
