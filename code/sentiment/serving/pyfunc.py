"""Any MLflow model as a scorer: sent to the executors once, loaded once in each of their Python workers."""

import atexit
import shutil
import tempfile
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import mlflow
import numpy as np
import pandas as pd
from pyspark import SparkFiles
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.pandas.functions import pandas_udf

from sentiment import whole_folders
from sentiment.jobs import one_line, without_secrets
from sentiment.lines import printable
from sentiment.serving.parsing import REASON

Scores: TypeAlias = Callable[[list[str]], np.ndarray]
MAX_REASON = 100
"""Bytes; a record of dead letters has room for twice as many, which quotes take in JSON, see ROOM_BESIDE_PAYLOAD."""

_KNOWN = ["good", "bad"]
"""Texts that a model takes, or it is at fault."""


def scorer(spark: SparkSession, location: str, key: str) -> Callable[[DataFrame], DataFrame]:
    """Any MLflow model, sent to the executors once and loaded once in each of their Python workers.

    Rows with a `reason` get one where the model raises on their text.

    Args:
        spark: the session.
        location: of the model; what lies there never changes.
        key: a name for it.
    """
    archive = _archive(spark, location, key)

    @pandas_udf("prediction DOUBLE, score DOUBLE, error STRING")  # type: ignore[call-overload, untyped-decorator]
    def scored(texts: pd.Series) -> pd.DataFrame:
        return predicted(archive, texts)

    def apply(rows: DataFrame) -> DataFrame:
        said = rows.withColumn("inner_said", scored("text"))
        reason = F.coalesce(REASON, "inner_said.error").alias(REASON)
        columns = [reason if name == REASON else F.col(name) for name in rows.columns]
        return said.select(*columns, "inner_said.prediction", "inner_said.score")

    return apply


@cache
def _archive(spark: SparkSession, location: str, key: str) -> str:
    """Send a model to the executors, and give its name there; Spark forgets none that it was given.

    Executors unpack it beside the application's other files, which Spark removes with the application.
    """
    folder = Path(tempfile.mkdtemp(prefix="sentiment-pyfunc-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    whole_folders.download(spark, location, folder / "model")
    # Spark takes no second file of the same name, and another copy of the same version may be loaded.
    archive = Path(shutil.make_archive(str(folder / f"{key}-{uuid.uuid4().hex[:8]}"), "zip", folder / "model"))
    shutil.rmtree(folder / "model")
    spark.sparkContext.addArchive(str(archive))
    return archive.name


_WORKER_MODELS: dict[str, Scores] = {}
"""By archive: the live model, and the one before it, which a batch that is replayed may want still."""


def predicted(archive: str, texts: pd.Series) -> pd.DataFrame:
    """Runs in a Python worker: what a pyfunc model says, as a frame with prediction, score and error.

    The model may give a frame with `prediction` and `probability` or `score`, an array of (P(negative), P(positive)),
    or P(positive) alone. Null texts are scored as empty ones. A text that it raises on has no score, but an error.
    """
    if archive not in _WORKER_MODELS:
        for old in list(_WORKER_MODELS)[:-1]:
            del _WORKER_MODELS[old]
        _WORKER_MODELS[archive] = _scores_by(mlflow.pyfunc.load_model(SparkFiles.get(archive)))
    scores, errors = _tried(_WORKER_MODELS[archive], texts.fillna("").tolist())
    none_is_null = pd.Series(errors, dtype=object)
    return pd.DataFrame({"prediction": (scores > 0.5).astype(float), "score": scores, "error": none_is_null})


def _scores_by(model: Any) -> Scores:
    """A model as a function of texts. It is called with a frame, or, if it wants the texts themselves, with these.

    A pipeline that wants them takes the name of the frame's column for its one text: two known texts tell.
    """
    takes_frames = len(model.predict(_frame(_KNOWN))) == len(_KNOWN)

    def scores(texts: list[str]) -> np.ndarray:
        said = model.predict(_frame(texts) if takes_frames else np.array(texts, dtype=object))
        if len(said) != len(texts):
            raise ValueError(f"{len(said)} answers for {len(texts)} texts")
        if isinstance(said, pd.DataFrame):
            column = next((name for name in ("probability", "score") if name in said.columns), said.columns[-1])
            said = [value[-1] if np.ndim(value) else value for value in said[column]]
        values = np.asarray(said, dtype=float)
        return values[:, -1] if values.ndim == 2 else values

    return scores


def _frame(texts: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"text": texts}, dtype=object)


def _tried(scores: Scores, texts: list[str]) -> tuple[np.ndarray, list[str | None]]:
    """Scores, and why there is none: where the model raises, halves are tried, down to the texts that it raises on."""
    try:
        return scores(texts), [None] * len(texts)
    except MemoryError:  # no text's fault
        raise
    except Exception as error:  # noqa: BLE001  whatever a model raises, the other texts have their scores
        scores(_KNOWN)  # raises, too, if it is not the texts: a service that the model asks is away, say
        if len(texts) == 1:
            return np.array([np.nan]), [_told(error)]
    half = len(texts) // 2
    (first, errors), (second, others) = _tried(scores, texts[:half]), _tried(scores, texts[half:])
    return np.concatenate([first, second]), errors + others


def _told(error: Exception) -> str:
    """A reason that a dead letter's record has room for, whatever its characters become in JSON."""
    told = printable(f"the model raised {type(error).__name__}: {without_secrets(one_line(error))}")
    return told.encode("ascii", "replace").decode()[:MAX_REASON]
