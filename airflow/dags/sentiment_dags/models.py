"""The registry as the worker sees it: whether it answers, what a training registered, what is live, what is served.

MLflow's client goes on trying for minutes; here a server that is away is named within one, and the task's next try asks
again.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

from sentiment_dags.streams import Stream
from sentiment_dags.variables import AwayError

CHAMPION = "champion"
ALIASES = {"Production": CHAMPION, "Staging": "challenger"}
LOGIN = re.compile(r"(?<=://)([^/:@\s]*:\S*|[^/?#\s]*)@")
QUERY_SECRET = re.compile(r"([?&;][\w-]*(?:passw|pwd|token|secret|odbc_connect)[\w-]*=)[^&\s]+", re.IGNORECASE)
SERVER_ERROR, TOO_MANY = 500, 429  # status codes of HTTP
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "15"}


class RegistryError(RuntimeError):
    """The registry does not hold what it should, or is none; the line names address, model and version."""


def without_password(text: str) -> str:
    """An address, or a text that holds some, for logs and pages: neither who logs in nor a secret of the query.

    As without_secrets in code/sentiment/jobs.py has it.
    """
    return QUERY_SECRET.sub(r"\1***", LOGIN.sub("***@", text))


def client(uri: str) -> Any:
    """A client of a registry that answers.

    Raises:
        RegistryError: the address leads to none, or MLflow is not installed.
        AwayError: it does not answer now.
    """
    os.environ.update(PATIENCE)  # MLflow looks here with each request
    try:
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise RegistryError(f"want the package mlflow-skinny on the Airflow worker, found none: {error}") from None

    try:
        found = MlflowClient(uri, uri)
        found.search_registered_models(max_results=1)
    except (MlflowException, OSError, ImportError, ValueError) as error:
        raise (AwayError if is_away(error) else RegistryError)(
            "Variable mlflow_tracking_uri: want an MLflow server that answers, "
            f"found {without_password(uri)}: {_said(error)}"
        ) from None
    return found


def is_away(error: Exception) -> bool:
    """Whether MLflow's error says that no answer came, or none but that another moment is better."""
    status = getattr(error, "get_http_status_code", None)
    return isinstance(error, OSError) or (status is not None and (status() >= SERVER_ERROR or status() == TOO_MANY))


def _said(error: Exception) -> str:
    return without_password(" ".join(str(error).split()))[:300]


def champion(registry: Any, model: str) -> str:
    """The version that the alias champion names; empty: there is none. AwayError: MLflow does not answer now."""
    from mlflow.exceptions import MlflowException

    try:
        return str(registry.get_registered_model(model).aliases.get(CHAMPION, ""))
    except MlflowException as error:
        if is_away(error):
            raise AwayError(f"want the champion of {model}, found: {_said(error)}") from None
        return ""


def served(registry: Any, stream: Stream) -> str:
    """The version that the stream's alias means now: the alias itself, else the newest version in its stage.

    RegistryError: there is no such model, or nothing stands there. AwayError: the registry does not answer now.
    """
    from mlflow.exceptions import MlflowException

    name = stream.model_name
    alias = stream.model_alias or ALIASES[stream.model_stage]
    try:
        aliases = registry.get_registered_model(name).aliases
        staged = [
            int(each.version)
            for each in registry.search_model_versions(f"name = '{name}'")
            if not stream.model_alias and each.current_stage == stream.model_stage
        ]
    except MlflowException as error:
        raise (AwayError if is_away(error) else RegistryError)(
            f"stream {stream.name}: want the registered model {name}, found: {_said(error)}"
        ) from None
    if alias in aliases:
        return str(aliases[alias])
    if staged:
        return str(max(staged))
    known = ", ".join(sorted(aliases)) or "none"
    raise RegistryError(f"stream {stream.name}: want model {name} to have the alias {alias}, found {known}")


def verified(registry: Any, model: str, run: Mapping[str, Any]) -> dict[str, str]:
    """See that every version which a training says it registered is there, whole and of that training.

    Args:
        registry: client.
        model: the training's --registered-model-name.
        run: the training's run.json.

    Returns:
        Version by registered model, `<model>-best` among them.

    Raises:
        RegistryError: names the first that is not.
    """
    if run.get("state") != "finished" or not run.get("models") or not run.get("best", {}).get("version"):
        raise RegistryError(f"{model}: want a finished training with a best model, found state {run.get('state')!r}")
    wanted = {trained["name"]: (str(trained["version"]), trained["run_id"]) for trained in run["models"].values()}
    best = run["models"][run["best"]["classifier"]]
    wanted[f"{model}-best"] = (str(run["best"]["version"]), best["run_id"])
    for name, (version, run_id) in wanted.items():
        _verify(registry, name, version, run_id)
    return {name: version for name, (version, _) in wanted.items()}


def _verify(registry: Any, name: str, version: str, run_id: str) -> None:
    from mlflow.artifacts import list_artifacts
    from mlflow.exceptions import MlflowException

    try:
        found = registry.get_model_version(name, version)
        if found.status != "READY" or found.run_id != run_id:
            raise RegistryError(
                f"{name} version {version}: want it READY and of run {run_id}, "
                f"found {found.status} of run {found.run_id}"
            )
        files = list_artifacts(artifact_uri=found.source, tracking_uri=registry.tracking_uri)
    except MlflowException as error:
        raise RegistryError(f"{name} version {version}: {str(error).partition(chr(10))[0][:300]}") from None
    if "MLmodel" not in {file.path.rpartition("/")[2] for file in files}:
        raise RegistryError(f"{name} version {version}: want an MLmodel at {found.source}, found none")
