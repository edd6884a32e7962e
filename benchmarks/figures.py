"""From measurements to figures: sums of steps, medians, ratios, the paired comparison and the printed tables."""

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

OURS, PLAIN_SPARK, SCIKIT = "ours", "plain Spark", "scikit-learn"
LINEAR = ("logisticregression", "linearsvc")
MODELS = (*LINEAR, "randomforest", "gbt")
SIDE_BY_SIDE = " and ".join(LINEAR)
"""Our step in which both linear classifiers are fitted at once."""
FEATURES, TREE_INPUTS, OTHER = "features", "linear scores for the trees", "scoring, logging, registering"
ALL_FITS, LINEAR_FITS, WHOLE = "features and four fits", "features, LR and SVC", "whole process"
DONE, STOPPED, FAILED = "done", "stopped", "failed"

_STEPS = {
    "starting Spark": "starting Spark",
    "out-of-fold linear scores": TREE_INPUTS,
    "logistic regression for the trees": TREE_INPUTS,
    **{name: name for name in (FEATURES, SIDE_BY_SIDE, *MODELS)},
}


@dataclass(frozen=True)
class Row:
    """One line of the table; `seconds` of a step that was stopped or failed are the limit."""

    what: str
    step: str
    seconds: float
    accuracy: float | None = None
    peak_bytes: int | None = None
    outcome: str = DONE


def our_rows(steps: Sequence[dict[str, Any]], metrics: dict[str, dict[str, float]]) -> list[Row]:
    """Our job's steps from run.json, each classifier with its accuracy, and the sums that peers are compared by.

    Classifiers that were fitted side by side have one step: their own seconds overlap, and no sum counts them.
    """
    seconds: dict[str, float] = {}
    for step in steps:
        name = _STEPS.get(step["name"], OTHER)
        seconds[name] = seconds.get(name, 0.0) + step["seconds"]
    if SIDE_BY_SIDE in seconds:
        seconds |= {name: metrics[name]["fit_seconds"] for name in LINEAR if name in metrics}
    rows = [
        Row(OURS, name, spent, metrics.get(name, {}).get("accuracy"), outcome=DONE) for name, spent in seconds.items()
    ]
    return [*rows, *sums(rows)]


def sums(rows: Sequence[Row]) -> list[Row]:
    """The two totals that are compared; a total exists only where each of its classifiers was measured."""
    found = {row.step: row for row in rows}
    totals = []
    for name, models in ((LINEAR_FITS, LINEAR), (ALL_FITS, MODELS)):
        fits = (SIDE_BY_SIDE, *models[len(LINEAR) :]) if SIDE_BY_SIDE in found else models
        if all(step in found for step in fits):
            extra = (FEATURES, TREE_INPUTS) if name == ALL_FITS else (FEATURES,)
            parts = [found[step] for step in (*extra, *fits) if step in found]
            outcome = next((part.outcome for part in parts if part.outcome != DONE), DONE)
            totals.append(Row(parts[0].what, name, sum(part.seconds for part in parts), outcome=outcome))
    return totals


def peer_rows(what: str, lines: Sequence[str], limit: float, *, stopped: bool, failed: bool) -> list[Row]:
    """A peer's steps from its JSON lines; a step that began and did not end is counted with `limit`."""
    rows: dict[str, Row] = {}
    under_way = ""
    for event in events(lines):
        step = str(event.get("step", ""))
        if event["event"] == "fitting":
            under_way = step
        elif event["event"] == "fitted":
            under_way = ""
            late = event["seconds"] > limit
            rows[step] = Row(what, step, min(event["seconds"], limit), outcome=STOPPED if late else DONE)
        elif event["event"] == "scored" and step in rows:
            rows[step] = replace(rows[step], accuracy=event["accuracy"])
    if under_way and (stopped or failed):
        rows[under_way] = Row(what, under_way, limit, outcome=STOPPED if stopped else FAILED)
    return list(rows.values())


def events(lines: Sequence[str]) -> list[dict[str, Any]]:
    """The JSON lines among what a peer wrote."""
    found = []
    for line in lines:
        if line.startswith("{"):
            event = json.loads(line)
            if "event" in event:
                found.append(event)
    return found


