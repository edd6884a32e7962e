"""Plots of a drift report: the index over the windows, and the bins of each feature."""

import matplotlib.pyplot as plt
import numpy as np

from sentiment import pages
from sentiment.drift import psi
from sentiment.drift.bins import FEATURES, Bins
from sentiment.drift.windows import Judged, Rule

COLOURS = dict(zip(FEATURES, (pages.BLUE, pages.OCHRE, pages.GREEN), strict=True))
MARKERS = dict(zip(FEATURES, ("o", "s", "^"), strict=True))
WIDTH_INCHES, HEIGHT_INCHES = 9.0, 3.6
SHOWN = 16
"""Bins of a feature that has more: those that add most to its PSI."""


def over_time(windows: list[Judged], rule: Rule) -> bytes:
    """A PNG of every feature's PSI by window; windows with too few rows are gaps."""
    figure, axes = plt.subplots(figsize=(WIDTH_INCHES, HEIGHT_INCHES))
    for name in FEATURES:
        values = [each.psi.get(name, np.nan) for each in windows]
        axes.plot(values, color=COLOURS[name], marker=MARKERS[name], label=name)
    axes.axhline(rule.threshold, color=pages.RED, linestyle="--", linewidth=1, label=f"threshold {rule.threshold:g}")
    axes.set_ylim(bottom=0)
    axes.set_xlim(-0.5, len(windows) - 0.5)
    every = range(0, len(windows), -(-len(windows) // 10))
    axes.set_xticks(list(every), [f"{windows[place].window.begin:%m-%d\n%H:%M}" for place in every])
    axes.set_xlabel("windows by their begin (UTC); none where there were too few rows")
    axes.set_ylabel("PSI")
    axes.legend(loc="upper left", fontsize=8, ncols=len(FEATURES) + 1)
    figure.tight_layout()
    return pages.png(figure)


def against_training(name: str, bins: Bins, each: Judged) -> bytes:
    """A PNG of one feature's shares by bin, in training and in a window."""
    found = each.window.counts[name]
    adds = psi.contributions(bins.counts, found)
    places = np.sort(np.argsort(-adds, kind="stable")[:SHOWN])
    before, now = (np.array(counts) / max(sum(counts), 1) for counts in (bins.counts, found))
    figure, axes = plt.subplots(figsize=(WIDTH_INCHES, HEIGHT_INCHES))
    at = np.arange(len(places))
    axes.bar(at - 0.2, before[places], 0.4, color=pages.GREY, label="training")
    axes.bar(at + 0.2, now[places], 0.4, color=COLOURS[name], label=f"from {each.window.begin:%Y-%m-%d %H:%M} UTC")
    axes.set_xticks(at, [pages.plain(bins.labels[place]) for place in places], rotation=30, ha="right")
    axes.set_ylabel("share of the tokens" if bins.tokens else "share of the rows")
    what = "" if len(places) == len(bins.labels) else f", the {SHOWN} bins that add most"
    axes.set_title(f"{name}: PSI {each.psi[name]:.3f}{what}", fontsize=10)
    axes.legend(fontsize=8)
    figure.tight_layout()
    return pages.png(figure)
