"""A registry of tiny pipelines whose every answer is known, and validation rows to judge them on."""

import json
import shutil
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from chaos import zoo
from mlflow.entities import Metric, Param
from pyspark.ml import PipelineModel
from pyspark.ml.feature import SQLTransformer, VectorAssembler
from pyspark.sql import SparkSession

from sentiment import features, registry, tracking
from sentiment.gate.trial import Trial
from sentiment.roles import CHALLENGER, CHAMPION
from sentiment.splits import Splitting

HAPPY = "(text LIKE '%love%' OR text LIKE '%happy%' OR text LIKE '%great%')"
NUMBER = "coalesce(try_cast(regexp_extract(text, 'n([0-9]+)', 1) AS INT), 99)"
"""Each row's number from 0 to 99: which rows a model has wrong is a matter of numbers."""

METRICS = {"accuracy": 0.8, "f1": 0.8, "roc_auc": 0.9, "log_loss": 0.5}
TOIL = f"aggregate(sequence(1, 2000), {NUMBER}, (sum, each) -> pmod(sum * 31 + each, 1000003))"

KINDS = {
    "plain": "{words} n{number:02d} about the usual matters of every day",
    "short": "{words} n{number:02d}",
    "long": "{words} n{number:02d} " + "and so on " * 12,
    "negation": "{words} n{number:02d} this is not a usual day, as it were",
    "link": "{words} n{number:02d} see http://t.co/abc for the usual things",
    "mention": "{words} n{number:02d} says @bob about the usual things",
}
ROWS_PER_KIND = 200


def rows() -> pd.DataFrame:
    """Clean tweets: of each kind 100 numbers with each label, and four times as many plain ones."""
    kinds = [*KINDS, *["plain"] * 4]
    found = [
        (f"{place:02d}-{number:02d}-{label}", KINDS[kind].format(words=words, number=number), float(label))
        for place, kind in enumerate(kinds)
        for number in range(ROWS_PER_KIND // 2)
        for label, words in ((0, "hate it"), (1, "love it"))
    ]
    return pd.DataFrame(found, columns=["id", "text", "label"])


def says(wrong: str, sure: float = 0.8) -> str:
    """SQL for P(positive): right, but not where `wrong` holds; `sure` of whatever it says."""
    return f"CASE WHEN {HAPPY} = ({wrong}) THEN {1 - sure} ELSE {sure} END"


def below(number: int) -> str:
    """SQL: rows with a smaller number, that many per cent of each kind."""
    return f"{NUMBER} < {number}"


SCORES = {
    "champion": says(below(20)),
    "same": says(below(20)),
    "good": says(below(15), 0.85),
    "worse": says(below(23)),
    "as-good": says(f"{NUMBER} BETWEEN 1 AND 20"),
    "worse-on-negation": says(f"{NUMBER} < IF(text LIKE '%not a%', 30, 10)", 0.88),
    "one-class": "0.7",
    "uncalibrated": says(below(15), 0.999),
    "slow": f"IF({TOIL} < 0, 0.5, {says(below(15), 0.85)})",
    "no-number": "CAST('NaN' AS DOUBLE)",
}


@dataclass
class Shelf:
    """A registry on SQLite, saved pipelines by name, and a folder of splits."""

    folder: Path
    splits: Path = field(init=False)
    trials: dict[str, Trial] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.uri = f"sqlite:///{self.folder / 'registry.db'}"
        self.client = tracking.client(self.uri)
        self.splits = self.folder / "splits"
        self.experiment = self.client.create_experiment("gate", artifact_location=(self.folder / "runs").as_uri())
        self.saved = 0

    def make(self) -> None:
        """Save one pipeline, and a changed copy for every name; write the splits. Wants a Spark session."""
        write_splits(self.splits, rows())
        original = self.folder / "saved" / "champion"
        with registry.scratch_folder(SparkSession.active()) as scratch:
            registry.save(_pipeline(SCORES["champion"]), original, "0", "love it", scratch)
        for name, score in SCORES.items():
            if name != "champion":
                copy = shutil.copytree(original, self.folder / "saved" / name)
                zoo._edit(zoo._stages(copy, "SQLTransformer")[0], partial(_with_score, score))
        corrupt = shutil.copytree(original, self.folder / "saved" / "corrupt")
        for part in (zoo._stages(corrupt, "SQLTransformer")[0] / "metadata").glob("part-*"):
            part.write_bytes(b"\xff" * part.stat().st_size)

    def add(self, name: str, pipeline: str, **changes: Any) -> str:
        """Register a version with a run of its own; `changes` are metrics, params or tags that differ."""
        parent = self.client.create_run(self.experiment)
        self.client.log_param(parent.info.run_id, "input", changes.get("input", str(self.splits)))
        tags = {"mlflow.parentRunId": parent.info.run_id}
        run = self.client.create_run(self.experiment, tags=tags).info.run_id
        metrics = {**METRICS, **changes.get("metrics", {})}
        params = {**Splitting().described(), **changes.get("params", {})}
        self.client.log_batch(
            run,
            [Metric(key, value, 0, 0) for key, value in metrics.items() if value is not None],
            [Param(key, str(value)) for key, value in params.items()],
        )
        source = (self.folder / "saved" / pipeline).as_uri()
        version_tags = {"spark_minor": tracking.provenance()["spark_minor"], **changes.get("tags", {})}
        return registry.register(self.client, name, run, source, version_tags, pipeline)

    def stand(self, challenger: str = "good", champion: str = "champion", **changes: Any) -> str:
        """A new registered model whose champion (unless empty) is version 1 and challenger the newest."""
        self.saved += 1
        name = f"model-{self.saved}"
        if champion:
            self.client.set_registered_model_alias(name, CHAMPION, self.add(name, champion))
        self.client.set_registered_model_alias(name, CHALLENGER, self.add(name, challenger, **changes))
        return name

    def aliases(self, name: str) -> dict[str, str]:
        """Versions by alias."""
        found = self.client.get_registered_model(name).aliases
        return {alias: str(version) for alias, version in found.items()}


def write_splits(folder: Path, frame: pd.DataFrame, report: dict[str, Any] | None = None) -> Path:
    """Splits as create_splits.py leaves them, with test rows alone; gives the folder."""
    (folder / "test").mkdir(parents=True)
    frame.to_parquet(folder / "test" / "part-0.parquet", index=False)
    (folder / "splits.json").write_text(json.dumps(Splitting().described() if report is None else report))
    return folder


def _statement(score: str) -> str:
    scored = f"SELECT struct(*) AS {features.INPUT}, CAST({score} AS DOUBLE) AS inner_score FROM __THIS__"
    return f"SELECT *, 1 - inner_score AS inner_rest FROM ({scored})"


def _pipeline(score: str) -> PipelineModel:
    return PipelineModel(
        [
            SQLTransformer(statement=_statement(score)),
            VectorAssembler(
                inputCols=["inner_rest", "inner_score"], outputCol="inner_probability", handleInvalid="keep"
            ),
            features.finishing("CAST(inner_score > 0.5 AS DOUBLE)", "inner_probability"),
        ]
    )


def _with_score(score: str, metadata: str) -> str:
    content = json.loads(metadata)
    content["paramMap"]["statement"] = _statement(score)
    return json.dumps(content) + "\n"
