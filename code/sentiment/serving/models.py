"""Models to serve: fetched from the registry, copied beside the checkpoint, checked before they score anything."""

import math
import re
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import Any, cast

import mlflow
import pyspark
import yaml
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from py4j.protocol import Py4JJavaError
from pyspark.ml import PipelineModel
from pyspark.ml.feature import SQLTransformer
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from sentiment import storage, whole_folders
from sentiment.jobs import DataError
from sentiment.progress import log
from sentiment.registry import ODD_TEXTS, numbered, standing
from sentiment.serving import linear, pyfunc
from sentiment.serving.linear import Linear
from sentiment.serving.parsing import REASON
from sentiment.serving.scoring import Loaded
from sentiment.serving.settings import PYFUNC, ModelChoice
from sentiment.tracking import brief, java_line

MARK = ".whole"
_MISSING = re.compile(r"\b404 (Client Error|GET|HEAD)|\(404\)|No such (file|object)|NoSuch(Key|Bucket)|BlobNotFound")
"""What stores say of files that are not there: MLflow's server, Google's, Amazon's and Azure's, a folder."""

_CONTENT = re.compile(
    r"FileNotFound|NoSuchFile|InvalidInput|EOF|Checksum|json|thrift|snappy|zstd|zip\.|charset|Serializable|InvalidClass"
)
"""Java's kinds of IOException that tell of what lies in a store; all others tell of the store itself."""

PROBES = [
    "I love this, what a wonderful day, thank you so much!",
    "so happy and excited, best birthday ever :)",
    "great great great, thanks, good morning everyone",
    "I hate this, what a horrible day, so sad and sick",
    "worst headache ever, I miss you, this sucks :(",
    "sorry, I lost my job and failed the exam, crying",
]
"""Texts that any usable sentiment classifier tells apart: at least one of each class must come out."""


class RegistryAwayError(DataError):
    """The registry or its artifacts cannot be reached at the moment."""


class MissingFilesError(RegistryAwayError):
    """The registry names a version whose files are not where they should be."""


class UnfitModelError(DataError):
    """A model version that must not serve; the message says why."""


class Registry:
    """The registry's answers about one model, as RegistryAwayError where there is none."""

    def __init__(self, client: MlflowClient, choice: ModelChoice) -> None:
        self.client = client
        self.choice = choice

    def resolve(self) -> str:
        """The version to serve now; DataError: no such model, alias or version."""
        choice = self.choice
        try:
            if choice.version:
                return str(self.client.get_model_version(choice.name, choice.version).version)
            version = standing(self.client, choice.name, choice.alias)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                what = f"version {choice.version}" if choice.version else f"alias {choice.alias}"
                raise UnfitModelError(f"--model-name {choice.name}: {what}: {brief(error)}") from error
            raise RegistryAwayError(f"the registry does not answer: {brief(error)}") from error
        except Exception as error:
            raise RegistryAwayError(f"the registry does not answer: {brief(error)}") from error
        if version is None:
            raise UnfitModelError(f"--model-name {choice.name}: want a version with alias {choice.alias}, found none")
        return version

    def download(self, version: str, folder: Path) -> Path:
        """The files of a version in a local folder."""
        with _fetching(version):
            source = self.client.get_model_version_download_uri(self.choice.name, version)
            return Path(mlflow.artifacts.download_artifacts(source, dst_path=str(folder)))

    def identity(self, version: str) -> str:
        """What tells a version from one that had its number before the model, or the registry, was made anew."""
        with _fetching(version):
            found = self.client.get_model_version(self.choice.name, version)
        return f"{found.run_id} {found.creation_timestamp}"

    def note_rejection(self, version: str, reason: str) -> None:
        """Leave the reason at the version, for people who look at it there."""
        self.client.set_model_version_tag(self.choice.name, version, "serving_rejected", reason[:500])


