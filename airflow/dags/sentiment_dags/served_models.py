"""Which version of a registered model a stream will score with, asked of the MLflow server within a minute."""

import os
from typing import Any
from urllib.parse import urlsplit

from sentiment_dags.streams import Stream

PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
ALIASES = {"Production": "champion", "Staging": "challenger"}


class RegistryError(Exception):
    """The registry does not answer, or has no such model; the message names address or model."""


def client(uri: str) -> Any:
    """A client of an MLflow server that answers; RegistryError names its address."""
    os.environ.update(PATIENCE)  # MLflow's own patience is minutes; it looks here with each request
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    try:
        made = MlflowClient(tracking_uri=uri, registry_uri=uri)
        made.search_registered_models(max_results=1)
    except (MlflowException, OSError, ValueError, ImportError) as error:
        said = " ".join(str(error).split())[:200]
        raise RegistryError(
            f"Variable mlflow_tracking_uri: want an MLflow server that answers, found {without_secrets(uri)}: {said}"
        ) from None
    return made


def without_secrets(uri: str) -> str:
    """The URI without user name and password."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else uri


def version(registry: Any, stream: Stream) -> str:
    """The version that the stream's alias means: the alias itself, else the newest version in its stage.

    RegistryError: there is no such model, or nothing stands there.
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
        said = " ".join(str(error).split())[:200]
        raise RegistryError(f"stream {stream.name}: want the registered model {name}, found: {said}") from None
    if alias in aliases:
        return str(aliases[alias])
    if staged:
        return str(max(staged))
    known = ", ".join(sorted(aliases)) or "none"
    raise RegistryError(f"stream {stream.name}: want model {name} to have the alias {alias}, found {known}")
