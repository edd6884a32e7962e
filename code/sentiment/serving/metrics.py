"""What operators see: a JSON log line per batch, Prometheus text, health, and MLflow once a minute.

All of it on threads of its own behind a bounded queue: a slow reader or a registry that is away costs figures,
never time of the stream.
"""

import json
import queue
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import mlflow
from mlflow.tracking import MlflowClient

from sentiment.jobs import ArgumentsError
from sentiment.progress import log
from sentiment.serving.layout import SLOW_SECONDS
from sentiment.tracking import brief

MLFLOW_SECONDS = 60.0
WAITING_BATCHES = 1_000
HOLDER_SECONDS = 3.0

_HELP = {
    "batches_total": "batches completed by this driver",
    "rows_in_total": "messages taken in",
    "rows_out_total": "predictions written",
    "dead_letters_total": "messages that could not be scored",
    "model_swaps_total": "model swaps",
    "batch_seconds": "wall seconds of the last batch",
    "step_seconds": "wall seconds of the last batch by step; score is parsing too, which is one job with it",
    "input_lag_seconds": "age of the oldest message of the last batch when it was scored",
    "positive_share": "share of positive predictions in the last batch",
    "mean_confidence": "mean probability of the predicted class in the last batch",
    "model_staleness_seconds": "since the registry last answered",
    "seconds_since_batch": "since the last batch was complete, or since the start",
    "retrying": "1 while a step that has failed is tried again, else 0",
    "metrics_dropped_total": "batches whose figures were dropped because nobody took them in time",
}


class Metrics:
    """Figures of the running stream.

    Args:
        state: gives what is true at the moment: checkpoint, model_name, model_version, staleness, swaps, rejected,
            retrying (the fields of batch.Trouble, or None).
    """

    def __init__(self, state: Callable[[], dict[str, Any]]) -> None:
        self._state = state
        self._queue: queue.Queue[dict[str, Any]] = queue.Queue(WAITING_BATCHES)
        self._totals = dict.fromkeys(
            ("batches_total", "rows_in_total", "rows_out_total", "dead_letters_total", "metrics_dropped_total"), 0
        )
        self._last: dict[str, Any] = {}
        self._since = time.monotonic()
        self._server: ThreadingHTTPServer | None = None
        self._ended = threading.Event()
        self._mlflow: threading.Thread | None = None

    def report(self, manifest: dict[str, Any]) -> None:
        """Take in a completed batch; never waits."""
        shown = {
            name: value for name, value in manifest.items() if name not in ("source", "files", "dead_letter_files")
        }
        log.info("%s", json.dumps({"event": "batch", **shown}, sort_keys=True))
        self._last, self._since = manifest, time.monotonic()
        self._totals["batches_total"] += 1
        for name in ("rows_in", "rows_out", "dead_letters"):
            self._totals[f"{name}_total"] += manifest[name]
        try:
            self._queue.put_nowait(manifest)
        except queue.Full:
            self._totals["metrics_dropped_total"] += 1

    def prometheus(self) -> str:
        """All figures in Prometheus' text format."""
        state = self._state()
        values = {
            **self._totals,
            "model_swaps_total": state["swaps"],
            "model_staleness_seconds": state["staleness"],
            "seconds_since_batch": time.monotonic() - self._since,
            "retrying": int(state["retrying"] is not None),
        }
        if self._last:
            values |= {name: self._last[name] for name in ("positive_share", "mean_confidence")}
            values |= {"batch_seconds": self._last["seconds"]["total"], "input_lag_seconds": self._last["lag_seconds"]}
        lines = []
        for name, value in values.items():
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += [f"# HELP sentiment_{name} {_HELP[name]}", f"# TYPE sentiment_{name} {kind}"]
            lines.append(f"sentiment_{name} {value}")
        lines += [f"# HELP sentiment_step_seconds {_HELP['step_seconds']}", "# TYPE sentiment_step_seconds gauge"]
        for step, seconds in _steps(self._last).items():
            lines.append(f"sentiment_step_seconds{_labels(step=step)} {seconds}")
        lines.append("# TYPE sentiment_model_info gauge")
        lines.append(f"sentiment_model_info{_labels(name=state['model_name'], version=state['model_version'])} 1")
        lines.append("# TYPE sentiment_model_rejected gauge")
        for version, reason in [state["rejected"]] if state["rejected"] else []:
            lines.append(f"sentiment_model_rejected{_labels(version=version, reason=reason)} 1")
        return "\n".join(lines) + "\n"

    def health(self) -> dict[str, Any]:
        """The state of the stream as one JSON object; `status` is ok, or retrying while a step fails."""
        last = {name: self._last.get(name) for name in ("batch_id", "rows_in", "rows_out", "model_version")}
        state = self._state()
        trouble = state["retrying"]
        if trouble:
            since = datetime.fromtimestamp(trouble["since"], UTC).isoformat(timespec="seconds")
            state["retrying"] = {**trouble, "since": since, "seconds": round(time.time() - trouble["since"], 1)}
        status = "retrying" if trouble else "ok"
        return {"status": status, **state, "last_batch": last if self._last else None, **self._totals}

    def serve(self, port: int) -> None:
        """Answer GET /metrics and /health on 127.0.0.1; /health with 503 where a step fails for SLOW_SECONDS."""
        metrics = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self._answer(200, "text/plain; version=0.0.4", metrics.prometheus())
                elif self.path == "/health":
                    found = metrics.health()
                    stuck = found["retrying"] and found["retrying"]["seconds"] > SLOW_SECONDS
                    self._answer(503 if stuck else 200, "application/json", json.dumps(found) + "\n")
                else:
                    self._answer(404, "text/plain", "want /metrics or /health\n")

            def _answer(self, status: int, kind: str, text: str) -> None:
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """The stream's log is for the stream."""

        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        except OSError as error:
            raise _taken(port, error) from error
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def log_to_mlflow(self, client: MlflowClient, tags: dict[str, str]) -> None:
        """Log figures to a run of the experiment `serving`, summed up once a minute."""
        self._mlflow = threading.Thread(target=self._log_for_ever, args=(client, tags), name="mlflow", daemon=True)
        self._mlflow.start()

    def stop(self) -> None:
        """Log what is left, for two seconds at most, and end."""
        self._ended.set()
        if self._mlflow is not None:
            self._mlflow.join(2.0)
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def _log_for_ever(self, client: MlflowClient, tags: dict[str, str]) -> None:
        run_id = ""
        while True:
            ended = self._ended.wait(MLFLOW_SECONDS)
            taken = []
            while not self._queue.empty():
                taken.append(self._queue.get_nowait())
            try:
                if taken:
                    run_id = run_id or _new_run(client, tags)
                    client.log_batch(run_id, _summed(taken, self._state()))
                if ended and run_id:
                    client.set_terminated(run_id)
            except Exception as error:  # noqa: BLE001  figures may be lost, predictions may not
                log.warning("MLflow took no figures: %s", brief(error))
            if ended:
                return


