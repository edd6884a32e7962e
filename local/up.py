"""Start, stop and show the local services: `make up`, `make down`, `make status`, `make reset`."""

import argparse
import sys

import clients
import jars
import supervisor
from airflow_service import Airflow
from cluster_service import Cluster
from dataproc_service import Dataproc
from gcs_service import Gcs
from kafka_service import Kafka
from mlflow_service import Mlflow
from services import LOCAL, ServiceError, locked, run_main

# In the order in which they start. Another one: a subclass of supervisor.Service, and its name here.
SERVICES: list[type[supervisor.Service]] = [Kafka, Gcs, Mlflow, Cluster, Dataproc, Airflow]
NAMES = [service.name for service in SERVICES]


def common_exports() -> dict[str, str]:
    """What every shell needs, whichever services run: the Python, connector jars, no way out to a cloud."""
    return {
        "PYSPARK_PYTHON": sys.executable,
        "SENTIMENT_JARS": ",".join(jars.connector_jars()),
        **clients.always(LOCAL, Gcs().ports()["tls_port"]),
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


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    if unknown := [name for name in args.services if name not in NAMES]:
        raise ServiceError(f"{args.command}: want SERVICES out of {', '.join(NAMES)}; found {', '.join(unknown)}")
    services = [service() for service in SERVICES]
    if args.command == "status":
        supervisor.status(services)
        return
    with locked(LOCAL / "up.lock"):
        if args.command == "reset":
            with locked(LOCAL / "serving.lock", "reset: want `make serve` ended first, found it running"):
                supervisor.reset(services)
            return
        do = supervisor.up if args.command == "up" else supervisor.down
        do(services, args.services, common_exports, LOCAL / "env")


if __name__ == "__main__":
    run_main(main)
