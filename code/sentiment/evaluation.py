"""How good a classifier is on rows that it was not trained on: figures, mistakes and the profile of its scores."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.ml import PipelineModel
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812
from sklearn import metrics

from sentiment import models, text
from sentiment.datasets import DEV, TEST
from sentiment.drift import bins
from sentiment.features import FeatureTable
from sentiment.scores import Scores
from sentiment.training import Trained

DECILES = [place / 10 for place in range(11)]
TOP_TOKENS = 50
MISTAKES = 10


def score(trained: Trained, table: FeatureTable) -> dict[str, Scores]:
    """Score the dev and the test split of the feature table by a fitted classifier, each in the table's own order."""
    rows = PipelineModel(trained.tail).transform(table.rows.where(F.col("split").isin(DEV, TEST)))
    probability = vector_to_array(F.col(models.PROBABILITY))[1].alias("score")
    wanted: list[Any] = ["split", "id", "text", "label", probability, F.col(models.PREDICTION).alias("prediction")]
    collected = rows.select(*wanted).toPandas()
    scores = {}
    for name in (DEV, TEST):
        part = collected[collected["split"] == name]
        figures = (part[column].to_numpy(float) for column in ("label", "score", "prediction"))
        scores[name] = Scores(part["id"].tolist(), part["text"].tolist(), *figures)
    return scores


def figures(scores: Scores) -> dict[str, float]:
    """accuracy, f1, precision and recall of the positive class, roc_auc, pr_auc, log_loss, rows."""
    labels, predictions = scores.labels, scores.predictions
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        labels, predictions, average="binary", zero_division=0.0
    )
    return {
        "accuracy": float(metrics.accuracy_score(labels, predictions)),
        "f1": float(f1),
        "precision": float(precision),
        "recall": float(recall),
        "roc_auc": float(metrics.roc_auc_score(labels, scores.probabilities)),
        "pr_auc": float(metrics.average_precision_score(labels, scores.probabilities)),
        "log_loss": float(metrics.log_loss(labels, np.clip(scores.probabilities, 1e-15, 1 - 1e-15))),
        "rows": float(len(labels)),
    }


def most_confident_mistakes(scores: Scores) -> dict[str, list[Any]]:
    """The ten wrong predictions furthest from 0.5, as columns id, text, label, prediction, score."""
    wrong = np.flatnonzero(scores.predictions != scores.labels)
    order = sorted(wrong, key=lambda row: (-abs(scores.probabilities[row] - 0.5), scores.ids[row]))[:MISTAKES]
    return {
        "id": [scores.ids[row] for row in order],
        "text": [scores.texts[row] for row in order],
        "label": [float(scores.labels[row]) for row in order],
        "prediction": [float(scores.predictions[row]) for row in order],
        "score": [round(float(scores.probabilities[row]), 6) for row in order],
    }


@dataclass(frozen=True)
class TokenCounts:
    """How many of `texts` texts hold each of the most frequent tokens, and how many different tokens they have in all.

    Attributes:
        texts: how many.
        distinct: the sum over the texts of the number of their different tokens.
        top: texts that hold the token, by token, the most frequent first.
    """

    texts: int
    distinct: int
    top: dict[str, int]


def profile(scores: Scores, tokens: TokenCounts) -> dict[str, Any]:
    """What the model saw and said on the test split, for drift to be measured against later.

    Returns:
        score_deciles and text_length_deciles (11 values from minimum to maximum; characters),
        positive_share, top_tokens (share of the texts that hold the token), rows; format, and bins (see drift.bins).
    """
    lengths = np.array([len(content) for content in scores.texts], dtype=np.float64)
    return {
        "format": bins.FORMAT,
        "rows": len(scores.labels),
        "positive_share": round(float(np.mean(scores.predictions)), 6),
        "score_deciles": [round(float(value), 6) for value in np.quantile(scores.probabilities, DECILES)],
        "text_length_deciles": [float(value) for value in np.quantile(lengths, DECILES)],
        "top_tokens": {token: round(count / tokens.texts, 6) for token, count in tokens.top.items()},
        "bins": {
            bins.SCORE: bins.deciles(scores.probabilities),
            bins.LENGTH: bins.deciles(lengths),
            bins.TOKENS: bins.of_tokens(tokens.top, tokens.distinct),
        },
    }


def top_tokens(rows: DataFrame, texts: int) -> TokenCounts:
    """The fifty tokens that stand in most texts.

    Args:
        rows: with column text.
        texts: how many rows these are.
    """
    tokens = rows.select(F.explode(F.expr(text.distinct_tokens("text"))).alias("token"))
    counted = tokens.groupBy("token").count().toPandas()
    counts = dict(zip(counted["token"], counted["count"].tolist(), strict=True))
    ordered = sorted(counts, key=lambda token: (-counts[token], token))
    return TokenCounts(texts, sum(counts.values()), {token: counts[token] for token in ordered[:TOP_TOKENS]})