def medians(runs: Sequence[Sequence[Row]]) -> list[Row]:
    """One row for each step of repeated runs: median seconds and accuracy, highest memory, worst outcome."""
    grouped: dict[tuple[str, str], list[Row]] = {}
    for run in runs:
        for row in run:
            grouped.setdefault((row.what, row.step), []).append(row)
    rows = []
    for (what, step), group in grouped.items():
        accuracies = [row.accuracy for row in group if row.accuracy is not None]
        peaks = [row.peak_bytes for row in group if row.peak_bytes is not None]
        rows.append(
            Row(
                what,
                step,
                statistics.median(row.seconds for row in group),
                statistics.median(accuracies) if accuracies else None,
                max(peaks) if peaks else None,
                next((row.outcome for row in group if row.outcome != DONE), DONE),
            )
        )
    return rows


def ratio(row: Row, rows: Sequence[Row]) -> float | None:
    """Seconds of a row over ours for the same step; none for our own rows and for steps that we have not.

    Plain Spark computes the features again in each fit: its single fits are compared in the total alone.
    """
    single = row.what == PLAIN_SPARK and row.step in MODELS
    ours = next((other.seconds for other in rows if (other.what, other.step) == (OURS, row.step)), 0.0)
    return None if row.what == OURS or single or not ours else row.seconds / ours


def paired(ours: Sequence[bool], theirs: Sequence[bool]) -> dict[str, float]:
    """The difference in accuracy on the same rows with its 95 % interval, and McNemar's exact test.

    Args:
        ours: whether our prediction is right, row by row.
        theirs: the same for the peer.

    The interval is the normal one for paired differences; the test asks whether the rows that only one of the two
    gets right are divided as a fair coin would (McNemar 1947), two-sided.
    """
    only_ours = sum(one and not two for one, two in zip(ours, theirs, strict=True))
    only_theirs = sum(two and not one for one, two in zip(ours, theirs, strict=True))
    count, discordant = len(ours), only_ours + only_theirs
    difference = (only_ours - only_theirs) / count
    error = math.sqrt(max(discordant / count - difference**2, 0.0) / count)
    tail = sum(math.comb(discordant, k) for k in range(min(only_ours, only_theirs) + 1))
    return {
        "rows": count,
        "difference": difference,
        "low": difference - 1.96 * error,
        "high": difference + 1.96 * error,
        "only_ours": only_ours,
        "only_theirs": only_theirs,
        "p": min(1.0, 2 * tail / 2**discordant),
    }


def comparison_table(rows: Sequence[Row]) -> str:
    """The table that the benchmark prints."""
    lines = []
    for row in rows:
        times = ratio(row, rows)
        mark = {STOPPED: ">", FAILED: "failed, "}.get(row.outcome, "")
        lines.append(
            (
                row.what,
                row.step,
                f"{mark}{row.seconds:.1f}",
                "" if times is None else f"{'>' if row.outcome == STOPPED else ''}{times:.2f}",
                "" if row.peak_bytes is None else f"{row.peak_bytes / 2**30:.2f} GiB",
                "" if row.accuracy is None else f"{row.accuracy:.4f}",
            )
        )
    return table(("what", "step", "wall seconds", "ratio to ours", "peak memory", "accuracy"), lines)


def scaling_table(runs: dict[int, list[Row]]) -> str:
    """Seconds, and seconds per million rows, of each step by the number of rows."""
    lines = [
        (
            f"{count:,}",
            row.step,
            f"{row.seconds:.1f}",
            f"{row.seconds / count * 1e6:.1f}",
            "" if row.peak_bytes is None else f"{row.peak_bytes / 2**30:.2f} GiB",
        )
        for count, rows in runs.items()
        for row in rows
    ]
    return table(("rows", "step", "wall seconds", "seconds per million rows", "peak memory"), lines)


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Columns side by side; those that hold figures stand to the right."""
    widths = [max(len(line[at]) for line in (head, *lines)) for at in range(len(head))]
    shown = []
    for line in (head, ["-" * width for width in widths], *lines):
        cells = [
            cell.ljust(width) if at < 2 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        shown.append("  ".join(cells).rstrip())
    return "\n".join(shown)
