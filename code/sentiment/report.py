"""What a training says at its end: models and figures in a table, and where everything lies."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sentiment import registry, storage
from sentiment.jobs import without_secrets
from sentiment.progress import Progress

if TYPE_CHECKING:
    from sentiment.experiment import Results
    from sentiment.training_arguments import Settings

METRICS = ["dev_accuracy", "accuracy", "f1", "precision", "recall", "roc_auc", "log_loss", "fit_seconds"]


def table(settings: Settings, results: Results, steps: Progress) -> str:
    """The report as text: a line per classifier, then plots, models and how to open the MLflow UI."""
    widths = [max(10, len(metric)) for metric in METRICS]
    head = f"{'classifier':<20} {'version':>7} " + " ".join(f"{m:>{w}}" for m, w in zip(METRICS, widths, strict=True))
    lines = ["", head, "-" * len(head)]
    for logged in results.logged:
        figures = [
            f"{logged.metrics[metric]:>{width}.{1 if metric.endswith('seconds') else 4}f}"
            for metric, width in zip(METRICS, widths, strict=True)
        ]
        mark = "*" if logged.name == results.best else ""
        lines.append(f"{logged.name + mark:<20} {logged.version:>7} " + " ".join(figures))
    lines += [f"{name:<20} failed: {reason}" for name, reason in results.failed.items()]
    uri = without_secrets(settings.mlflow_uri)
    best = settings.registered(registry.BEST)
    lines += ["", "accuracy and the rest: test split; dev_accuracy chooses the best (*)"]
    if results.best:
        aliases = " and ".join(results.best_aliases)
        lines.append(f"best model   {best}, version {results.best_version} ({results.best}), now {aliases}")
    lines += [
        f"plots        {storage.join(settings.output, 'plots')}",
        f"models       {storage.join(settings.output, '<classifier>')}, log and figures beside them",
        f"MLflow       {_how_to_open(uri)}",
        f"             run {results.run_id} of experiment {settings.experiment}",
        f"time         {steps.elapsed():.0f} s",
    ]
    return "\n".join(lines)


def _how_to_open(uri: str) -> str:
    if uri.startswith(("http://", "https://")):
        return uri
    program = Path(sys.executable).parent / "mlflow"
    command = [os.path.relpath(program), "ui", "--host", "127.0.0.1", "--backend-store-uri", uri]
    return f"{shlex.join(command)}, then open http://127.0.0.1:5000"
