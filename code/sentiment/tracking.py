"""What a training run leaves in MLflow: a parent run, one child per classifier, and everything that explains it."""

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mlflow
import pyspark
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

import sentiment
from sentiment import datasets, hadoop
from sentiment.jobs import DataError, one_line, without_secrets

LOCK_SECONDS = 60.0

PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def connect(uri: str, make: bool = True) -> MlflowClient:
    """Point MLflow at `uri` and make sure that runs and registry answer, before anything is trained.

    MLflow's own clients try again for minutes; here a server that is away is named within one.

    Args:
        uri: tracking server or database.
        make: a database file that is not there is made; without, it is an error.
    """
    try:
        with _alone_at(uri, make):
            found = client(uri)
            found.search_experiments(max_results=1)
            found.search_registered_models(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError, ImportError, ValueError) as error:
        raise DataError(
            f"--mlflow-uri {without_secrets(uri)}: want an MLflow server or database, found {brief(error)}"
        ) from error
    return found


@contextmanager
def _alone_at(uri: str, make: bool) -> Iterator[None]:
    """Inside, no other process makes the tables of a database file: MLflow lets two of them fail. Servers are left out.

    The folder is locked, so that no file is left beside the database. One that stands still meanwhile keeps nobody
    waiting for longer than LOCK_SECONDS.
    """
    name = make_url(uri).database if uri.startswith("sqlite:") else None
    if not name or name.startswith((":", "file:")):
        yield
        return
    file = Path(name)
    if not make and not file.exists():
        raise FileNotFoundError(f"no file {file}")
    if not file.exists():
        file.touch()  # where this fails, MLflow would try for two minutes
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        until = time.monotonic() + LOCK_SECONDS
        with contextlib.suppress(OSError):  # a file system without locks, or nothing to be gained by waiting
            while not _locked(folder) and time.monotonic() < until:
                time.sleep(0.1)
        yield
    finally:
        os.close(folder)


def _locked(folder: int) -> bool:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def client(uri: str) -> MlflowClient:
    """A client of `uri`, which is made MLflow's default; a server need not answer yet."""
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return MlflowClient()


def brief(error: BaseException) -> str:
    """An error's message as one short line, without passwords."""
    message = without_secrets(one_line(error))
    return message if len(message) <= 200 else f"{message[:200]} ..."


def java_line(error: BaseException) -> str:
    """An error as one line without passwords, the innermost of Java's messages where it comes from there."""
    return without_secrets(hadoop.first_line(error)) if isinstance(error, Py4JJavaError) else brief(error)


@contextmanager
def parent_run(experiment: str, params: dict[str, Any], tags: dict[str, str]) -> Iterator[mlflow.ActiveRun]:
    """The run of a whole training, always one of its own; it ends as FAILED when an exception passes."""
    os.environ.pop("MLFLOW_RUN_ID", None)  # whatever has started us: MLflow would go on with that run
    try:
        mlflow.set_experiment(experiment)
    except MlflowException as error:
        raise DataError(f"--mlflow-experiment {experiment}: {brief(error)}") from error
    with mlflow.start_run(run_name="training", tags=tags) as run:
        mlflow.log_params(params)
        yield run


def log_input(client: MlflowClient, run_id: str, frame: DataFrame, source: str, context: str) -> str:
    """Log `frame` as a dataset of a run; gives its digest, which depends on the rows alone, not on their order."""
    digest, rows = datasets.digest(frame)
    kind = urlsplit(source).scheme or "local"
    columns = [{"name": name, "type": dtype} for name, dtype in frame.dtypes]
    dataset = Dataset(
        name=context,
        digest=digest,
        source_type=kind,
        source=json.dumps({"uri": source}),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps({"num_rows": rows}),
    )
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])])
    return digest


def provenance() -> dict[str, str]:
    """Tags that say which code and which versions made a model."""
    return {
        "git_revision": os.environ.get("SENTIMENT_GIT_REVISION") or _git_revision(),
        "code_digest": _code_digest(),
        "spark_version": pyspark.__version__,
        "spark_minor": ".".join(pyspark.__version__.split(".")[:2]),
        "mlflow_version": mlflow.__version__,
        "python_version": platform.python_version(),
    }


def _git_revision() -> str:
    folder = Path(sentiment.__file__).parent
    try:
        command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return found.stdout.strip() or "unknown"


def _code_digest() -> str:
    """A hash of the package's own source and words, the same from a folder, a zip or a self-contained script."""
    kinds = (".py", ".txt")
    package = Path(sentiment.__file__).parent
    loader = sentiment.__loader__
    digest = hashlib.sha256()
    if package.is_dir():
        paths = [path for path in package.rglob("*") if path.suffix in kinds]
        sources = {path.relative_to(package).as_posix(): path.read_bytes() for path in paths}
    else:
        files: dict[str, Any] = loader._files  # type: ignore[union-attr]
        names = [name for name in files if name.startswith("sentiment/") and name.endswith(kinds)]
        sources = {name.removeprefix("sentiment/"): loader.get_data(str(package.parent / name)) for name in names}  # type: ignore[union-attr]
    for name in sorted(sources):
        digest.update(name.encode() + b"\0" + sources[name] + b"\0")
    return digest.hexdigest()[:16]
