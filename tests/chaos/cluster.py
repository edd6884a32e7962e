"""A standalone Spark cluster for tests: the one of `make up`, on free ports."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster_service import Cluster
from daemons import wait_until
from services import free_port
from supervisor import environment


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """A cluster with everything that belongs to it under `folder`, stopped at the end."""
    made = Cluster(folder, {key: free_port() for key in Cluster.section_keys})
    try:
        made.launch(environment({}))
        wait_until(made.name, made.daemons, made.is_healthy, made.start_seconds)
        yield made
    finally:
        made.stop()
