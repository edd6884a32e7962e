"""Start, stop and show the local services: `make up`, `make down`, `make status`, `make reset`."""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import clients
import jars
import supervisor
from airflow_service import Airflow
from cluster_service import Cluster
from daemons import Daemon, end
from dataproc_service import Dataproc
from gcs_service import Gcs
from kafka_service import Kafka
from mlflow_service import Mlflow
from services import LOCAL, ROOT, SettingError, locked, run_main

# In the order in which they start. Another one: a subclass of supervisor.Service, and its name here.
SERVICES: list[type[supervisor.Service]] = [Kafka, Gcs, Mlflow, Cluster, Dataproc, Airflow]
NAMES = [service.name for service in SERVICES]


# What lies in the folder of the services beside a folder of each.
OURS = ("bin", "boto", "env", "gcloud", "gcs-install.log", "gsutil", "jars", "serving", "serving.lock", "up.lock")


def common_exports() -> dict[str, str]:
    """What every shell needs, whichever services run: the Python, connector jars, no way out to a cloud."""
    gcs = Gcs().ports()
    return {
        "PYSPARK_PYTHON": sys.executable,
        "SENTIMENT_JARS": ",".join(jars.connector_jars()),
        **clients.always(LOCAL, gcs["port"], gcs["tls_port"]),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
    }


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("command", choices=["up", "down", "status", "reset"], help="what to do")
    parser.add_argument(
        "services",
        nargs="*",
        metavar="SERVICE",
        help=f"out of {', '.join(NAMES)} (default: all, cluster where jobs shall run there)",
    )
    return parser.parse_args(argv)


def reset(services: Sequence[supervisor.Service], folder: Path) -> None:
    """Stop every service without saving anything and remove `folder`; elsewhere than in .local/ only what is ours."""
    for service in reversed(services):
        service.stop()
    ours = {*OURS, *(service.folder.name for service in services)}
    for path in folder.iterdir():
        if path.name in ours or folder == ROOT / ".local":
            if path.is_dir() and not path.is_symlink():
                _end_daemons(path)
                shutil.rmtree(path)
            else:
                path.unlink()
    kept = sorted(path.name for path in folder.iterdir())
    if not kept:
        folder.rmdir()
    left = f"; {', '.join(kept)} in it is none of ours and stays" if kept else ""
    print(f"reset: {os.path.relpath(folder)} is gone, with all data and jars of the local services{left}")


def _end_daemons(folder: Path) -> None:
    """End whose pid files would go: what a killed `make serve` left, or services of a set that lies in there."""
    for pid_file in [*folder.glob("*.pid"), *folder.glob("*/*.pid")]:
        daemon = Daemon(pid_file.stem, pid_file.parent)
        daemon.stop()
        end(daemon.marked())


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    if unknown := [name for name in args.services if name not in NAMES]:
        raise SettingError(f"{args.command}: want SERVICES out of {', '.join(NAMES)}; found {', '.join(unknown)}")
    if args.command == "reset" and args.services:
        raise SettingError(f"reset: want no SERVICES, as the data of all of them go; found {', '.join(args.services)}")
    services = [service() for service in SERVICES]
    if args.command == "status":
        supervisor.status(services)
        return
    with locked(LOCAL / "up.lock"):
        if args.command == "reset":
            with locked(LOCAL / "serving.lock", "reset: want `make serve` ended first, found it running"):
                reset(services, LOCAL)
            return
        do = supervisor.up if args.command == "up" else supervisor.down
        do(services, args.services, common_exports, LOCAL / "env")


if __name__ == "__main__":
    run_main(main)