@contextmanager
def _fetching(version: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        kind = MissingFilesError if is_missing(error) else RegistryAwayError
        raise kind(f"version {version} could not be fetched: {brief(error)}") from error


def is_missing(error: Exception) -> bool:
    """Whether a fetch failed since something is not there, and not since a store is away.

    MLflow passes on what the client of each kind of store raises, several failures as one text.
    """
    return getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST" or bool(_MISSING.search(str(error)))


def is_away(spark: SparkSession, error: Exception) -> bool:
    """Whether a store did not give what lies there, and not what lies there is at fault."""
    cause = error.__cause__ if isinstance(error, DataError) else error
    if isinstance(cause, OSError):
        return not isinstance(cause, FileNotFoundError | IsADirectoryError | NotADirectoryError)
    thrown = cause.java_exception if isinstance(cause, Py4JJavaError) else getattr(cause, "_origin", None)
    if thrown is None:
        return False
    chain = getattr(spark._jvm, "org.apache.commons.lang3.exception.ExceptionUtils").getThrowableList(thrown)
    failure = getattr(spark._jvm, "java.lang.Class").forName("java.io.IOException")
    failed = any(failure.isInstance(each) for each in chain)
    return failed and not any(_CONTENT.search(each.getClass().getName()) for each in chain)


def _failure(spark: SparkSession, what: str, error: Exception) -> DataError:
    """What an error is called: RegistryAwayError where a store is at fault, else UnfitModelError."""
    kind = RegistryAwayError if is_away(spark, error) else UnfitModelError
    return kind(f"{what}: {java_line(error)}")


class Copies:
    """Copies of model versions beside the checkpoint, where driver and executors find them without the registry.

    A version's mark, written last, names the folder that holds it: two drivers that fetch the same version at once
    write two folders and disturb neither. Its second line is the registry's `identity` of the version; marks of earlier
    releases have none.
    """

    def __init__(self, spark: SparkSession, checkpoint: str, choice: ModelChoice) -> None:
        self.spark = spark
        self.folder = storage.join(checkpoint, "models")
        self.choice = choice

    def has(self, name: str, version: str) -> bool:
        """Whether there is a whole copy of a version."""
        return storage.exists(self.spark, self._mark(name, version))

    def add(self, registry: Registry, version: str, anew: bool = False) -> bool:
        """Fetch a version from the registry, unless there is a copy of it; False: there is, and `anew` was not asked.

        A copy counts only when all of it is there. One of another model that had the same number counts only as long as
        the registry does not answer.
        """
        name = self.choice.name
        try:
            identity = registry.identity(version)
        except RegistryAwayError:
            if anew or not self.has(name, version):
                raise
            return False
        if not anew and self.is_of(version, identity):
            return False
        with tempfile.TemporaryDirectory(prefix="sentiment-model-") as folder:
            local = registry.download(version, Path(folder))
            copy = f"{name}-{version}-{uuid.uuid4().hex[:8]}"
            try:
                whole_folders.upload(self.spark, local, storage.join(self.folder, copy))
            except DataError as error:
                if "Checksum error" in str(error):  # Spark saved the model with checksums of its own
                    raise UnfitModelError(f"version {version} is damaged: {brief(error)}") from error
                raise
            storage.replace_text(self.spark, self._mark(name, version), f"{copy}\n{identity}")
        return True

    def is_of(self, version: str, identity: str) -> bool:
        """Whether there is a whole copy of a version, and it is of the one with that identity."""
        name = self.choice.name
        return self.has(name, version) and self._noted(self._mark(name, version))[1] == identity

    def load(self, name: str, version: str, flavor: str) -> Loaded:
        """A model from its copy; UnfitModelError: it cannot be loaded here, RegistryAwayError: not read just now."""
        location = self._path(name, version)
        try:
            described = yaml.safe_load(storage.read_text(self.spark, storage.join(location, "MLmodel")))
            flavors = described["flavors"]
            if flavor == PYFUNC:
                return Loaded(name, version, pyfunc.scorer(self.spark, location, f"{name}-{version}"))
            if "spark" not in flavors:
                raise UnfitModelError(f"version {version} is no Spark model (flavors: {', '.join(sorted(flavors))})")
            made, here = str(flavors["spark"]["pyspark_version"]), pyspark.__version__
            if made.split(".")[:2] != here.split(".")[:2]:
                raise UnfitModelError(f"version {version} was made with Spark {made}, this is Spark {here}")
            pipeline = PipelineModel.load(storage.join(location, flavors["spark"]["model_data"]))
        except UnfitModelError:
            raise
        except Exception as error:
            raise _failure(self.spark, f"version {version} cannot be loaded", error) from error
        return Loaded(name, version, lambda rows: _applied(pipeline, rows), self._numbers(pipeline, version))

    def _numbers(self, pipeline: PipelineModel, version: str) -> Linear | None:
        """The model as numbers, where there are such and Spark agrees with them; no model is unfit for want of them."""
        try:
            return linear.checked(pipeline, version, lambda: _applied(pipeline, _probe_set(self.spark)))
        except Exception as error:  # noqa: BLE001  if the model is to blame, the probe set tells
            log.warning("version %s is scored by Spark alone: %s", version, java_line(error))
            return None

    def drop(self, name: str, version: str) -> None:
        """Remove a copy."""
        location = self._path(name, version)
        storage.delete(self.spark, self._mark(name, version))
        storage.delete(self.spark, location)

    def keep_only(self, wanted: set[tuple[str, str]]) -> None:
        """Remove the copies of all other versions, and what was never finished."""
        kept = {self._mark(*each) for each in wanted if self.has(*each)}
        folders = {self._noted(mark)[0] for mark in kept}
        for name in storage.names(self.spark, self.folder):
            mark = storage.join(self.folder, name)
            if name.endswith(MARK) and mark not in kept:
                storage.delete(self.spark, mark)
        for folder in storage.folders(self.spark, self.folder):
            if folder not in folders:
                storage.delete(self.spark, storage.join(self.folder, folder))

    def _mark(self, name: str, version: str) -> str:
        return storage.join(self.folder, f"{name}-{version}{MARK}")

    def _path(self, name: str, version: str) -> str:
        return storage.join(self.folder, self._noted(self._mark(name, version))[0])

    def _noted(self, mark: str) -> tuple[str, str]:
        """The folder of a copy, and the identity of what it is a copy of."""
        folder, _, identity = storage.read_text(self.spark, mark).partition("\n")
        return folder, identity


def _probe_set(spark: SparkSession) -> DataFrame:
    return numbered(spark, [*PROBES, *ODD_TEXTS], "inner_place")


def check(spark: SparkSession, model: Loaded) -> None:
    """UnfitModelError unless the model tells the probe set apart and survives odd texts.

    RegistryAwayError where a store failed meanwhile: that says nothing about the model.
    """
    texts = [*PROBES, *ODD_TEXTS]
    try:
        unknown = _probe_set(spark).withColumn(REASON, F.lit(None).cast("string"))
        scored = model.apply(unknown).select("inner_place", "prediction", "score", REASON)
        rows = {row["inner_place"]: row for row in scored.collect()}
    except UnfitModelError:
        raise
    except Exception as error:
        raise _failure(spark, f"version {model.version} cannot score", error) from error
    if len(rows) != len(texts):
        raise UnfitModelError(f"version {model.version} gave {len(rows)} rows for {len(texts)} texts")
    for place, text in enumerate(texts):
        prediction, score, reason = (rows[place][name] for name in ("prediction", "score", REASON))
        if reason is not None:
            raise UnfitModelError(f"version {model.version} cannot score {str(text)[:30]!r}: {reason}")
        if prediction not in (0.0, 1.0) or score is None or not math.isfinite(score) or not 0 <= score <= 1:
            raise UnfitModelError(
                f"version {model.version} gave prediction {prediction}, score {score} for {str(text)[:30]!r}; "
                "want 0 or 1 and a probability"
            )
    reached = {rows[place]["prediction"] for place in range(len(PROBES))}
    if reached != {0.0, 1.0}:
        raise UnfitModelError(f"version {model.version} says {min(reached):g} to every text of the probe set")


def _transformed(rows: DataFrame, stage: Any) -> DataFrame:
    """What `stage.transform` gives; a SQLTransformer would analyse its statement twice, once for the schema alone."""
    if not isinstance(stage, SQLTransformer):
        return cast(DataFrame, stage.transform(rows))
    view, spark = f"inner_{uuid.uuid4().hex}", rows.sparkSession
    rows.createOrReplaceTempView(view)
    try:
        return spark.sql((stage.getStatement() or "").replace("__THIS__", view))
    finally:  # spark.catalog.dropTempView would also drop what the rows have in the cache
        spark._jsparkSession.sessionState().catalog().dropTempView(view)


def _applied(pipeline: Any, rows: DataFrame) -> DataFrame:
    found = reduce(_transformed, pipeline.stages, rows)
    missing = [name for name in (*rows.columns, "prediction", "probability") if name not in found.columns]
    if missing:
        raise UnfitModelError(f"the model's output lacks {', '.join(missing)}")
    scored: DataFrame = found.select(
        *rows.columns,
        F.col("prediction").cast("double").alias("prediction"),
        vector_to_array(F.col("probability"))[1].alias("score"),
    )
    return scored
