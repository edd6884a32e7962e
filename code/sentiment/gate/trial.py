"""The trial: both versions loaded from the registry, scored on the same rows, and timed in turns."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, SparkSession

from sentiment import registry, tracking
from sentiment.gate import comparison, validation
from sentiment.gate.versions import split_differences
from sentiment.jobs import DataError
from sentiment.registry import ODD_TEXTS
from sentiment.roles import CHALLENGER, CHAMPION
from sentiment.scores import Array, Scores
from sentiment.serving.models import PROBES, Copies, Registry, UnfitModelError
from sentiment.serving.scoring import Loaded
from sentiment.serving.settings import SPARK, ModelChoice

PLACE = "inner_place"
BATCH_ROWS = 1_000
WARM_UP_ROUNDS = 2
ROUNDS = 24

Say = Callable[[str, str], Any]
"""Called with a role (empty: neither version) and what is done; gives a context manager around the step."""


@dataclass(frozen=True)
class Request:
    """What is to be tried.

    Attributes:
        mlflow_uri, model: where the versions are registered.
        challenger: its version.
        champion: its version; empty: there is none.
        location: folder of splits, or its test/ folder.
        splittings: how the training rows of each version were divided, by its number.
        load: whether anything is loaded; without, only the validation data are looked at.
        insist: score rows although a version may have trained on them.
        max_latency_ratio: above which one more set of batches is timed.
    """

    mlflow_uri: str
    model: str
    challenger: str
    champion: str
    location: str
    splittings: dict[str, dict[str, str]]
    load: bool = True
    insist: bool = False
    max_latency_ratio: float = 1.5

    @property
    def versions(self) -> dict[str, str]:
        """The numbers of the versions by role, the champion first."""
        both = {CHAMPION: self.champion, CHALLENGER: self.challenger}
        return {role: number for role, number in both.items() if number}


@dataclass
class Trial:
    """What was found.

    Attributes:
        test: folder of the validation rows; empty: the trial ended before it had read them.
        splitting: how they were divided from the training rows.
        digest: of the rows, as training logs its own.
        counts: negative and positive rows.
        unfit: why a version could not be loaded or scored, by role.
        probes: predictions for the probe texts, by role.
        seconds: of scoring one batch of `batch_rows` rows, one figure a round, by role.
        batch_rows: rows of such a batch.
        rows: id, text, label, one flag per slice, and <role>_prediction, <role>_score of each role that could be
            scored; None: nothing was scored.
    """

    test: str = ""
    splitting: dict[str, Any] = field(default_factory=dict)
    digest: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    unfit: dict[str, str] = field(default_factory=dict)
    probes: dict[str, list[float]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    batch_rows: int = 0
    rows: pd.DataFrame | None = None

    def has(self, role: str) -> bool:
        """Whether this role's version was scored."""
        return self.rows is not None and f"{role}_score" in self.rows.columns

    def column(self, name: str) -> Array:
        """A column of the rows as doubles."""
        assert self.rows is not None
        return self.rows[name].to_numpy(dtype=np.float64)

    def scores(self, role: str) -> Scores:
        """The rows as one version scored them."""
        assert self.rows is not None
        ids, texts = self.rows["id"].tolist(), self.rows["text"].tolist()
        said = self.column(f"{role}_score"), self.column(f"{role}_prediction")
        return Scores(ids, texts, self.column("label"), *said)

    def right(self, role: str) -> comparison.Flags:
        """For each row whether one version has it right."""
        return np.equal(self.column(f"{role}_prediction"), self.column("label"))


def run(spark: SparkSession, request: Request, say: Say, keep: Callable[[Trial], None] = lambda _: None) -> Trial:
    """Read the rows, load both versions, score, time.

    Args:
        spark: the session.
        request: what to try.
        say: is told each step before it begins.
        keep: is given what is known once the rows are read, before anything is loaded.

    Raises:
        DataError: the validation data cannot be used, or a store failed. What is wrong with a version is in the result.
    """
    with say("", f"reading the validation data at {request.location}"):
        data = validation.read(spark, request.location)
    trial = Trial(data.test, data.splitting, data.digest, data.counts)
    keep(trial)
    strange = [split_differences(given, data.splitting) for given in request.splittings.values()]
    if not request.load or (any(strange) and not request.insist):
        return trial
    with registry.scratch_folder(spark) as scratch:
        _try_versions(spark, request, data, trial, scratch, say)
    return trial


def _try_versions(
    spark: SparkSession, request: Request, data: validation.Validation, trial: Trial, scratch: str, say: Say
) -> None:
    """Load, score and time the versions; what is found goes into the trial."""
    scored = _texts(spark, data.rows["text"].tolist())
    try:
        models = {}
        for role, number in request.versions.items():
            try:
                with say(role, f"fetching and loading the {role}, version {number}"):
                    models[role] = _load(spark, request, number, f"{scratch}/{role}")
                with say(role, f"scoring {len(data.rows):,} rows with the {role}"):
                    _score(scored, models[role], role, data.rows, trial)
            except UnfitModelError as error:
                trial.unfit[role] = str(error)
                models.pop(role, None)
        trial.rows = data.rows
        if CHALLENGER in models:
            _time(spark, request, models, trial, say)
    finally:
        scored.unpersist()


