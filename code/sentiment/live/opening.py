"""The ledger of a registered model, at the place that was named or beside the artifacts, and its first entry."""

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from sentiment import objects
from sentiment.jobs import DataError
from sentiment.live.entries import FIRST
from sentiment.live.ledger import ChampionChangedError, Ledger
from sentiment.roles import CHALLENGER, CHAMPION
from sentiment.tracking import brief


def open_ledger(client: MlflowClient, model: str, location: str = "") -> Ledger:
    """The ledger of a registered model, which need not exist yet; ArgumentsError and DataError name --ledger.

    Args:
        client: of the registry.
        model: registered model.
        location: a local folder or gs://, for the ledgers of all models; empty: `ledger/` beside the artifacts.
    """
    return Ledger(client, model, objects.folder_at(location or default_location(client), "--ledger"))


def default_location(client: MlflowClient) -> str:
    """`ledger/` beside the default experiment's artifacts: a place that stays whatever is trained later."""
    wanted = "--ledger: want a local folder or gs://BUCKET/FOLDER, found none"
    try:
        location = str(client.get_experiment("0").artifact_location)
    except MlflowException as error:
        raise DataError(f"{wanted}, and no default experiment to lie beside: {brief(error)}") from error
    root = location.rstrip("/").removesuffix("/0")
    if objects.folder_or_none(root) is None:
        raise DataError(f"{wanted}, and artifacts lie at {location}")
    return f"{root}/ledger"


def announce_best(client: MlflowClient, name: str, version: str, ledger: Ledger) -> list[str]:
    """Give a new version of `<name>-best` its aliases: always challenger, and champion if it is the first of all."""
    client.set_registered_model_alias(name, CHALLENGER, version)
    if ledger.live() is not None or ledger.entries():
        return [CHALLENGER]
    try:
        ledger.move(FIRST, version, live=None, seen=0, previous=None, reason="first of its name", evidence={})
    except ChampionChangedError:  # two trainings at once: the other one was first
        return [CHALLENGER]
    return [CHALLENGER, CHAMPION]
