"""Fit the classifiers on one shared feature table; what one fit needs of another is fitted once."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from pyspark import StorageLevel
from pyspark.ml import PipelineModel, Transformer
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.ml.functions import vector_to_array
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from sentiment import features, models, signals
from sentiment.features import FOLD, HASH, FeatureTable
from sentiment.progress import Progress

CV_FOLD = "inner_cv_fold"

FOLDS = 3
"""One fold of the training rows is held out for what learns from linear models' scores: their models never saw it.

Stacking (Wolpert 1992) on one fold instead of on all three costs a third of the fits, and trees a third of the rows.
Accuracy on dev and test rows, all three folds against the mean of each alone: forest 0.815 and 0.814, GBT 0.814 both.
That was with folds by hash of the text. By hash of the tokens each alone gives 0.813 and 0.811, with the same log loss.
"""

CALIBRATION_ROWS = 2_000
"""About so many training rows, a quarter of them at most, are kept from the SVC: its margins there are calibrated.

Two numbers are fitted to them, so that more would tell no more.
"""

PARALLEL_FITS = 2
"""Fits under way at once where several are independent: their many small Spark jobs leave cores idle alone."""


@dataclass(frozen=True)
class Options:
    """What is trained, and how."""

    names: list[str]
    seed: int = 42
    cv_folds: int = 0
    """Folds of the CrossValidator; 0: the grid is not searched."""


@dataclass
class Trained:
    """A fitted classifier.

    Attributes:
        name: one of models.NAMES.
        tail: stages from a row of the feature table to inner_prediction and inner_probability.
        pipeline: the whole model, text → prediction, probability.
        seconds: wall seconds of the fit, with its grid search and calibration, and with what ran beside it.
        params: the classifier's own settings, and what a grid search found.
        metrics: figures of the fit itself, by name.
    """

    name: str
    tail: list[Transformer]
    pipeline: PipelineModel
    seconds: float
    params: dict[str, Any]
    metrics: dict[str, float] = field(default_factory=dict)


class Trainer:
    """Fits classifiers on the same table, and keeps what later ones can use again."""

    def __init__(self, table: FeatureTable, options: Options, steps: Progress) -> None:
        self.table = table
        self.options = options
        self.steps = steps
        self.train = table.split("train")
        self._logistic: Any = None
        self._tree_rows: DataFrame | None = None
        self._tree_inputs: list[Transformer] = []
        self._shift: dict[str, float] = {}
        self._fits: dict[str, Future[Trained]] = {}

    def fit(self, name: str) -> Trained:
        """Fit one classifier by name; the linear ones are fitted side by side when the first of them is asked for.

        What trees need of the linear models is fitted before, in a step of its own.
        """
        if name not in self._fits:
            rows = self._rows_for_trees() if name in models.TREES else self.train
            names = self._side_by_side(name)
            with self.steps.step(" and ".join(names)), signals.spark_threads(len(names)) as beside:
                self._fits |= {each: beside.submit(self._fitted, each, rows) for each in names}
        return self._fits.pop(name).result()

    def _side_by_side(self, name: str) -> list[str]:
        """The classifiers that are fitted in one step with this one: a search keeps the cores busy by itself."""
        linear = [each for each in models.LINEAR if each in self.options.names]
        return linear if name in linear and not self.options.cv_folds else [name]

    def _fitted(self, name: str, rows: DataFrame) -> Trained:
        begun = self.steps.elapsed()
        spec = models.spec(name, self.table.train_rows, self.options.seed)
        estimator, found = self._tuned(spec, rows)
        if name == models.LINEAR_SVC:
            tail = self._calibrated(estimator)
        else:
            fitted = estimator.fit(rows)
            tail = [*(self._tree_inputs if name in models.TREES else []), fitted]
            if name == models.LOGISTIC_REGRESSION:
                self._logistic = (estimator, fitted)
        params = {param: estimator.getOrDefault(param) for param in spec.shown} | found
        metrics = dict(self._shift) if name in models.TREES else {}
        return Trained(name, tail, self._pipeline(name, tail), self.steps.elapsed() - begun, params, metrics)

    def _tuned(self, spec: models.Spec, rows: DataFrame) -> tuple[Any, dict[str, Any]]:
        """The estimator with the grid's winner set, and what the search found."""
        folds = self.options.cv_folds
        if not folds:
            return spec.estimator, {}
        builder = ParamGridBuilder()
        for name, values in spec.grid.items():
            builder.addGrid(spec.estimator.getParam(name), values)
        grid = builder.build()
        search = CrossValidator(
            estimator=spec.estimator,
            estimatorParamMaps=grid,
            evaluator=BinaryClassificationEvaluator(
                rawPredictionCol=spec.estimator.getRawPredictionCol(), metricName="areaUnderROC"
            ),
            numFolds=folds,
            foldCol=CV_FOLD,
            parallelism=PARALLEL_FITS,
        )
        figures = search.fit(rows.withColumn(CV_FOLD, features.drawn("cv", folds))).avgMetrics
        best = max(range(len(grid)), key=lambda place: figures[place])
        found: dict[str, Any] = {f"cv_{param.name}": value for param, value in grid[best].items()}
        return spec.estimator.copy(grid[best]), found | {"cv_folds": folds, "cv_roc_auc": round(figures[best], 6)}

    def _calibrated(self, estimator: Any) -> list[Transformer]:
        """The SVC, and from its margin to a probability: fitted on margins of rows that it never saw."""
        train, held = self._kept_for_calibration()
        svc = estimator.fit(train)
        margins = svc.transform(held).select("label", models.MARGIN).persist()
        calibrator = models.calibrator().fit(margins)
        margins.unpersist()
        return [svc, calibrator]

    def _kept_for_calibration(self) -> tuple[DataFrame, DataFrame]:
        """The training rows that the SVC learns from, and those that it is calibrated on."""
        share = min(CALIBRATION_ROWS / self.table.train_rows, 0.25)
        kept = features.drawn("calibration", 1_000_000) < round(share * 1_000_000)
        return self.train.where(~kept), self.train.where(kept)

    def _rows_for_trees(self) -> DataFrame:
        """Training rows with tree features whose linear scores are out of fold; made once.

        The pipeline itself holds the linear models refitted on all training rows (`_tree_inputs`).
        """
        if self._tree_rows is not None:
            return self._tree_rows
        if self._logistic is None:
            with self.steps.step("logistic regression for the trees"):
                estimator = models.logistic_regression(self.table.train_rows)
                self._logistic = (estimator, estimator.fit(self.train))
        estimator, refitted = self._logistic
        with self.steps.step("out-of-fold linear scores"), signals.spark_threads(1) as beside:
            whole = beside.submit(models.naive_bayes().fit, self.train)

            train, held = self._one_fold_held_out()
            bayes = beside.submit(models.naive_bayes().fit, train)
            inputs = models.tree_inputs(estimator.fit(train), bayes.result())
            scored = PipelineModel(inputs).transform(held).select("label", HASH, models.TREE_FEATURES)
            self._tree_rows = scored.persist(StorageLevel.DISK_ONLY)
            scored.count()
            self._tree_inputs = models.tree_inputs(refitted, whole.result())
            self._shift = self._measured_shift()
        return self._tree_rows

    def _measured_shift(self) -> dict[str, float]:
        """How far the refitted linear margin on dev lies from the out-of-fold margin that the trees were trained on."""
        dev = PipelineModel(self._tree_inputs).transform(self.table.split("dev"))
        assert self._tree_rows is not None
        figures: dict[str, float] = {}
        for name, rows in (("out_of_fold", self._tree_rows), ("refitted", dev)):
            margin = vector_to_array(F.col(models.TREE_FEATURES))[0]
            mean, spread = rows.select(F.avg(margin), F.stddev(margin)).first() or (0.0, 0.0)
            figures |= {f"linear_margin_mean_{name}": mean, f"linear_margin_sd_{name}": spread}
        return figures

    def _one_fold_held_out(self) -> tuple[DataFrame, DataFrame]:
        """The training rows without one fold, and those of that fold."""
        return self.train.where(F.col(FOLD) != 0), self.train.where(F.col(FOLD) == 0)

    def _pipeline(self, name: str, tail: list[Transformer]) -> PipelineModel:
        front = features.tokenising(with_statistics=name in models.TREES)
        last = features.finishing(models.PREDICTION, models.PROBABILITY)
        return PipelineModel([*front, *self.table.vectorising, *tail, last])
