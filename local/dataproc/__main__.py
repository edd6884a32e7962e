"""Serve the Dataproc v1 API on 127.0.0.1 over gRPC and REST; its jobs are run by spark-submit on this machine."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TypeVar
from urllib.parse import urlsplit

from google.cloud import dataproc_v1 as dp
from services import ServiceError, locked, require_free, run_main

from dataproc import grpc_api, rest_api
from dataproc.clusters import Clusters
from dataproc.errors import ApiError
from dataproc.jobs import Jobs
from dataproc.methods import methods
from dataproc.operations import Operations
from dataproc.settings import Settings, default_submit, split_command, split_pair
from dataproc.staging import storage
from dataproc.store import Store
from sentiment import emulator

Value = TypeVar("Value")
GRACE_SECONDS = 2.0


def checked(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    """A parser for argparse, which shows the message of a ValueError only when it is raised as its own."""

    def type_(text: str) -> Value:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return type_


def port(text: str) -> int:
    """A port number."""
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ValueError(f"want a port number from 1 to 65535, got {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """Seconds, 0 or more."""
    if not text.replace(".", "", 1).isdecimal():
        raise ValueError(f"want seconds >= 0, got {text!r}")
    return float(text)


def endpoint(text: str) -> str:
    """The URL of an object store on this machine; empty: none."""
    parts = urlsplit(text)
    if text and (parts.scheme != "http" or parts.hostname not in ("127.0.0.1", "localhost")):
        raise ValueError(f"want http://127.0.0.1:PORT, got {text!r}")
    return text.rstrip("/")


def seeded(text: str) -> tuple[str, str, str]:
    """PROJECT/REGION/NAME."""
    parts = text.split("/")
    if len(parts) != 3 or not all(parts):
        raise ValueError(f"want PROJECT/REGION/NAME, got {text!r}")
    return parts[0], parts[1], parts[2]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dataproc", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--grpc-port", type=checked(port), required=True, help="port for gRPC clients")
    add("--rest-port", type=checked(port), required=True, help="port for REST clients, and for GET /healthz")
    add("--folder", type=Path, required=True, help="folder for the server's state and its jobs' files")
    add("--storage-endpoint", type=checked(endpoint), default="", help="URL of the object store; none without it")
    add("--staging-bucket", default=Settings.staging_bucket, help="bucket for driver output (default: %(default)s)")
    add("--master", default=Settings.master, help="Spark's master (default: %(default)s)")
    add(
        "--conf",
        type=checked(split_pair),
        action="append",
        default=[],
        help="NAME=VALUE, a Spark property of every job",
    )
    add("--jars", default="", help="jars of every job, with commas between")
    add(
        "--submit-command",
        type=checked(split_command),
        default=default_submit(),
        help="command that takes spark-submit's arguments (default: spark-submit of this environment)",
    )
    add(
        "--cancel-seconds",
        type=checked(seconds),
        default=Settings.patience,
        help="seconds from SIGTERM to SIGKILL when a job is cancelled (default: %(default)s)",
    )
    add(
        "--cluster-seconds",
        type=checked(seconds),
        default=Settings.cluster_seconds,
        help="seconds that an operation on a cluster takes (default: %(default)s)",
    )
    add("--cluster", type=checked(seeded), action="append", default=[], help="PROJECT/REGION/NAME to be there at once")
    return parser.parse_args(argv)


def settings_of(args: argparse.Namespace) -> Settings:
    """The settings that the arguments give."""
    # Where no store runs drivers get no answer from where it would be, and never one from a cloud.
    store = args.storage_endpoint or os.environ.get("STORAGE_EMULATOR_HOST", "")
    conf = emulator.settings(store) if store else {}
    return Settings(
        folder=args.folder.absolute(),
        storage_endpoint=args.storage_endpoint,
        staging_bucket=args.staging_bucket,
        submit=args.submit_command,
        master=args.master,
        conf={**conf, **dict(args.conf)},
        jars=tuple(jar for jar in args.jars.split(",") if jar),
        patience=args.cancel_seconds,
        cluster_seconds=args.cluster_seconds,
    )


def make_bucket(settings: Settings) -> None:
    """Make the staging bucket, unless it is there; ServiceError when the object store does not answer."""
    from google.api_core.exceptions import Conflict, GoogleAPIError
    from requests.exceptions import RequestException

    if not settings.storage_endpoint:
        return
    try:
        storage(settings.storage_endpoint).create_bucket(settings.staging_bucket, timeout=10, retry=None)
    except Conflict:
        return
    except (GoogleAPIError, RequestException) as error:
        raise ServiceError(
            f"--storage-endpoint: want an object store, {settings.storage_endpoint} gave {type(error).__name__}"
        ) from None


def seed(clusters: Clusters, wanted: list[tuple[str, str, str]]) -> None:
    """Create the clusters that are not there yet."""
    for project, region, name in wanted:
        cluster = dp.Cluster(cluster_name=name, config=dp.ClusterConfig())
        try:
            clusters.get(dp.GetClusterRequest(project_id=project, region=region, cluster_name=name))
        except ApiError as error:
            if error.code.name != "NOT_FOUND":
                raise ServiceError(f"--cluster: {error}") from None
            clusters.create(dp.CreateClusterRequest(project_id=project, region=region, cluster=cluster))


def run(args: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT; drivers that run then are stopped."""
    settings = settings_of(args)
    settings.folder.mkdir(parents=True, exist_ok=True)
    with locked(settings.folder / "lock", f"--folder: want one that no other server uses, got {settings.folder}"):
        require_free(args.rest_port, "dataproc", "--rest-port")
        require_free(args.grpc_port, "dataproc", "--grpc-port")
        make_bucket(settings)
        store = Store(settings.folder / "state.sqlite")
        jobs = Jobs(store, settings)
        clusters = Clusters(store, settings, jobs)
        table = methods(clusters, jobs, Operations(store, jobs))
        rest = rest_api.serve(table, args.rest_port)
        grpc_server = grpc_api.serve(table, args.grpc_port)
        stop = threading.Event()

        def ask(number: int, _: FrameType | None) -> None:  # noqa: ARG001
            stop.set()

        signal.signal(signal.SIGTERM, ask)
        signal.signal(signal.SIGINT, ask)
        seed(clusters, args.cluster)
        clusters.start()
        jobs.resume()
        threading.Thread(target=rest.serve_forever, name="rest", daemon=True).start()
        print(f"dataproc: gRPC 127.0.0.1:{args.grpc_port}, REST http://127.0.0.1:{args.rest_port}/", flush=True)
        stop.wait()
        rest.shutdown()
        grpc_server.stop(GRACE_SECONDS).wait()
        clusters.close()
        jobs.close()


if __name__ == "__main__":
    run_main(lambda: run(parse_args(sys.argv[1:])))
