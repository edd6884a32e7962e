"""What the suite's linear models say, computed in the driver: Spark cuts texts into tokens, numpy does the sums.

Spark's own stages from tokens on (pairs, look-up, weights, length, margin, probability) each turn every row's vector
into a row of a table and back, and are compiled anew in every JVM. The same sums here, over a whole batch at once,
take a tenth of the CPU.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.ml import PipelineModel, Transformer
from pyspark.ml.classification import LinearSVCModel, LogisticRegressionModel
from pyspark.ml.feature import CountVectorizerModel, IDFModel, Normalizer, SQLTransformer
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from sentiment import features, models
from sentiment.progress import log
from sentiment.terms import Doubles, Vocabulary

TOLERANCE = 1e-12
"""How far a score may lie from Spark's: outputs are compared to nine decimals."""

_FRONT = (SQLTransformer, CountVectorizerModel, IDFModel, Normalizer)
_TAILS = ((LogisticRegressionModel,), (LinearSVCModel, LogisticRegressionModel))


@dataclass(frozen=True)
class Linear:
    """A pipeline of `features` and `models` that ends in LR, or in an SVC with its calibrator.

    Attributes:
        tokens: SQL from text to its tokens.
        vocabulary: the terms and their IDF.
        coefficients: of the linear model, per term.
        intercept: of the linear model.
        calibrator: coefficient and intercept from the margin to the log-odds.
    """

    tokens: str
    vocabulary: Vocabulary
    coefficients: Doubles
    intercept: float
    calibrator: tuple[float, float]

    def scores(self, tokens: pa.ChunkedArray) -> tuple[Doubles, Doubles]:
        """Prediction (0 or 1) and P(positive) of each row, as the Spark pipeline gives them.

        Scores agree to the last digits that the two languages' exp() have in common.

        Args:
            tokens: of each row, as in `with_tokens`.
        """
        whole, half = tokens.combine_chunks(), len(tokens) // 2
        with ThreadPoolExecutor() as threads:  # numpy, pandas and pyarrow let go of the interpreter meanwhile
            margin = np.concatenate(list(threads.map(self._margins, (whole[:half], whole[half:]))))
        slope, shift = self.calibrator
        odds = slope * margin + shift
        with np.errstate(over="ignore"):
            return (odds > 0).astype(float), 1 - 1 / (1 + np.exp(odds))

    def _margins(self, tokens: pa.Array) -> Doubles:
        found = self.vocabulary.weighted(tokens)
        margins = np.bincount(found.row, found.weight * self.coefficients[found.term], len(tokens))
        return np.asarray(margins + self.intercept, float)


def checked(pipeline: PipelineModel, version: str, scored: Callable[[], DataFrame]) -> Linear | None:
    """The same model as numbers; None, and a line in the log, where Spark says something else.

    Args:
        pipeline: any model.
        version: its name for the log.
        scored: gives rows as Spark scores them, as for `agrees`.
    """
    numbers = of(pipeline)
    if not numbers and _is_of_another_release(pipeline):
        why = "another release made it, train again"
        log.info("version %s is scored by Spark's stages, which take longer: %s", version, why)
    if not numbers or agrees(numbers, scored()):
        return numbers
    log.warning("version %s is scored by Spark alone: sums in the driver differ from Spark's", version)
    return None


def of(pipeline: PipelineModel) -> Linear | None:
    """The same model as numbers; None for a pipeline of any other make, which Spark itself has to run."""
    stages: list[Any] = list(pipeline.stages)
    tokens = features.tokens_in(stages[0].getStatement()) if _is_usual(stages) else None
    if not tokens:
        return None
    counting, weighting, tail = stages[1], stages[2], stages[len(_FRONT) : -1]
    calibrator = (1.0, 0.0)
    if len(tail) == 2:  # fitted on both margins, of which the first is the second one's opposite
        negative, positive = tail[1].coefficients.toArray()
        calibrator = (positive - negative, tail[1].intercept)
    idf = weighting.idf.toArray()
    weights = (tail[0].coefficients.toArray(), tail[0].intercept, calibrator)
    if not all(np.isfinite(each).all() for each in (idf, *weights)):
        return None
    return Linear(tokens, Vocabulary(pa.array(counting.vocabulary, pa.string()), idf), *weights)


def _is_of_another_release(pipeline: PipelineModel) -> bool:
    """Whether a model is made of our own stages, and only makes other terms of a text than `features` does now."""
    stages: list[Any] = list(pipeline.stages)
    return _is_usual(stages) and features.tokens_in(stages[0].getStatement()) is None


def _is_usual(stages: list[Any]) -> bool:
    """Whether a pipeline is made as `features` and `models` make one for LR and SVC, however it cuts texts."""
    front, tail, last = stages[: len(_FRONT)], stages[len(_FRONT) : -1], stages[-1:]
    if not _are(front, _FRONT) or not any(_are(tail, kinds) for kinds in _TAILS) or not _are(last, (SQLTransformer,)):
        return False
    _, counting, _, scaling = front
    regression = tail[-1]
    finishing = features.finishing(models.PREDICTION, models.PROBABILITY)
    return (
        counting.getInputCol() == features.TERMS
        and all(one.getOutputCol() == other.getInputCol() for one, other in pairwise(front[1:]))
        and tail[0].getFeaturesCol() == scaling.getOutputCol()
        and (len(tail) == 1 or regression.getFeaturesCol() == tail[0].getRawPredictionCol())
        and (counting.getBinary(), counting.getMinTF(), scaling.getP()) == (False, 1.0, 2.0)
        and (regression.numClasses, regression.getThreshold()) == (2, 0.5)
        and regression.getPredictionCol() == models.PREDICTION
        and regression.getProbabilityCol() == models.PROBABILITY
        and last[0].getStatement() == finishing.getStatement()
    )


def agrees(model: Linear, scored: DataFrame) -> bool:
    """Whether the model says of rows what Spark says: text, prediction, score."""
    rows = with_tokens(scored, model.tokens).select("prediction", "score", features.TOKENS).collect()
    tokens = pa.array([row[features.TOKENS] for row in rows], pa.string())
    prediction, score = model.scores(pa.chunked_array([tokens]))
    return bool(
        np.array_equal(prediction, [row["prediction"] for row in rows])
        and np.allclose(score, [row["score"] for row in rows], rtol=0, atol=TOLERANCE)
    )


def with_tokens(rows: DataFrame, tokens: str) -> DataFrame:
    """Rows with text, and beside their own columns features.TOKENS: the tokens with a space between, which none holds.

    Args:
        rows: with text.
        tokens: the model's SQL for them.
    """
    return rows.withColumn(features.TOKENS, F.expr(f"array_join({tokens}, ' ')"))


def _are(stages: Sequence[Any], kinds: Sequence[type[Transformer]]) -> bool:
    return len(stages) == len(kinds) and all(map(isinstance, stages, kinds))
