"""The four classifiers: their estimators, grids, and what each is trained on."""

from dataclasses import dataclass
from typing import Any

from pyspark.ml import Transformer
from pyspark.ml.classification import (
    GBTClassifier,
    LinearSVC,
    LogisticRegression,
    NaiveBayes,
    RandomForestClassifier,
)
from pyspark.ml.feature import VectorAssembler, VectorSlicer

from sentiment.features import COUNTS, FEATURES, STATISTICS

LOGISTIC_REGRESSION = "logisticregression"
LINEAR_SVC = "linearsvc"
RANDOM_FOREST = "randomforest"
GBT = "gbt"
NAMES = [LOGISTIC_REGRESSION, LINEAR_SVC, RANDOM_FOREST, GBT]
LINEAR = [LOGISTIC_REGRESSION, LINEAR_SVC]
TREES = [RANDOM_FOREST, GBT]

TREE_FEATURES = "inner_tree_features"
PREDICTION = "inner_prediction"
PROBABILITY = "inner_probability"
MARGIN = "inner_margin"

LOGISTIC_C = 2.0
SVC_C = 0.5
"""Inverse strength of L2, as in scikit-learn: Spark's regParam is 1 / (C x rows), so that it fits data of any size."""


_LINEAR_SHOWN = ("regParam", "maxIter", "standardization")


@dataclass(frozen=True)
class Spec:
    """One classifier: its estimator, the grid that CrossValidator searches, and the parameters that a run logs."""

    estimator: Any
    grid: dict[str, list[float]]
    shown: tuple[str, ...]


def spec(name: str, train_rows: int, seed: int) -> Spec:
    """The estimator of a classifier for that many training rows."""

    def strength(c: float) -> float:
        return 1.0 / (c * train_rows)

    if name == LOGISTIC_REGRESSION:
        logistic = logistic_regression(train_rows)
        return Spec(logistic, {"regParam": [strength(c) for c in (0.5, LOGISTIC_C, 8.0)]}, _LINEAR_SHOWN)
    if name == LINEAR_SVC:
        svc = LinearSVC(
            featuresCol=FEATURES,
            rawPredictionCol=MARGIN,
            predictionCol="inner_margin_prediction",
            regParam=strength(SVC_C),
            maxIter=15,
            tol=1e-4,
            standardization=False,
        )
        return Spec(svc, {"regParam": [strength(c) for c in (0.2, SVC_C, 1.0)]}, _LINEAR_SHOWN)
    if name == RANDOM_FOREST:
        # Half of the columns at each split: Spark's own choice, the square root of 14, often leaves out both scores.
        forest = RandomForestClassifier(
            numTrees=40, maxDepth=8, minInstancesPerNode=20, subsamplingRate=0.7, featureSubsetStrategy="0.5"
        )
        shown = ("numTrees", "maxDepth", "maxBins", "subsamplingRate", "featureSubsetStrategy")
        return Spec(_tree(forest, seed), {"maxDepth": [6, 8, 10]}, shown)
    gbt = GBTClassifier(maxIter=20, maxDepth=4, stepSize=0.2, minInstancesPerNode=40)
    return Spec(_tree(gbt, seed), {"maxDepth": [3, 4, 5]}, ("maxIter", "maxDepth", "maxBins", "stepSize"))


def _tree(estimator: Any, seed: int) -> Any:
    estimator.setFeaturesCol(TREE_FEATURES).setRawPredictionCol("inner_raw").setProbabilityCol(PROBABILITY)
    return estimator.setPredictionCol(PREDICTION).setMaxBins(64).setSeed(seed)


def logistic_regression(train_rows: int) -> LogisticRegression:
    """Logistic regression on the TF-IDF features with plain L2."""
    return LogisticRegression(
        featuresCol=FEATURES,
        rawPredictionCol="inner_raw",
        probabilityCol=PROBABILITY,
        predictionCol=PREDICTION,
        regParam=1.0 / (LOGISTIC_C * train_rows),
        maxIter=25,
        tol=1e-5,
        standardization=False,
    )


def calibrator() -> LogisticRegression:
    """From a margin to a probability (Platt 1999): logistic regression on the margin alone."""
    return LogisticRegression(
        featuresCol=MARGIN,
        rawPredictionCol="inner_raw",
        probabilityCol=PROBABILITY,
        predictionCol=PREDICTION,
        regParam=1e-6,
        maxIter=50,
        standardization=False,
    )


def naive_bayes() -> NaiveBayes:
    """Multinomial naive Bayes on the presence of terms: a second linear view for the trees, one pass to fit."""
    return NaiveBayes(
        featuresCol=COUNTS,
        rawPredictionCol="inner_bayes_raw",
        probabilityCol="inner_bayes_probability",
        predictionCol="inner_bayes_prediction",
    )


def tree_inputs(logistic: Any, bayes: Any) -> list[Transformer]:
    """Stages from features, counts and statistics to the few dense columns that trees see.

    Args:
        logistic: a fitted LogisticRegressionModel on the features.
        bayes: a fitted NaiveBayesModel on the counts.
    """
    linear = logistic.copy()
    linear.setRawPredictionCol("inner_linear_raw").setProbabilityCol("inner_linear_probability")
    linear.setPredictionCol("inner_linear_prediction")
    return [
        linear,
        bayes,
        VectorSlicer(inputCol="inner_linear_raw", outputCol="inner_linear_margin", indices=[1]),
        VectorSlicer(inputCol="inner_bayes_probability", outputCol="inner_bayes_score", indices=[1]),
        VectorAssembler(inputCols=["inner_linear_margin", "inner_bayes_score", STATISTICS], outputCol=TREE_FEATURES),
    ]
