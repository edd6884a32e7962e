"""Any MLflow model as a scorer: sent to the executors once, loaded once in each of their Python workers."""

import atexit
import shutil
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from pyspark import SparkFiles
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import DoubleType, StructField, StructType

from sentiment import whole_folders


def scorer(spark: SparkSession, location: str, key: str) -> Callable[[DataFrame], DataFrame]:
    """Any MLflow model, sent to the executors once and loaded once in each of their Python workers.

    Executors unpack it beside the application's other files, which Spark removes with the application.
    """
    folder = Path(tempfile.mkdtemp(prefix="sentiment-pyfunc-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    whole_folders.download(spark, location, folder / "model")
    # Spark takes no second file of the same name, and the same version may be loaded again.
    archive = Path(shutil.make_archive(str(folder / f"{key}-{uuid.uuid4().hex[:8]}"), "zip", folder / "model"))
    shutil.rmtree(folder / "model")
    spark.sparkContext.addArchive(str(archive))
    name = archive.name
    kind = StructType([StructField("prediction", DoubleType()), StructField("score", DoubleType())])

    @pandas_udf(kind)  # type: ignore[call-overload, untyped-decorator]
    def scored(texts: pd.Series) -> pd.DataFrame:
        return predicted(name, texts)

    def apply(rows: DataFrame) -> DataFrame:
        said = rows.withColumn("inner_said", scored("text"))
        return said.select(*rows.columns, "inner_said.prediction", "inner_said.score")

    return apply


_WORKER_MODELS: dict[str, Any] = {}
"""By archive: the live model, and the one before it, which a batch that is replayed may want still."""


def predicted(archive: str, texts: pd.Series) -> pd.DataFrame:
    """Runs in a Python worker: predictions of a pyfunc model as a frame with prediction and score.

    The model may give a frame with `prediction` and `probability` or `score`, an array of (P(negative), P(positive)),
    or P(positive) alone. Null texts are scored as empty ones.
    """
    if archive not in _WORKER_MODELS:
        for old in list(_WORKER_MODELS)[:-1]:
            del _WORKER_MODELS[old]
        _WORKER_MODELS[archive] = mlflow.pyfunc.load_model(SparkFiles.get(archive))
    readable = texts.fillna("").astype(object)
    said = _WORKER_MODELS[archive].predict(pd.DataFrame({"text": readable}))
    if len(said) != len(readable):  # a pipeline that wants the texts themselves took the column's name for a text
        said = _WORKER_MODELS[archive].predict(readable.to_numpy())
    if isinstance(said, pd.DataFrame):
        column = next((name for name in ("probability", "score") if name in said.columns), said.columns[-1])
        values = said[column].to_numpy()
        values = np.array([value[-1] if np.ndim(value) else value for value in values], dtype=float)
    else:
        values = np.asarray(said, dtype=float)
        values = values[:, -1] if values.ndim == 2 else values
    return pd.DataFrame({"prediction": (values > 0.5).astype(float), "score": values})
