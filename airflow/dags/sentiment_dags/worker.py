"""What a task on an Airflow worker works with: the package `sentiment`, the Dataproc jobs, the store's credentials."""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sentiment_dags import store
from sentiment_dags.jobs import code_folder
from sentiment_dags.models import RegistryError
from sentiment_dags.serving_jobs import DeploymentError, Jobs
from sentiment_dags.settings import Settings, airflow_variable, read, restored
from sentiment_dags.staging import CHECKOUT, PACKAGE
from sentiment_dags.store import CONNECTION
from sentiment_dags.variables import SettingsError


def settings_of(params: Mapping[str, Any]) -> Settings:
    """What a DAG's first task reads; AirflowFailException: a value does not fit."""
    with at_once():
        return read(params, airflow_variable)


def package(settings: Settings, checkout: Path = CHECKOUT) -> None:
    """Make `import sentiment` work: the checkout's own, or the staged zip of code_revision."""
    if "sentiment" in sys.modules:
        return
    place = checkout / "code"
    if not (place / "sentiment").is_dir():
        place = _fetched(settings)
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))


def _fetched(settings: Settings) -> Path:
    """The staged zip, kept in the user's cache: every task is a process of its own, and Airflow's end without exits."""
    place = Path.home() / ".cache" / "sentiment" / settings.code_revision / PACKAGE
    if settings.code_revision and place.is_file():
        return place
    uri = f"{code_folder(settings, settings.code_revision)}/{PACKAGE}"
    client = store.client(CONNECTION)
    if not settings.code_revision or store.missing(client, [uri]):
        raise SettingsError(f"Variable code_revision: want a staged revision, found none at {uri}")
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        fresh = Path(folder, PACKAGE)
        store.blob(client, uri).download_to_filename(str(fresh), timeout=store.SECONDS)
        fresh.replace(place)  # whole: another task may be looking for it
    return place


@contextmanager
def at_once() -> Iterator[None]:
    """What a user has to change fails its task in one line, and no other try is made: it would meet the same."""
    from airflow.sdk.exceptions import AirflowFailException

    try:
        yield
    except (DeploymentError, RegistryError, SettingsError) as error:
        raise AirflowFailException(str(error)) from None


@contextmanager
def at_work(described: Mapping[str, Any]) -> Iterator[tuple[Settings, Jobs]]:
    """The settings out of XCom and the region's jobs, with the connection's credentials for gs:// too."""
    from airflow.providers.google.cloud.hooks.dataproc import DataprocHook

    settings = restored(described)
    hook = DataprocHook(gcp_conn_id=CONNECTION)
    project = settings.project_id or hook.project_id
    with at_once(), hook.provide_gcp_credential_file_as_context():
        package(settings)
        yield settings, Jobs(hook.get_job_client(region=settings.region), project, settings.region)
