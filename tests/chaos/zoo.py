"""Small registered models: a few good versions that differ, and one bad version of each kind."""

import json
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.tracking import MlflowClient
from pyspark.ml import PipelineModel
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import HashingTF
from pyspark.sql import SparkSession

from sentiment import features, models, progress, registry, tracking
from sentiment.sample import sample_rows
from sentiment.serving.linear import with_tokens
from sentiment.session import session
from sentiment.text import tokens as in_tokens

NAME = "chaos-best"
PYFUNC_NAME = "chaos-pyfunc"
CHAMPION = "champion"
STRENGTHS = (0.001, 0.01, 0.03)
GOOD = len(STRENGTHS)
HASHED = 2
"""Place of the version of another make: swaps go from sums in the driver to Spark's own, and back."""

SAMPLE_ROWS = 1_500
SLOW_WORD = "dawdle"
"""A text with this word keeps the pyfunc model's Python worker busy for SLOW_SECONDS."""

SLOW_SECONDS = 6
RAISING_WORD = "kaboom"
"""A text with this word is one that the pyfunc model raises on."""


class Zoo:
    """A registry on SQLite with versions 1 to GOOD of NAME, and bad versions by name of their fault."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = f"sqlite:///{folder / 'registry.db'}"
        self.client = tracking.client(self.uri)
        self._list = folder / "bad-models.json"

    @property
    def bad(self) -> dict[str, str]:
        """The bad versions, by name of their fault."""
        return dict(json.loads(self._list.read_text()))

    @property
    def is_made(self) -> bool:
        """Whether all models are there."""
        return self._list.exists()

    def make(self, spark: SparkSession, good: int = GOOD, faults: Sequence[str] = (), pyfunc: bool = True) -> None:
        """Fit and register so many good versions, the bad ones named (all by default), and the pyfunc model."""
        experiment = self.client.create_experiment("chaos", artifact_location=(self.folder / "artifacts").as_uri())
        run = self.client.create_run(experiment).info
        artifacts = Path(run.artifact_uri.removeprefix("file://"))

        def add(name: str, artifact: str) -> str:
            source = (artifacts / artifact).as_uri()
            return registry.register(self.client, name, run.run_id, source, {}, artifact)

        for number, strength in enumerate(STRENGTHS[:good]):
            pipeline, place = _fitted(spark, strength, number == HASHED), artifacts / f"good-{number}"
            with registry.scratch_folder(spark) as scratch:
                registry.save(pipeline, place, run.run_id, "love this", scratch)
            add(NAME, f"good-{number}")
        bad = {}
        for fault in faults or SPOILERS:
            shutil.copytree(artifacts / "good-0", artifacts / fault)
            SPOILERS[fault](artifacts / fault)
            bad[fault] = add(NAME, fault)
        if pyfunc:
            self._save_pyfunc(artifacts / "pyfunc")
            self.client.set_registered_model_alias(PYFUNC_NAME, CHAMPION, add(PYFUNC_NAME, "pyfunc"))
        self.set_champion("1")
        self._list.write_text(json.dumps(bad))

    def copied(self, folder: Path) -> "Zoo":
        """A registry of its own with the same versions, for who moves the champion beside others."""
        for path in (self.folder / "registry.db", self._list):
            shutil.copy(path, folder)
        return Zoo(folder)

    def _save_pyfunc(self, target: Path) -> None:
        """A model that scores in Python workers, with a word that makes it slow."""
        code = self.folder / "pyfunc_model.py"
        code.write_text(PYFUNC, encoding="utf-8")
        mlflow.pyfunc.save_model(str(target), python_model=str(code), pip_requirements=["mlflow"])

    def set_champion(self, version: str, client: MlflowClient | None = None) -> None:
        """Move the alias that the streams follow."""
        (client or self.client).set_registered_model_alias(NAME, CHAMPION, version)


PYFUNC = f"""\
import time

import mlflow
import pandas as pd

GOOD = ("love", "great", "happy", "wonderful", "good")


