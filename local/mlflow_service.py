"""The MLflow server as one of the services: SQLite, artifacts through the server."""

import sys
from collections.abc import Mapping
from pathlib import Path

import clients
import settings
from services import ServiceError, open_local
from supervisor import Service

# It starts in 25 s instead of 131 s and takes 0.6 GB instead of 1.9 GB with these.
LEAN = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
}


class Mlflow(Service):
    """MLflow's own server; artifacts on gs:// where the object store runs at the first start, else in a folder.

    Clients see `mlflow-artifacts:` only: where artifacts lie is decided once and stays so until `make reset`.
    """

    name = "mlflow"
    start_seconds = 240.0

    def __init__(self, folder: Path | None = None, port: int = 0) -> None:
        super().__init__(folder, port)
        self._place = self.folder / "artifacts-are-in"

    def launch(self, env: Mapping[str, str]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        place = self.place(clients.STORE in env)
        self._place.write_text(place, encoding="utf-8")
        port = self.port
        options = {
            "--host": "127.0.0.1",
            "--port": str(port),
            "--workers": "1",
            "--backend-store-uri": f"sqlite:///{self.folder / 'mlflow.db'}",
            "--artifacts-destination": f"{place}/artifacts",
        }
        command = [sys.executable, "-m", "mlflow", "server", *(part for item in options.items() for part in item)]
        inherited = {name: value for name, value in env.items() if not name.startswith("MLFLOW_")}
        self.daemon.start(command, env={**inherited, **LEAN}, cwd=self.folder, ports={"port": port})

    def place(self, has_store: bool) -> str:
        """Where artifacts and the ledger lie, a folder or gs://; ServiceError: on gs://, and no store runs."""
        if (self.folder / "mlflow.db").is_file() and self._place.is_file():
            place = self._place.read_text(encoding="utf-8")
            if place.startswith("gs://") and not has_store:
                raise ServiceError(
                    f"mlflow: its artifacts are in {place}: want gcs to run too, found it stopped "
                    '(make up SERVICES="gcs mlflow")'
                )
            return place
        return f"gs://{settings.text('mlflow', 'bucket')}" if has_store else str(self.folder)

    def is_healthy(self) -> bool:
        try:
            with open_local(f"{self.address()}/health") as answer:
                return self.is_running() and bool(answer.status == 200)
        except (OSError, ValueError):
            return False

    def exports(self) -> dict[str, str]:
        found = {"MLFLOW_TRACKING_URI": self.address()}
        if self._place.is_file():
            found["SENTIMENT_LEDGER"] = f"{self._place.read_text(encoding='utf-8')}/ledger"
        return found
