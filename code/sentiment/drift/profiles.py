"""The training profile of a model version, out of its run in MLflow."""

from dataclasses import dataclass
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from sentiment.drift import bins
from sentiment.drift.bins import Bins
from sentiment.gate import versions
from sentiment.jobs import DataError
from sentiment.live.aliases import Aliases
from sentiment.tracking import brief

FILE = "profile.json"


@dataclass(frozen=True)
class Profile:
    """What a version saw and said on the test rows of its training.

    Attributes:
        model: registered model.
        version: its number.
        run_id: of the training run.
        rows: test rows.
        positive_share: of what the version said to them.
        features: their bins, by feature.
    """

    model: str
    version: str
    run_id: str
    rows: int
    positive_share: float
    features: dict[str, Bins]


def read(client: MlflowClient, model: str, version: str) -> Profile:
    """The profile of a version; empty: of the champion.

    Raises:
        DataError: no such model or version, no profile, or one that holds no bins.
    """
    number = version or Aliases(client, model).live()
    if number is None:
        raise DataError(f"--model-name {model}: want a version with alias champion, found none")
    run_id = versions.read(client, model, number).run_id
    where = f"{model} version {number}"
    if not run_id:
        raise DataError(f"{where}: want {FILE} in the run that made it, found no such run (any more)")
    held = _held(client, run_id, where)
    try:
        features = bins.read(held)
        rows, share = int(held["rows"]), float(held["positive_share"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{where}: {FILE} of run {run_id}: want format {bins.FORMAT} with bins, found {brief(error)}; "
            "a version trained by this release has it"
        ) from error
    return Profile(model, number, run_id, rows, share, features)


def _held(client: MlflowClient, run_id: str, where: str) -> Any:
    try:
        if FILE not in {artifact.path for artifact in client.list_artifacts(run_id)}:
            raise DataError(f"{where}: want {FILE} in run {run_id}, found none; the suite's trainings write one")
        return mlflow.artifacts.load_dict(f"runs:/{run_id}/{FILE}")
    except (MlflowException, OSError) as error:
        raise DataError(f"{where}: {FILE} of run {run_id} cannot be read: {brief(error)}") from error
