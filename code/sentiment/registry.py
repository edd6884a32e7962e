"""Model versions: saved once, registered whole, read back and scored before anybody hears of them."""

import contextlib
import math
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyspark
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, Schema
from pyspark.ml import PipelineModel
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from sentiment import storage
from sentiment.jobs import DataError
from sentiment.roles import STAGES
from sentiment.scores import Scores

ARTIFACT = "model"
BEST = "best"

SMOKE_ROWS = 25
SMOKE_TOLERANCE = 1e-6
ODD_TEXTS = [None, "", "   ", "x" * 1_000_000, "не нравится", "とても良い", "\U0001f600 :) <3", "line\none\ttab"]


def save(pipeline: PipelineModel, folder: Path, run_id: str, example: str, scratch: str) -> None:
    """Save a fitted pipeline as an MLflow model (MLmodel, sparkml/) in a local folder.

    Args:
        pipeline: text → prediction, probability.
        folder: to create.
        run_id: the run that the model belongs to.
        example: a text for the input example.
        scratch: folder on Spark's default file system that driver and executors share; see `scratch_folder`.
    """
    versions = {"pyspark": pyspark.__version__, "mlflow": mlflow.__version__}
    mlflow.spark.save_model(
        pipeline,
        str(folder),
        mlflow_model=Model(artifact_path=ARTIFACT, run_id=run_id),
        signature=ModelSignature(
            inputs=Schema([ColSpec("string", "text")]), outputs=Schema([ColSpec("double", "prediction")])
        ),
        input_example=pd.DataFrame({"text": [example]}),
        pip_requirements=[f"{name}=={version}" for name, version in versions.items()],
        dfs_tmpdir=scratch,
    )


@contextlib.contextmanager
def scratch_folder(spark: SparkSession) -> Iterator[str]:
    """A path for Spark to pass models through, on its default file system (local on a laptop, HDFS on Dataproc)."""
    path = str(Path(tempfile.gettempdir()) / f"sentiment-models-{uuid.uuid4().hex[:12]}")
    try:
        yield path
    finally:
        with contextlib.suppress(Exception):  # of a JVM that is gone, whose end is told elsewhere
            storage.delete(spark, path)


def register(client: MlflowClient, name: str, run_id: str, source: str, tags: dict[str, str], why: str) -> str:
    """Add a version of `name` whose files lie at `source` already; gives the version's number."""
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = client.create_model_version(name, source, run_id, tags=tags, description=why)
    return str(version.version)


def read_back(spark: SparkSession, what: str, uri: str, expected: Scores, scratch: str) -> None:
    """Load a version from the registry and score with it; DataError unless it says what the fitted model said.

    Odd texts (null, empty, a million characters, other scripts) must give finite probabilities too.

    Args:
        spark: the session.
        what: the version's name in errors.
        uri: models:/NAME/VERSION.
        expected: what the fitted model said.
        scratch: see `scratch_folder`.
    """
    model = mlflow.spark.load_model(uri, dfs_tmpdir=scratch)
    known = list(zip(expected.texts[:SMOKE_ROWS], expected.probabilities[:SMOKE_ROWS], strict=False))
    texts = [*(text for text, _ in known), *ODD_TEXTS]
    scored = model.transform(numbered(spark, texts, "place"))
    if scored.columns != ["place", "text", "prediction", "probability"]:
        raise DataError(f"{what}: want text → prediction, probability, got {', '.join(scored.columns)}")
    said = {
        row["place"]: row
        for row in scored.select("place", "prediction", vector_to_array(F.col("probability")).alias("p")).collect()
    }
    if len(said) != len(texts):
        raise DataError(f"{what}: scored {len(said)} of {len(texts)} rows")
    for place, row in said.items():
        if not all(math.isfinite(value) for value in row["p"]) or row["prediction"] != float(row["p"][1] > row["p"][0]):
            raise DataError(f"{what}: unusable scores {row['p']} for {str(texts[place])[:40]!r}")
    for place, (text, score) in enumerate(known):
        if abs(said[place]["p"][1] - score) > SMOKE_TOLERANCE:
            raise DataError(
                f"{what}: read back from the registry it scores {said[place]['p'][1]:.6f} "
                f"where the fitted model gave {score:.6f}, for {text[:40]!r}"
            )


def numbered(spark: SparkSession, texts: Sequence[str | None], place: str) -> DataFrame:
    """A few texts and their places, for a model to be tried on.

    From a list of rows Spark would start a Python worker to read them. And a model on rows that the plan itself holds
    would be interpreted while it is planned, not compiled as on a stream's: a partition of their own prevents that.

    Args:
        spark: the session.
        texts: the column `text`; None is null.
        place: the name of the column of places, an int from 0.
    """
    frame = pd.DataFrame({place: range(len(texts)), "text": np.array(texts, dtype=object)})
    return spark.createDataFrame(frame, f"{place} int, text string").coalesce(1)


def standing(client: MlflowClient, name: str, alias: str) -> str | None:
    """The version that `alias` means: the alias itself, else the newest version in its stage; None: neither is set.

    Raises:
        MlflowException: no such model, or the registry does not answer.
    """
    aliases = client.get_registered_model(name).aliases
    if alias in aliases:
        return str(aliases[alias])
    staged = [
        int(version.version)
        for version in client.search_model_versions(f"name = '{name}'")
        if version.current_stage == STAGES.get(alias)
    ]
    return str(max(staged)) if staged else None
