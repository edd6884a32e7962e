"""Plots of champion and challenger on the same rows: confusion matrices, ROC, calibration, differences by slice."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn import metrics

from sentiment import pages, plots
from sentiment.gate.comparison import Paired
from sentiment.scores import Scores

HEIGHT_INCHES, WIDTH_INCHES = 4.0, 4.6
COLOURS = [pages.OCHRE, pages.BLUE]
"""Of the champion and the challenger: far apart in hue and in lightness too, for eyes that confuse hues."""

STYLES = ["--", "-"]


def draw_all(
    scored: dict[str, Scores], overall: Paired | None, slices: dict[str, Paired], margins: tuple[float, float], to: Path
) -> list[Path]:
    """Write the plots as PNG into a local folder; gives their paths.

    Args:
        scored: the scored rows by name of the model, the champion first; the challenger alone where there is none.
        overall: both models on all rows; None: not compared.
        slices: both models on each slice.
        margins: the largest loss of accuracy that is accepted, on all rows and on a slice.
        to: the folder.
    """
    to.mkdir(parents=True, exist_ok=True)
    paths = [_confusion(scored, to / "confusion-matrix.png"), _roc(scored, to / "roc.png")]
    paths.append(_calibration(scored, to / "calibration.png"))
    if overall is not None:
        paths.append(_differences({"all": overall, **slices}, margins, to / "slices.png"))
    return paths


def _confusion(scored: dict[str, Scores], path: Path) -> Path:
    figure, grid = plt.subplots(1, len(scored), figsize=(WIDTH_INCHES * len(scored), HEIGHT_INCHES), squeeze=False)
    for axes, (name, scores) in zip(grid[0], scored.items(), strict=True):
        plots.confusion_matrix(axes, scores)
        axes.set_title(f"{name} ({len(scores.labels):,} rows)", fontsize=10)
    return _saved(figure, path)


def _roc(scored: dict[str, Scores], path: Path) -> Path:
    figure, axes = _one(scored, "ROC")
    axes.plot([0, 1], [0, 1], color=pages.GREY, linestyle=":", linewidth=1, label="chance")
    for (name, scores), colour, style in _styled(scored):
        false_positives, true_positives, _ = metrics.roc_curve(scores.labels, scores.probabilities)
        area = metrics.roc_auc_score(scores.labels, scores.probabilities)
        axes.plot(false_positives, true_positives, color=colour, linestyle=style, label=f"{name}: area {area:.4f}")
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")
    axes.legend(loc="lower right", fontsize=8)
    return _saved(figure, path)


def _calibration(scored: dict[str, Scores], path: Path) -> Path:
    figure, axes = _one(scored, "calibration, ten equal bins of the score")
    axes.plot([0, 1], [0, 1], color=pages.GREY, linestyle=":", linewidth=1, label="perfectly calibrated")
    for (name, scores), colour, style in _styled(scored):
        places = np.clip((scores.probabilities * plots.BINS).astype(int), 0, plots.BINS - 1)
        filled = np.unique(places)
        said = [float(np.mean(scores.probabilities[places == place])) for place in filled]
        found = [float(np.mean(scores.labels[places == place])) for place in filled]
        axes.plot(said, found, color=colour, linestyle=style, marker="o", markersize=4, label=name)
    axes.set_xlabel("mean score, P(positive)")
    axes.set_ylabel("share labelled positive")
    axes.set_xlim(0, 1)
    axes.legend(loc="upper left", fontsize=8)
    return _saved(figure, path)


def _differences(pairs: dict[str, Paired], margins: tuple[float, float], path: Path) -> Path:
    figure, axes = plt.subplots(figsize=(WIDTH_INCHES * 1.6, 1.3 + 0.42 * len(pairs)))
    for place, (name, pair) in enumerate(pairs.items()):
        margin = margins[0] if name == "all" else margins[1]
        ends = [[pair.difference - pair.low], [pair.high - pair.difference]]
        axes.errorbar(pair.difference, place, xerr=ends, fmt="o", color=COLOURS[1], capsize=4, markersize=5)
        axes.plot([-margin, -margin], [place - 0.32, place + 0.32], color="#b03a2e", linewidth=2)
    axes.axvline(0, color=pages.GREY, linestyle=":", linewidth=1)
    axes.set_yticks(range(len(pairs)), [f"{name} ({pair.rows:,})" for name, pair in pairs.items()])
    axes.invert_yaxis()
    axes.margins(x=0.08)
    axes.set_xlabel("accuracy of challenger minus champion, 95 % interval; red: the limit")
    return _saved(figure, path)


def _one(scored: dict[str, Scores], title: str) -> tuple[Figure, Axes]:
    figure, axes = plt.subplots(figsize=(WIDTH_INCHES, HEIGHT_INCHES))
    rows = len(next(iter(scored.values())).labels)
    axes.set_title(f"{title} ({rows:,} rows)", fontsize=10)
    return figure, axes


def _styled(scored: dict[str, Scores]) -> list[tuple[tuple[str, Scores], str, str]]:
    """The models with colour and line; a challenger alone has its own."""
    return list(zip(scored.items(), COLOURS[-len(scored) :], STYLES[-len(scored) :], strict=True))


def _saved(figure: Figure, path: Path) -> Path:
    figure.tight_layout()
    figure.savefig(path, dpi=pages.DOTS_PER_INCH)
    plt.close(figure)
    return path
