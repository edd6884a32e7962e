"""The plots of docs/performance.md: small SVG files whose description holds a digest of what they show."""

import hashlib
import io
import json
import re
from collections.abc import Callable
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.claims import Sections
from benchmarks.figures import LINEAR_FITS, OURS, SCIKIT, WHOLE
from benchmarks.wanted import LIMIT

SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "performance",
    "font.size": 9,
    "font.family": "sans-serif",
}
BLUE, ORANGE, GREY = "#2b6cb0", "#dd6b20", "#a0aec0"
DIGEST = re.compile(r"data ([0-9a-f]{16})")

Drawn = tuple[Figure, Any]
"""A figure, and the data in it."""


def linear(sections: Sections) -> Drawn:
    """Seconds and peak memory by the number of rows, ours and scikit-learn's."""
    names = ("linear-real", "linear-400k", "linear-1600k", "linear-3200k")
    data: dict[str, list[list[float]]] = {OURS: [], SCIKIT: []}
    for section in (sections[name] for name in names if name in sections):
        for what, points in data.items():
            steps = {found["step"]: found for found in section["steps"] if found["what"] == what}
            if steps:  # scikit-learn is left out at the largest number of rows
                gib = steps[WHOLE]["peak_bytes"] / 2**30
                points.append([section["rows"], steps[LINEAR_FITS]["seconds"], gib])
    figure = Figure(figsize=(7, 2.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (what, points), colour in zip(data.items(), (BLUE, ORANGE), strict=True):
        for axes, place in ((left, 1), (right, 2)):
            axes.plot([p[0] / 1e6 for p in points], [p[place] for p in points], "o-", color=colour, label=what)
    for axes, title in ((left, "seconds: features, LR and SVC"), (right, "peak memory, GiB")):
        _scaled(axes, title)
        axes.set_xlabel("million rows")
    left.legend()
    return figure, data


def trees(sections: Sections) -> Drawn:
    """LightGBM's accuracy over seconds, and where our trees stand."""
    section = sections["trees"]
    data = {"curve": section["lightgbm"]["curve"], "ours": section["ours"]}
    figure = Figure(figsize=(7, 2.8), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*data["curve"], strict=True), "-", color=ORANGE, label="LightGBM on TF-IDF")
    for name, mark in (("randomforest", "s"), ("gbt", "o")):
        point = data["ours"][name]
        axes.plot(point["seconds"], point["accuracy"], mark, color=BLUE, label=f"ours, {name}")
    _scaled(axes, "accuracy on the test split")
    axes.set_ylim(0.6, 0.85)
    axes.set_xlabel("seconds since the features were begun")
    axes.legend(loc="lower right")
    return figure, data


def crossvalidation(sections: Sections) -> Drawn:
    """The search of each classifier's grid beside the fits and scores that it is made of."""
    found = sections["cross-validation"]["classifiers"]
    data = {name: [figures[key] for key in ("whole", "fits", "scores")] for name, figures in found.items()}
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    axes = figure.subplots()
    for place, (whole, fits, scores) in enumerate(data.values()):
        axes.barh(place - 0.2, whole, 0.36, color=BLUE, label="" if place else "search, refit included")
        axes.barh(place + 0.2, fits, 0.36, color=ORANGE, label="" if place else "fits, one after another")
        axes.barh(place + 0.2, scores, 0.36, left=fits, color=GREY, label="" if place else "scoring the held-out folds")
    _named(axes, list(data), "seconds")
    axes.legend()
    return figure, data


def throughput(sections: Sections) -> Drawn:
    """Rows per second of every contender."""
    data = dict(sorted(sections["throughput"]["rows_per_second"].items(), key=lambda pair: -pair[1]))
    figure = Figure(figsize=(7, 2.4), layout="constrained")
    axes = figure.subplots()
    colours = [BLUE if name.startswith("ours") else GREY if name == LIMIT else ORANGE for name in data]
    axes.barh(range(len(data)), list(data.values()), color=colours)
    _named(axes, list(data), "rows per second")
    return figure, data


def _memory(name: str) -> Callable[[Sections], Drawn]:
    def draw(sections: Sections) -> Drawn:
        data = {key: sections[name][key] for key in ("samples", "batches", "batch_curve")}
        figure = Figure(figsize=(7, 2.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        minutes = [sample["seconds"] / 60 for sample in data["samples"]]
        for key, colour in (("jvm_mib", BLUE), ("python_mib", ORANGE)):
            label = {"jvm_mib": "JVM", "python_mib": "Python"}[key]
            left.plot(minutes, [sample[key] for sample in data["samples"]], color=colour, label=label)
        left.set_ylim(bottom=0)
        left.set_xlabel("minutes")
        left.set_title("resident memory, MiB", loc="left")
        left.legend()
        step = -(-data["batches"] // len(data["batch_curve"]))  # of many batches every step-th was kept
        right.plot(range(0, data["batches"], step), data["batch_curve"], color=BLUE)
        right.set_ylim(bottom=0)
        right.set_xlabel("batches")
        right.set_title("seconds of a batch", loc="left")
        return figure, data

    return draw


PICTURES: dict[str, tuple[str, Callable[[Sections], Drawn]]] = {
    "linear": ("linear-real", linear),
    "trees": ("trees", trees),
    "crossvalidation": ("cross-validation", crossvalidation),
    "throughput": ("throughput", throughput),
    "backlog": ("backlog", _memory("backlog")),
    "soak": ("soak", _memory("soak")),
}
"""By the file's name: the section without which there is none, and what draws it."""


def digest(data: Any) -> str:
    """Of the data in a picture."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


def svg(drawn: Drawn) -> str:
    """The file's text."""
    figure, data = drawn
    out = io.StringIO()
    with rc_context(SETTINGS):
        figure.savefig(out, format="svg", metadata={"Date": None, "Description": f"data {digest(data)}"})
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def is_of(text: str, drawn: Drawn) -> bool:
    """Whether a file shows these data; coordinates may differ by the last digit between machines, and do not count."""
    found = DIGEST.search(text)
    return found is not None and found[1] == digest(drawn[1])


def _scaled(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left")
    axes.grid(alpha=0.3)
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)


def _named(axes: Axes, names: list[str], unit: str) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.grid(axis="x", alpha=0.3)
