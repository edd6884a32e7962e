"""The model card of a decision (Mitchell et al. 2019, "Model Cards for Model Reporting"), as Markdown and as one page.

Both come from the same context by two templates beside this module.
"""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sentiment import evaluation, pages
from sentiment.gate import comparison, pictures
from sentiment.gate.case import Case, Findings
from sentiment.gate.validation import SLICE_HELP
from sentiment.gate.versions import Version
from sentiment.jobs import DataError
from sentiment.roles import CHALLENGER, CHAMPION

MARKDOWN, PAGE, PLOTS = "card.md", "card.html", "plots"

PLOT_TITLES = {
    "confusion-matrix": "Confusion matrices",
    "roc": "ROC",
    "calibration": "Calibration",
    "slices": "Differences by slice",
}


@dataclass(frozen=True)
class Told:
    """The decision, as far as it has been carried out.

    Attributes:
        fit: whether the version is good enough, or approved.
        overruled: rules that a person overruled.
        reason: that person's.
        live: whether it was promoted.
        kept: why one that is fit was not; empty, and `live` false: nobody knows yet.
    """

    fit: bool
    overruled: list[str]
    reason: str
    live: bool = False
    kept: str = ""


def draw(folder: Path, case: Case, findings: Findings) -> None:
    """Write plots/ into a local folder, unless nothing was scored."""
    if not case.trial.has(CHALLENGER):
        return
    scored = {
        f"{role}, version {version.number}": case.trial.scores(role)
        for role, version in _roles(case).items()
        if case.trial.has(role)
    }
    margins = case.limits.max_regression, case.limits.max_slice_regression
    pictures.draw_all(scored, findings.overall, findings.slices, margins, folder / PLOTS)


def write(folder: Path, case: Case, findings: Findings, told: Told) -> None:
    """Write card.md and card.html into a local folder, with the plots that `draw` left there."""
    paths = [folder / PLOTS / f"{stem}.png" for stem in PLOT_TITLES]
    plots = [_plot(path) for path in paths if path.exists()]
    context = _context(case, findings, told)
    for file in (MARKDOWN, PAGE):
        text = pages.render("sentiment.gate", f"{file}.jinja", **context, plots=plots)
        (folder / file).write_text(text, encoding="utf-8")


def copy(card: Path, folder: Path) -> str:
    """Copy a card into a local folder, over what is there; gives the folder."""
    try:
        shutil.copytree(card, folder, dirs_exist_ok=True)
    except OSError as error:
        raise DataError(f"--card {folder}: want a folder to write to, found {error}") from error
    return str(folder)


def _plot(path: Path) -> dict[str, str]:
    return {"file": f"{PLOTS}/{path.name}", "title": PLOT_TITLES[path.stem], "data": pages.embedded(path)}


def _roles(case: Case) -> dict[str, Version]:
    both = {CHAMPION: case.champion, CHALLENGER: case.challenger}
    return {role: version for role, version in both.items() if version is not None}


def _context(case: Case, findings: Findings, told: Told) -> dict[str, Any]:
    trial = case.trial
    return {
        "model": case.challenger.model,
        "version": case.challenger.number,
        "champion": case.champion.number if case.champion else "",
        "decision": _decision(case, told),
        "good": told.fit and not told.kept,
        "overruled": told.overruled,
        "written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "roles": list(_roles(case)),
        "details": _details(case),
        "verdicts": findings.verdicts,
        "metrics": _metrics(case),
        "slices": [{"name": name, "what": SLICE_HELP[name], "pair": pair} for name, pair in findings.slices.items()],
        "overall": findings.overall,
        "data": {
            "place": trial.test or "not read",
            "rows": sum(trial.counts.values()),
            "labels": ", ".join(f"{rows:,} {label}" for label, rows in trial.counts.items()),
            "digest": trial.digest,
            "splitting": ", ".join(f"{name} {value}" for name, value in trial.splitting.items()),
        },
        "batch_rows": trial.batch_rows,
    }


def _decision(case: Case, told: Told) -> str:
    version = f"Version {case.challenger.number}"
    if told.kept:
        return f"{version} is not promoted: {told.kept}."
    if not told.fit:
        return f"{version} is not promoted."
    does = "is promoted" if told.live else "may be promoted (the ledger says whether it was)"
    if told.overruled:
        return f"{version} {does} by a person, who overruled {', '.join(told.overruled)}: {told.reason}"
    return f"{version} {does}: every rule passed."


def _details(case: Case) -> list[tuple[str, list[str]]]:
    """Rows of the table of what each version is and was trained on."""

    def row(name: str, *values: str) -> tuple[str, list[str]]:
        return name, [value or "unknown" for value in values]

    both = list(_roles(case).values())
    return [
        row("version", *(version.number for version in both)),
        row("registered as", *(version.description for version in both)),
        row("training run", *(version.run_id for version in both)),
        row("trained on", *(version.input for version in both)),
        row("training rows", *(version.params.get("rows_train", "") for version in both)),
        row("digest of the training rows", *(version.tags.get("train_digest", "") for version in both)),
        row("git revision", *(version.tags.get("git_revision", "") for version in both)),
        row("Spark", *(version.tags.get("spark_version", version.tags.get("spark_minor", "")) for version in both)),
    ]


def _metrics(case: Case) -> list[tuple[str, list[str]]]:
    """Rows of the table of figures on the validation rows; a role that was not scored has none."""
    columns: list[dict[str, str]] = []
    for role in _roles(case):
        found: dict[str, str] = {}
        if case.trial.has(role):
            scores = case.trial.scores(role)
            figures = evaluation.figures(scores)
            del figures["rows"]
            figures["calibration error"] = comparison.calibration_error(scores.labels, scores.probabilities)
            found = {name.replace("_", " "): f"{value:.4f}" for name, value in figures.items()}
        if role in case.trial.seconds:
            seconds = case.trial.seconds[role]
            found["p95 of a batch, ms"] = f"{comparison.slow_end(seconds) * 1000:.0f}"
        columns.append(found)
    names = list(dict.fromkeys(name for column in columns for name in column))
    return [(name, [column.get(name, "") for column in columns]) for name in names]
