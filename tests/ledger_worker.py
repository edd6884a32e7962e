"""Registries to move champions in, and processes that do so until they are killed."""

import atexit
import importlib.util
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import document_commands
from mlflow.tracking import MlflowClient

from sentiment import progress, tracking
from sentiment.jobs import DataError
from sentiment.live import claims
from sentiment.live.entries import PROMOTED, ROLLED_BACK, Entry
from sentiment.live.ledger import ChampionChangedError, Ledger
from sentiment.pausing import PAUSE_VARIABLE

MODEL = "tweets-best"
VERSIONS = 5
STOP = "stop"
PRELOADED = ["ledger_worker", "mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store"]
"""What a server of forks imports once, so that a worker is there within a fraction of a second."""


class Place:
    """A registry on SQLite with five versions of MODEL, none of them live, and a folder for its ledger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = f"sqlite:///{folder / 'registry.db'}"
        self.location = str(folder / "ledger")
        if not (folder / "registry.db").exists():
            shutil.copy(_template(), folder / "registry.db")
        self.client = tracking.client(self.uri)

    def ledger(self, **how: Any) -> Ledger:
        """The ledger, opened anew."""
        return Ledger(self.client, MODEL, self.location, **how)

    def started(self, *versions: str) -> Ledger:
        """A ledger in which the versions became live one after the other."""
        ledger = self.ledger()
        for version in versions:
            promote(ledger, version)
        return ledger

    def aliases(self) -> dict[str, str]:
        """Versions by alias."""
        found = self.client.get_registered_model(MODEL).aliases
        return {alias: str(version) for alias, version in found.items()}


@lru_cache(maxsize=1)
def _template() -> Path:
    """A registry to copy: MLflow takes seconds to make a new one."""
    folder = Path(tempfile.mkdtemp(prefix="ledger-registry-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    client = tracking.client(f"sqlite:///{folder / 'registry.db'}")
    experiment = client.create_experiment("figures", artifact_location=(folder / "artifacts").as_uri())
    client.create_registered_model(MODEL)
    for number in range(1, VERSIONS + 1):
        run = client.create_run(experiment)
        for name, value in {"accuracy": 0.5 + number / 64, "roc_auc": 0.75 + number / 64, "log_loss": 0.5}.items():
            client.log_metric(run.info.run_id, name, value)
        client.create_model_version(MODEL, (folder / f"model-{number}").as_uri(), run.info.run_id)
    return folder / "registry.db"


def script(name: str) -> ModuleType:
    """A script of ci-cd/ as a module: their names cannot be imported."""
    spec = importlib.util.spec_from_file_location(name.replace("-", "_"), document_commands.ROOT / "ci-cd" / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def promote(ledger: Ledger, version: str, reason: str = "better") -> None:
    """Make a version live, as the gate does."""
    live, seen = ledger.settle(), len(ledger.entries())
    ledger.move(PROMOTED, version, live=live, seen=seen, previous=live, reason=reason, evidence={})


def roll_back(ledger: Ledger, version: str, reason: str = "worse") -> None:
    """Make an earlier version live, as rollback-model.py does."""
    live, seen = ledger.settle(), len(ledger.entries())
    ledger.move(ROLLED_BACK, version, live=live, seen=seen, previous=ledger.before(version), reason=reason, evidence={})


def leave_open(place: Place, to: str, owner: dict[str, object]) -> Entry:
    """A claim whose owner did not come to move the aliases."""
    mine = place.ledger()
    live = mine.settle()
    number = mine.records.last_number()
    entry = mine._next(number, PROMOTED, live, to, live, "left open", {})
    claimed = Entry(**{**entry.__dict__, "owner": owner})
    assert mine.records.claim(claimed)
    return claimed


def dead_owner() -> dict[str, object]:
    """A process of this host that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return {**claims.owner("dead"), "pid": ended.pid}


def keep_moving(folder: str, seed: int, log: str, pause: str = "") -> None:
    """Promote and roll back at random until there is a file STOP in the folder; in a process of its own."""
    os.environ[PAUSE_VARIABLE] = pause
    progress.start_logging(Path(log))
    choice = random.Random(seed)  # noqa: S311
    ledger = Place(Path(folder)).ledger()
    while not (Path(folder) / STOP).exists():
        try:
            live = ledger.settle()
            others = [str(number) for number in range(1, VERSIONS + 1) if str(number) != live]
            back = {entry.to_version for entry in ledger.entries()} - {live, None}
            if back and choice.random() < 0.5:
                roll_back(ledger, choice.choice(sorted(filter(None, back))))
            else:
                promote(ledger, choice.choice(others))
            time.sleep(choice.uniform(0, 0.05))
        except ChampionChangedError:
            continue
        except DataError as error:
            if "database is locked" not in str(error):
                raise


class FrozenClient(MlflowClient):
    """A client whose first call for an alias is on its way while the process is stopped."""

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)
        super().set_registered_model_alias(name, alias, version)


def move_frozen(folder: str, version: str, log: str, hold_seconds: float) -> None:
    """Promote a version; the process stops inside the call that moves the champion, and goes on when it is told to."""
    progress.start_logging(Path(log))
    place = Place(Path(folder))
    frozen = FrozenClient(place.uri, place.uri)
    live, seen = place.ledger().settle(), len(place.ledger().entries())
    ledger = Ledger(frozen, MODEL, place.location, hold_seconds=hold_seconds)
    ledger.move(PROMOTED, version, live=live, seen=seen, previous=live, reason="slow", evidence={})
