"""What the registry and its runs know of a model version."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from sentiment.jobs import DataError
from sentiment.splits import Splitting
from sentiment.tracking import brief

PARENT = "mlflow.parentRunId"
INPUT, VALIDATION = "input", "validation_data"
UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


@dataclass(frozen=True)
class Version:
    """A version with its run.

    Attributes:
        model: the registered model.
        number: of the version.
        run_id: of the run that made it; empty: there is none (any more).
        description: as registered.
        tags: of the version.
        metrics: of the run.
        params: of the run and, where it has none of that name, of its parent.
    """

    model: str
    number: str
    run_id: str = ""
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)

    @property
    def splitting(self) -> dict[str, str]:
        """How the rows of its training were divided, as far as its run says so."""
        return {name: self.params[name] for name in Splitting().described() if name in self.params}

    @property
    def input(self) -> str:
        """What the training read, empty if its run does not say so."""
        return self.params.get(INPUT, "")

    @property
    def validation_data(self) -> str:
        """The splits whose test rows the training kept apart, empty if its run does not say so."""
        return self.params.get(VALIDATION, self.input)

    def finite(self, metric: str) -> bool:
        """Whether the run has a finite figure of that name."""
        return math.isfinite(self.metrics.get(metric, math.nan))


def check_model(client: MlflowClient, model: str) -> dict[str, str]:
    """The aliases of a registered model; DataError: there is no such model, or no answer."""
    try:
        return {alias: str(version) for alias, version in client.get_registered_model(model).aliases.items()}
    except MlflowException as error:
        if error.error_code in UNKNOWN:
            raise DataError(f"--model-name {model}: want a registered model, found none of that name") from error
        raise DataError(f"--model-name {model}: {brief(error)}") from error


def read(client: MlflowClient, model: str, number: str) -> Version:
    """A version with its run and the run's parent; DataError: no such version. A run that is gone leaves it bare."""
    try:
        found = client.get_model_version(model, number)
    except MlflowException as error:
        if error.error_code in UNKNOWN:
            raise DataError(f"--model-name {model}: want version {number}, found no such version") from error
        raise DataError(f"--model-name {model}: version {number}: {brief(error)}") from error
    bare = Version(model, str(number), description=found.description or "", tags=dict(found.tags))
    return _with_run(client, bare, found.run_id) if found.run_id else bare


def _with_run(client: MlflowClient, version: Version, run_id: str) -> Version:
    try:
        run = client.get_run(run_id)
        params = dict(run.data.params)
        parent = run.data.tags.get(PARENT)
        if parent:
            params = {**client.get_run(parent).data.params, **params}
    except MlflowException as error:
        if error.error_code in UNKNOWN:
            return version
        raise DataError(f"version {version.number} of {version.model}: run {run_id}: {brief(error)}") from error
    return replace(version, run_id=run_id, metrics=dict(run.data.metrics), params=params)


def split_differences(given: dict[str, str], wanted: dict[str, Any]) -> list[str]:
    """In what a training's division of its rows differs from that of the validation data; empty: the same."""
    differences = []
    for name in Splitting().described():
        if name not in given:
            differences.append(f"no {name}")
        elif not _equal(given[name], wanted[name]):
            differences.append(f"{name} {given[name]}")
    return differences


def _equal(one: str, other: Any) -> bool:
    try:
        return math.isclose(float(one), float(other))
    except ValueError:
        return one == str(other)
