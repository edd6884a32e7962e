"""The steps of the training on this machine: each is a script of the checkout."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sentiment_dags import models
from sentiment_dags.on_this_machine import CHECKOUT, run, training_data
from sentiment_dags.training import chosen


def plan(params: Mapping[str, Any]) -> dict[str, Any]:
    """Where the run reads and writes; SettingsError: there is nothing to read.

    Returns:
        data, clean, splits, output, mlflow_uri, folder (MLflow's files lie there), model, training_args, gate_args.
    """
    base = CHECKOUT / (params["folder"] or "")
    base.mkdir(parents=True, exist_ok=True)
    return {
        "data": training_data(str(params["data"] or "")),
        "clean": str(base / "data_clean"),
        "splits": str(base / "data_clean" / "splits"),
        "output": str(base / "models"),
        "mlflow_uri": f"sqlite:///{base / 'mlflow.db'}",
        "folder": str(base),
        "model": str(params["model_name"]),
        "training_args": [str(word) for word in params["training_args"]],
        "gate_args": [str(word) for word in params["gate_args"]],
    }


def preprocess(plan: Mapping[str, Any]) -> None:
    """Raw tweets to clean ones."""
    run("code/preprocess.py", ["--input", plan["data"], "--output", plan["clean"]], Path(plan["folder"]))


def create_splits(plan: Mapping[str, Any]) -> None:
    """Clean tweets to splits."""
    run("code/create_splits.py", ["--input", plan["clean"], "--output", plan["splits"]], Path(plan["folder"]))


def train(plan: Mapping[str, Any]) -> None:
    """Splits to registered models."""
    words = ["--data", plan["splits"], "--output", plan["output"], *_registry(plan)]
    run(
        "code/train_and_log.py",
        [*words, "--registered-model-name", plan["model"], *plan["training_args"]],
        Path(plan["folder"]),
    )


def verify(plan: Mapping[str, Any]) -> dict[str, str]:
    """Version by registered model; RegistryError: one is missing."""
    written = json.loads((Path(plan["output"]) / "run.json").read_text(encoding="utf-8"))
    return models.verified(models.client(plan["mlflow_uri"]), plan["model"], written)


def gate(plan: Mapping[str, Any], versions: Mapping[str, str]) -> dict[str, Any]:
    """Promote the best version if it is fit; the decision, as for training.told."""
    model = f"{plan['model']}-best"
    verdict = Path(plan["output"]) / "verdict.json"
    words = ["--model-name", model, "--model-version", versions[model], "--validation-data", plan["splits"]]
    words += ["--verdict", str(verdict), *_registry(plan), *plan["gate_args"]]
    run("ci-cd/promote-model.py", words, Path(plan["folder"]))
    written = json.loads(verdict.read_text(encoding="utf-8"))
    return chosen(models.client(plan["mlflow_uri"]), model, versions[model], written)


def _registry(plan: Mapping[str, Any]) -> list[str]:
    return ["--mlflow-uri", plan["mlflow_uri"]]
