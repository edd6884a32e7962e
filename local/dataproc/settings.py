"""What the server is told when it is started."""

import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_CLUSTER = "sentiment-cluster"
SECRET = re.compile(r"(?i)(password|passwd|secret|token|credential|access.?key)")


def default_submit() -> tuple[str, ...]:
    """spark-submit of the environment that the server runs in."""
    return (str(Path(sys.executable).with_name("spark-submit")),)


@dataclass(frozen=True)
class Settings:
    """The settings; seconds are wall-clock seconds.

    Attributes:
        folder: the server's own folder: database, and one folder per job.
        storage_endpoint: URL of the object store; empty: there is none, and driver output stays a file.
        staging_bucket: where driver output goes for clusters that name no bucket of their own.
        submit: the command that takes spark-submit's arguments.
        master: Spark's master.
        conf: Spark properties of every job; a cluster's and a job's own go before them.
        jars: jars of every job, such as the connectors.
        patience: seconds from SIGTERM to SIGKILL when a job is cancelled.
        cluster_seconds: seconds that an operation on a cluster takes.
    """

    folder: Path
    storage_endpoint: str = ""
    staging_bucket: str = "dataproc-staging-local"
    submit: tuple[str, ...] = field(default_factory=default_submit)
    master: str = "local[*]"
    conf: Mapping[str, str] = field(default_factory=dict)
    jars: tuple[str, ...] = ()
    patience: float = 20.0
    cluster_seconds: float = 0.2


def split_pair(text: str) -> tuple[str, str]:
    """NAME=VALUE; ValueError for anything else."""
    name, sign, value = text.partition("=")
    if not sign or not name:
        shown = "***" if SECRET.search(text) else repr(text)
        raise ValueError(f"want NAME=VALUE, got {shown}")
    return name, value


def split_command(text: str) -> tuple[str, ...]:
    """A command as a shell would split it; ValueError when nothing is left."""
    command = tuple(shlex.split(text))
    if not command:
        raise ValueError("want a command, got nothing")
    return command
