"""What the drift DAG checks, and what follows from the reports that code/drift_report.py left in the bucket."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sentiment_dags import jobs
from sentiment_dags.settings import Settings
from sentiment_dags.streams import Stream, streams
from sentiment_dags.variables import SettingsError, as_text

DRIFT, NO_DRIFT, TOO_FEW = "drift", "no drift", "too few rows"
BEST = "-best"
"""Ends the name of the model that a training of the suite registers as its best."""


def moment(params: Mapping[str, Any], run_after: datetime) -> str:
    """The end of the last window, ISO 8601 in UTC: the Param `until`, else when the run was due.

    A retry asks for the same windows again. SettingsError: the Param is no moment.
    """
    given = as_text(params.get("until"))
    try:
        found = datetime.fromisoformat(given) if given else run_after
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise SettingsError(
            f"Param until: want a moment like 2026-11-21T08:30:00Z or a date, found {given!r}"
        ) from None
    return found.replace(microsecond=0).isoformat().replace("+00:00", "Z")


def checks(settings: Settings, run_id: str, until: str, revision: str) -> list[dict[str, Any]]:
    """One entry per stream: its name, the folder of its report (gs://) and the Dataproc job that writes it.

    The same run gives the same job ids and folders, however often it is tried.
    """
    return [_check(settings, stream, _key(run_id), until, revision) for stream in streams(settings)]


def _check(settings: Settings, stream: Stream, key: str, until: str, revision: str) -> dict[str, Any]:
    report = f"gs://{settings.predictions_bucket}/reports/drift/{stream.name}/{until.replace(':', '')}-{key}"
    words = jobs.drift_arguments(settings, stream, report, until)
    made = jobs.job(settings, jobs.DRIFT, words, revision, f"drift-{stream.name}-{key}")
    made["labels"]["stream"] = stream.name
    return {"stream": stream.name, "report": report, "job": made}


def finding(stream: str, report: str, text: str | bytes) -> dict[str, Any]:
    """What a report.json says: stream, model_name, model_version, verdict, reason, rows of each window, and `report`.

    ValueError: it is none of ours.
    """
    try:
        held = json.loads(text)
        found = {name: held[name] for name in ("model_name", "model_version", "verdict", "reason")}
        found["rows"] = [window["rows"] for window in held["windows"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{report}/report.json: want the report of drift_report.py, found {error!r}") from error
    if found["verdict"] not in (DRIFT, NO_DRIFT, TOO_FEW):
        raise ValueError(f"{report}/report.json: want a verdict, found {found['verdict']!r}")
    return {"stream": stream, "report": report, **found}


def retrainings(findings: Sequence[Mapping[str, Any]], run_id: str) -> list[dict[str, Any]]:
    """Runs of the training pipeline, one per model that has drifted in any stream: conf, trigger_run_id and note.

    The reason in the conf names stream, version, figures and report. A model that no training of the suite makes (its
    name does not end in -best) has none.
    """
    found: dict[str, list[str]] = {}
    for each in findings:
        if each["verdict"] == DRIFT and each["model_name"].endswith(BEST):
            found.setdefault(each["model_name"].removesuffix(BEST), []).append(said(each))
    return [
        {
            "conf": {"reason": (reason := "; ".join(reasons)), "training_model_name": model},
            "trigger_run_id": f"drift__{_key(run_id)}__{_key(model)}",
            "note": reason,
        }
        for model, reasons in found.items()
    ]


def said(found: Mapping[str, Any]) -> str:
    """One stream's verdict in a line."""
    return (
        f"{found['verdict']} in stream {found['stream']} ({found['model_name']} version {found['model_version']}): "
        f"{found['reason']}; {found['report']}/report.html"
    )


def summary(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """All streams' verdicts, a line each, and what becomes of the drifted ones."""
    lines = []
    for each in findings:
        lines.append(said(each))
        if each["verdict"] == DRIFT and each["model_name"].endswith(BEST):
            lines.append(f"  a training of {each['model_name'].removesuffix(BEST)} was asked for")
        elif each["verdict"] == DRIFT:
            lines.append(
                f"  no training makes {each['model_name']} (want a name that ends in {BEST}): nothing was done"
            )
    return lines


def _key(name: str) -> str:
    """A run or a model, whose names may hold what Airflow takes in no id of a run."""
    return hashlib.sha256(name.encode()).hexdigest()[:12]
