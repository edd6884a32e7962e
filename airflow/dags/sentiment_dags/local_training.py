"""The steps of the training on this machine: each is a script of the checkout."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sentiment_dags import models
from sentiment_dags.on_this_machine import CHECKOUT, check_arguments, run, training_data
from sentiment_dags.training import chosen
from sentiment_dags.variables import SettingsError

TRAINING, GATE = "train_and_log.py", "promote-model.py"
URL = re.compile(r"(?:^|=)[a-z][a-z0-9+.-]*:/", re.IGNORECASE)
"""How a word of a Param leads off this machine, as in gs://bucket or --ledger=gs://bucket."""


def plan(params: Mapping[str, Any]) -> dict[str, Any]:
    """Where the run reads and writes.

    SettingsError: there is nothing to read, a script does not take its arguments, or one of them leads into a cloud.

    Returns:
        data, clean, splits, output, mlflow_uri, folder (MLflow's files lie there), model, training_args, gate_args.
    """
    _check_stays_here(params)
    base = CHECKOUT / (params["folder"] or "")
    try:
        base.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"Param folder: want a folder that can be made, found {base}: {error.strerror}") from None
    planned = {
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
    check_arguments("Params model_name and training_args", TRAINING, _training(planned))
    if planned["gate_args"]:
        check_arguments("Param gate_args", GATE, _gate(planned, "1"))
    return planned


def _check_stays_here(params: Mapping[str, Any]) -> None:
    """The scripts run without a stack's own object store: to them gs:// is Google's, with any credentials found here.

    The registry is no Param: `plan` sets --mlflow-uri, and check_arguments refuses a second one.
    """
    for name in ("data", "folder", "training_args", "gate_args"):
        value = params.get(name) or []
        for word in value if isinstance(value, list) else [value]:
            if URL.search(str(word)):
                raise SettingsError(
                    f"Param {name}: want paths of this machine, found {models.without_password(str(word))}: "
                    "this training uses no cloud"
                )


def preprocess(plan: Mapping[str, Any]) -> None:
    """Raw tweets to clean ones."""
    run("code/preprocess.py", ["--input", plan["data"], "--output", plan["clean"]], Path(plan["folder"]))


def create_splits(plan: Mapping[str, Any]) -> None:
    """Clean tweets to splits."""
    run("code/create_splits.py", ["--input", plan["clean"], "--output", plan["splits"]], Path(plan["folder"]))


def train(plan: Mapping[str, Any]) -> None:
    """Splits to registered models."""
    run(f"code/{TRAINING}", _training(plan), Path(plan["folder"]))


def verify(plan: Mapping[str, Any]) -> dict[str, str]:
    """Version by registered model; RegistryError: one is missing."""
    written = json.loads((Path(plan["output"]) / "run.json").read_text(encoding="utf-8"))
    return models.verified(models.client(plan["mlflow_uri"]), plan["model"], written)


def gate(plan: Mapping[str, Any], versions: Mapping[str, str]) -> dict[str, Any]:
    """Promote the best version if it is fit; the decision, as for training.told."""
    model = _best(plan)
    run(f"ci-cd/{GATE}", _gate(plan, versions[model]), Path(plan["folder"]))
    written = json.loads(_verdict(plan).read_text(encoding="utf-8"))
    return chosen(models.client(plan["mlflow_uri"]), model, versions[model], written)


def _training(plan: Mapping[str, Any]) -> list[str]:
    """The arguments of the training."""
    words = ["--data", plan["splits"], "--output", plan["output"], *_registry(plan)]
    return [*words, "--registered-model-name", plan["model"], *plan["training_args"]]


def _gate(plan: Mapping[str, Any], version: str) -> list[str]:
    """The arguments of the gate."""
    words = ["--model-name", _best(plan), "--model-version", version, "--validation-data", plan["splits"]]
    return [*words, "--verdict", str(_verdict(plan)), *_registry(plan), *plan["gate_args"]]


def _best(plan: Mapping[str, Any]) -> str:
    return f"{plan['model']}-best"


def _verdict(plan: Mapping[str, Any]) -> Path:
    return Path(plan["output"]) / "verdict.json"


def _registry(plan: Mapping[str, Any]) -> list[str]:
    return ["--mlflow-uri", plan["mlflow_uri"]]
