"""The scripts of ci-cd/ as a user runs them: in a shell that knows the local services and nothing else."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import clients
from dataproc_server import Server
from gcs_service import Gcs
from services import ROOT

SETTINGS = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1", "KAFKA_BOOTSTRAP": "127.0.0.1:1", "MODEL_NAME": "tiny-best"}


class Scripts:
    """Runs a script with the variables of `.local/env` and those given."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = {**variables, **SETTINGS}

    def start(self, script: str, *words: str, **variables: str) -> subprocess.Popen[str]:
        """The script, running."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME", "JAVA_HOME") if name in os.environ}
        return subprocess.Popen(
            [str(ROOT / "ci-cd" / script), *words],
            env={**kept, **self.variables, **variables},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, script: str, *words: str, **variables: str) -> tuple[int, str, str]:
        """Its exit code, and what it said on stdout and stderr."""
        return ended(self.start(script, *words, **variables))


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Its exit code, and what it said on stdout and stderr."""
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def local(folder: Path, gcs: Gcs, server: Server) -> Scripts:
    """Scripts led to an object store and a Dataproc server."""
    dataproc = {"CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAPROC": f"http://127.0.0.1:{server.rest_port}/"}
    return Scripts({**clients.exports(folder, *gcs.ports().values()), **dataproc})