def _texts(spark: SparkSession, texts: list[str]) -> DataFrame:
    """The validation texts, then the probe texts and the odd ones, numbered."""
    numbered = pd.DataFrame({PLACE: range(len(texts) + len(PROBES) + len(ODD_TEXTS))})
    numbered["text"] = pd.Series([*texts, *PROBES, *ODD_TEXTS], dtype=object)
    frame = spark.createDataFrame(numbered, f"{PLACE} int, text string").persist()
    frame.count()
    return frame


def _load(spark: SparkSession, request: Request, number: str, scratch: str) -> Loaded:
    choice = ModelChoice(request.mlflow_uri, request.model, version=number)
    copies = Copies(spark, scratch, choice)
    try:
        copies.add(Registry(tracking.client(request.mlflow_uri), choice), number)
    except DataError as error:
        raise UnfitModelError(str(error)) from error
    return copies.load(request.model, number, SPARK)


def _score(scored: DataFrame, model: Loaded, role: str, rows: pd.DataFrame, trial: Trial) -> None:
    """Add what the model says to `rows` and to the trial; UnfitModelError unless all of it can be used."""
    try:
        said = model.apply(scored).select(PLACE, "prediction", "score").toPandas().sort_values(PLACE)
    except UnfitModelError:
        raise
    except Exception as error:
        raise UnfitModelError(f"version {model.version} cannot score: {tracking.java_line(error)}") from error
    texts = [*rows["text"], *PROBES, *ODD_TEXTS]
    if said[PLACE].tolist() != list(range(len(texts))):
        raise UnfitModelError(f"version {model.version} gave {len(said)} rows for {len(texts)} texts")
    predictions, scores = (said[name].to_numpy(dtype=np.float64) for name in ("prediction", "score"))
    usable = np.isin(predictions, (0.0, 1.0)) & (scores >= 0) & (scores <= 1)
    if not usable.all():
        place = int(np.argmin(usable))
        raise UnfitModelError(
            f"version {model.version} gave prediction {predictions[place]:g}, score {scores[place]:g} "
            f"for {str(texts[place])[:30]!r}; want 0 or 1 and a probability"
        )
    count = len(rows)
    rows[f"{role}_prediction"], rows[f"{role}_score"] = predictions[:count], scores[:count]
    trial.probes[role] = predictions[count : count + len(PROBES)].tolist()


def _time(spark: SparkSession, request: Request, models: dict[str, Loaded], trial: Trial, say: Say) -> None:
    """Seconds per micro-batch of each model, in turns; once more when the challenger seems too slow."""
    assert trial.rows is not None
    texts = trial.rows["text"].head(BATCH_ROWS)
    trial.batch_rows = len(texts)
    frame = pd.DataFrame({PLACE: range(len(texts)), "text": texts.astype(object)})
    batch = spark.createDataFrame(frame, f"{PLACE} int, text string").persist()
    try:
        batch.count()
        with say(CHALLENGER, f"timing batches of {len(texts):,} rows"):
            _rounds(batch, models, WARM_UP_ROUNDS)
            trial.seconds = _rounds(batch, models, ROUNDS)
        if len(models) == 2 and latency_ratio(trial) > request.max_latency_ratio:
            with say(CHALLENGER, "timing them once more: the challenger seems slow, which noise may explain"):
                again = _rounds(batch, models, ROUNDS)
            trial.seconds = {role: [*found, *again[role]] for role, found in trial.seconds.items()}
    except Exception as error:  # noqa: BLE001  whatever stops a model from scoring a batch makes it unfit
        trial.unfit[CHALLENGER] = f"version {request.challenger} cannot score batches: {tracking.java_line(error)}"
    finally:
        with contextlib.suppress(Exception):
            batch.unpersist()


def _rounds(batch: DataFrame, models: dict[str, Loaded], rounds: int) -> dict[str, list[float]]:
    """Whatever slows the machine down for a while meets both: each round times both, the order alternates."""
    seconds: dict[str, list[float]] = {role: [] for role in models}
    for number in range(rounds):
        for role in sorted(models, reverse=bool(number % 2)):
            began = time.perf_counter()
            models[role].apply(batch).write.format("noop").mode("overwrite").save()
            seconds[role].append(time.perf_counter() - began)
    return seconds


def latency_ratio(trial: Trial) -> float:
    """The challenger's 95th percentile of a batch's seconds over the champion's."""
    return comparison.slow_end(trial.seconds[CHALLENGER]) / comparison.slow_end(trial.seconds[CHAMPION])