class Words(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        texts = model_input["text"]
        if any("{SLOW_WORD}" in text for text in texts):
            time.sleep({SLOW_SECONDS})
        if any("{RAISING_WORD}" in text for text in texts):
            raise ValueError("a word too loud")
        scores = [0.9 if any(word in text for word in GOOD) else 0.2 for text in texts]
        return pd.DataFrame({{"score": scores}})


mlflow.models.set_model(Words())
"""


def _fitted(spark: SparkSession, strength: float, hashed: bool) -> PipelineModel:
    """A pipeline fitted in a few seconds: of the suite's own make, or hashed, which only Spark can score."""
    rows = [
        (row[5], float(row[0] == "4"))
        for row in sample_rows(SAMPLE_ROWS, 42)
        if len(row) == 6 and row[0] in ("0", "4") and row[5]
    ]
    rows += [(text, float(place < 3)) for place, text in enumerate(PROBE_LIKE) for _ in range(20)]
    frame = spark.createDataFrame(pd.DataFrame(rows, columns=["text", "label"])).coalesce(1)
    tokenised = PipelineModel(features.tokenising()).transform(frame.selectExpr("text", "label"))
    if hashed:
        hashing = HashingTF(numFeatures=2048, inputCol=features.TERMS, outputCol=features.FEATURES, binary=True)
        vectorising: list[Any] = [hashing]
    else:
        tokens = with_tokens(frame, in_tokens("text")).select(features.TOKENS)
        vectorising = features.vectorisers(spark, features.vocabulary(tokens, 2048), len(rows))
    vectors = PipelineModel(vectorising).transform(tokenised)
    logistic = LogisticRegression(
        featuresCol=features.FEATURES,
        rawPredictionCol="inner_raw",
        probabilityCol=models.PROBABILITY,
        predictionCol=models.PREDICTION,
        regParam=strength,
        maxIter=15,
    )
    fitted = logistic.fit(vectors.selectExpr(f"{features.INPUT}.label AS label", features.FEATURES))
    finishing = features.finishing(models.PREDICTION, models.PROBABILITY)
    return PipelineModel([*features.tokenising(), *vectorising, fitted, finishing])


PROBE_LIKE = (
    "love this wonderful day, thank you",
    "happy excited birthday :)",
    "great thanks good morning",
    "hate this horrible day, sad sick",
    "worst headache, miss you :(",
    "sorry, lost, failed, crying",
)


def _corrupt(model: Path) -> None:
    """Overwrite bytes in the middle of the classifier's data."""
    for part in _stage(model, "LogisticRegression").glob("data/*.parquet"):
        content = bytearray(part.read_bytes())
        content[4:-8] = b"\xff" * (len(content) - 12)
        part.write_bytes(content)


def _truncate(model: Path) -> None:
    """Lose the classifier's data."""
    shutil.rmtree(_stage(model, "LogisticRegression") / "data")


def _wrong_schema(model: Path) -> None:
    """No probability in the output."""
    _edit(_stages(model, "SQLTransformer")[-1], lambda text: re.sub(r", inner_probability AS probability", "", text))


def _other_spark(model: Path) -> None:
    path = model / "MLmodel"
    path.write_text(re.sub(r"pyspark_version: \S+", "pyspark_version: 2.4.8", path.read_text()), encoding="utf-8")


def _one_class(model: Path) -> None:
    """A threshold that no probability passes."""

    def edit(text: str) -> str:
        metadata = json.loads(text)
        metadata["paramMap"]["threshold"] = 1.0
        return json.dumps(metadata) + "\n"

    _edit(_stage(model, "LogisticRegression"), edit)


SPOILERS: dict[str, Callable[[Path], None]] = {
    "corrupt": _corrupt,
    "truncated": _truncate,
    "wrong-schema": _wrong_schema,
    "other-Spark": _other_spark,
    "one-class": _one_class,
}


def _stages(model: Path, kind: str) -> list[Path]:
    return sorted(model.glob(f"sparkml/stages/*{kind}*"))


def _stage(model: Path, kind: str) -> Path:
    (found,) = _stages(model, kind)
    return found


def _edit(stage: Path, change: Callable[[str], str]) -> None:
    (part,) = [path for path in (stage / "metadata").iterdir() if path.name.startswith("part-")]
    before = part.read_text(encoding="utf-8")
    after = change(before)
    assert after != before, f"nothing to spoil in {stage}"
    part.write_text(after, encoding="utf-8")
    for checksum in stage.glob("metadata/.part-*.crc"):
        checksum.unlink()


def main() -> None:
    """Make the models in a process of their own, so that its JVM ends with it."""
    progress.start_logging()  # without MLflow's own
    zoo = Zoo(Path(sys.argv[1]))
    if not zoo.is_made:
        zoo.make(session("chaos-models"))


if __name__ == "__main__":
    main()
