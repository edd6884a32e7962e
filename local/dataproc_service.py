"""The Dataproc server as one of the services."""

import json
import sys
import urllib.error
from collections.abc import Mapping

import clients
import cluster_service
import settings
from services import ROOT, ServiceError, SettingError, open_local
from supervisor import Service

# Drivers listen on this machine alone, and their user interface on no port at all.
DRIVER_CONF = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
}


class Dataproc(Service):
    """The Dataproc v1 API over gRPC and REST, with the suite's cluster; its jobs are spark-submits on this machine."""

    name = "dataproc"
    section_keys = ("grpc_port", "rest_port")

    def launch(self, env: Mapping[str, str]) -> None:
        ports = self.ports()
        cluster = "/".join(settings.text("cloud", key) for key in ("project", "region", "cluster"))
        options = {
            "--grpc-port": str(ports["grpc_port"]),
            "--rest-port": str(ports["rest_port"]),
            "--folder": str(self.folder),
            "--cluster": cluster,
            "--master": spark_master(env.get(cluster_service.VARIABLE, "")),
            "--jars": env.get("SENTIMENT_JARS", ""),
            "--storage-endpoint": env["STORAGE_EMULATOR_HOST"] if clients.STORE in env else "",
            "--staging-bucket": settings.text("dataproc", "staging_bucket"),
        }
        command = [sys.executable, "-m", "dataproc", *(part for item in options.items() for part in item)]
        for name, value in DRIVER_CONF.items():
            command += ["--conf", f"{name}={value}"]
        known = {**env, "SPARK_LOCAL_IP": "127.0.0.1", "PYTHONPATH": str(ROOT / "code")}
        master = settings.text("dataproc", "spark_master")
        self.daemon.start(command, env=known, cwd=ROOT / "local", ports=ports, spark_master=master)

    def is_healthy(self) -> bool:
        """Whether it answers, and its cluster takes jobs, which it does a moment later (unless somebody deleted it)."""
        project, region, cluster = (settings.text("cloud", key) for key in ("project", "region", "cluster"))
        place = f"v1/projects/{project}/regions/{region}/clusters/{cluster}"
        try:
            with open_local(f"http://127.0.0.1:{self.ports()['rest_port']}/{place}") as answer:
                return self.is_running() and json.load(answer)["status"]["state"] != "CREATING"
        except urllib.error.HTTPError as error:
            return self.is_running() and error.code == 404
        except (OSError, ValueError, KeyError):
            return False

    def complete(self) -> None:
        asked, runs = settings.text("dataproc", "spark_master"), (self.daemon.note() or {}).get("spark_master")
        if runs and runs != asked:
            print(f"dataproc: ran already with spark_master = {runs}; {asked} counts after `make down`")

    def address(self) -> str:
        return f"127.0.0.1:{self.port} (gRPC), http://127.0.0.1:{self.ports()['rest_port']}"

    def exports(self) -> dict[str, str]:
        return {
            "DATAPROC_ENDPOINT": f"127.0.0.1:{self.port}",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAPROC": f"http://127.0.0.1:{self.ports()['rest_port']}/",
        }


def spark_master(cluster: str) -> str:
    """Spark's master for the jobs; ServiceError: it is to be the cluster, and there is none.

    Args:
        cluster: spark://HOST:PORT of the standalone cluster; empty: it does not run.
    """
    wanted = settings.text("dataproc", "spark_master")
    if wanted == cluster_service.WANTED:
        if not cluster:
            raise ServiceError(
                f'dataproc: spark_master is "{wanted}": want cluster to run too, found it stopped '
                '(make up SERVICES="cluster dataproc")'
            )
        return cluster
    if not wanted.startswith("local"):
        setting = settings.names("dataproc", "spark_master")
        raise SettingError(f"dataproc: want {setting} to be local[N] or cluster, found {wanted!r}")
    return wanted