def check_port(port: int, checkpoint: str) -> None:
    """Raise ArgumentsError where the port is taken, unless by a driver of this checkpoint, which will make room."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        if _stream_at(port) != checkpoint:
            raise _taken(port, error) from error


def _stream_at(port: int) -> str:
    """The checkpoint of the driver that answers there; empty where nothing or something else does."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://127.0.0.1:{port}/health", timeout=HOLDER_SECONDS) as answer:
            return str(json.load(answer)["checkpoint"])
    except Exception:  # noqa: BLE001  whatever does not answer as a driver does is none
        return ""


def _taken(port: int, error: OSError) -> ArgumentsError:
    return ArgumentsError(f"--metrics-port {port}: want a free port, found it in use ({error})")


def _steps(batch: dict[str, Any]) -> dict[str, float]:
    return {step: seconds for step, seconds in batch.get("seconds", {}).items() if step != "total"}


def _labels(**values: str) -> str:
    """Labels as Prometheus reads them, whatever is in the values."""
    escaped = {
        name: value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for name, value in values.items()
    }
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped.items()) + "}"


def _new_run(client: MlflowClient, tags: dict[str, str]) -> str:
    known = client.get_experiment_by_name("serving")
    experiment = known.experiment_id if known else client.create_experiment("serving")
    return str(client.create_run(experiment, run_name="serving", tags=tags).info.run_id)


def _summed(batches: list[dict[str, Any]], state: dict[str, Any]) -> list[mlflow.entities.Metric]:
    """Sums, and means weighted by rows, of the batches of a minute."""
    rows = sum(batch["rows_out"] for batch in batches)
    figures = {name: float(sum(batch[name] for batch in batches)) for name in ("rows_in", "rows_out", "dead_letters")}
    for name in ("positive_share", "mean_confidence"):
        figures[name] = sum(batch[name] * batch["rows_out"] for batch in batches) / rows if rows else 0.0
    figures["batches"] = float(len(batches))
    figures["batch_seconds"] = sum(batch["seconds"]["total"] for batch in batches) / len(batches)
    for step in {step for batch in batches for step in _steps(batch)}:
        figures[f"{step}_seconds"] = sum(_steps(batch).get(step, 0.0) for batch in batches) / len(batches)
    figures["model_version"] = float(batches[-1]["model_version"])
    figures["lag_seconds"] = max(batch["lag_seconds"] for batch in batches)
    figures["model_staleness_seconds"] = state["staleness"]
    now, step = int(time.time() * 1000), batches[-1]["batch_id"]
    return [mlflow.entities.Metric(name, value, now, step) for name, value in figures.items()]
