"""Object stores for tests, each on a free port."""

from pathlib import Path

from daemons import wait_until
from gcs_service import Gcs
from services import free_port
from supervisor import environment


def start_gcs(folder: Path, binaries: Path) -> Gcs:
    """A running store with the buckets of the suite; the caller stops it."""
    made = Gcs(folder, free_port(), binaries, free_port())
    restart(made)
    return made


def restart(store: Gcs) -> None:
    """As `make up` does it."""
    store.launch(environment({}))
    wait_until(store.name, store.daemon, store.is_healthy, 30)
    store.complete()
