"""A shell that sourced `.local/env`, for scripts that call gcloud: local servers, no credentials, no way out."""

import os
import subprocess
from pathlib import Path

import clients
from gcs_service import Gcs
from services import ROOT

PATIENCE_SECONDS = 600
"""A busy machine takes minutes for what a quiet one does in seconds."""


class Shell:
    """Runs scripts of the checkout against a store and, where one is given, a Dataproc server."""

    def __init__(self, folder: Path, gcs: Gcs, dataproc_port: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "JAVA_HOME") if name in os.environ}
        self.env = {**kept, "HOME": str(folder), **clients.exports(folder, *gcs.ports().values()), **gcs.exports()}
        self.env["CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAPROC"] = f"http://127.0.0.1:{dataproc_port or 1}/"

    def run(self, *command: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the checkout's root, with more of an environment."""
        return subprocess.run(
            [str(part) for part in command],
            cwd=ROOT,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
