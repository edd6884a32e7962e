"""Pictures of a classifier on the test split: confusion matrix, ROC, precision-recall and calibration."""

from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from sklearn import metrics

from sentiment.pages import BLUE, DOTS_PER_INCH, GREY
from sentiment.scores import Scores

SIZE_INCHES = (5.2, 4.4)
BINS = 10


def draw_all(name: str, scores: Scores, folder: Path) -> list[Path]:
    """Write the four plots of one classifier as `<name>-<plot>.png` into a local folder; gives their paths."""
    drawings: dict[str, Callable[[Axes, Scores], None]] = {
        "confusion-matrix": confusion_matrix,
        "roc": _roc,
        "precision-recall": _precision_recall,
        "calibration": _calibration,
    }
    paths = []
    for plot, draw in drawings.items():
        figure, axes = plt.subplots(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH)
        draw(axes, scores)
        axes.set_title(f"{name}: {plot.replace('-', ' ')} ({len(scores.labels):,} test rows)", fontsize=10)
        figure.tight_layout()
        paths.append(folder / f"{name}-{plot}.png")
        figure.savefig(paths[-1])
        plt.close(figure)
    return paths


def confusion_matrix(axes: Axes, scores: Scores) -> None:
    """Counts and shares by row on existing axes: labelled down, predicted across."""
    matrix = metrics.confusion_matrix(scores.labels, scores.predictions, labels=[0.0, 1.0])
    axes.imshow(matrix, cmap="Blues", vmin=0)
    for row in range(2):
        for column in range(2):
            count = matrix[row, column]
            share = count / max(matrix[row].sum(), 1)
            colour = "white" if count > matrix.max() / 2 else "black"
            axes.text(column, row, f"{count:,}\n{share:.1%}", ha="center", va="center", color=colour)
    names = ["negative", "positive"]
    axes.set_xticks([0, 1], names)
    axes.set_yticks([0, 1], names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("labelled (percentages by row)")


def _roc(axes: Axes, scores: Scores) -> None:
    false_positives, true_positives, _ = metrics.roc_curve(scores.labels, scores.probabilities)
    area = metrics.roc_auc_score(scores.labels, scores.probabilities)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="chance")
    axes.plot(false_positives, true_positives, color=BLUE, label=f"area {area:.4f}")
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")
    axes.legend(loc="lower right")


def _precision_recall(axes: Axes, scores: Scores) -> None:
    precision, recall, _ = metrics.precision_recall_curve(scores.labels, scores.probabilities)
    area = metrics.average_precision_score(scores.labels, scores.probabilities)
    share = float(np.mean(scores.labels))
    axes.axhline(share, color=GREY, linestyle="--", linewidth=1, label=f"share of positives {share:.2f}")
    axes.plot(recall, precision, color=BLUE, label=f"average precision {area:.4f}")
    axes.set_ylim(0.0, 1.02)
    axes.set_xlabel("recall")
    axes.set_ylabel("precision")
    axes.legend(loc="lower left")


def _calibration(axes: Axes, scores: Scores) -> None:
    places = np.clip((scores.probabilities * BINS).astype(int), 0, BINS - 1)
    filled = [place for place in range(BINS) if np.any(places == place)]
    said = [float(np.mean(scores.probabilities[places == place])) for place in filled]
    found = [float(np.mean(scores.labels[places == place])) for place in filled]
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="perfectly calibrated")
    axes.plot(said, found, color=BLUE, marker="o", label="ten equal bins of the score")
    axes.set_xlabel("mean score, P(positive)")
    axes.set_ylabel("share labelled positive")
    axes.legend(loc="upper left")
