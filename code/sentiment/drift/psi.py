"""The population stability index (PSI) of two histograms over the same bins.

With e and f a bin's shares in training and in what was found, PSI is the sum over the bins of (f - e) * ln(f / e):
the symmetric divergence of Jeffreys (1946), which credit scoring uses under this name (Lewis 1994, "An Introduction to
Credit Scoring"; Siddiqi 2006, "Credit Risk Scorecards"). The rule of thumb there: below 0.1 little has changed, above
0.2 (some say 0.25) a lot. Where nothing has changed at all, PSI is about chi-square with bins - 1 degrees of freedom
times 1 / rows in training + 1 / rows found (Yurdakul 2018, "Statistical Properties of Population Stability Index"):
a limit like 0.2 means something only with a few hundred rows.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

SMOOTHING = 0.5
"""Rows added to every bin on both sides (Jeffreys' prior), so that an empty bin counts for much, but not endlessly."""

LITTLE, MUCH = 0.1, 0.2

Array = npt.NDArray[np.float64]


def shares(counts: Sequence[int] | Array) -> Array:
    """Counts as shares that add up to 1 and are never 0."""
    smoothed = np.asarray(counts, dtype=np.float64) + SMOOTHING
    return np.asarray(smoothed / smoothed.sum(axis=-1, keepdims=True), dtype=np.float64)


def contributions(expected: Sequence[int] | Array, found: Sequence[int] | Array) -> Array:
    """What each bin adds to the PSI, at least 0; rows per bin in training and found, in the same order."""
    before, now = shares(expected), shares(found)
    return np.asarray((now - before) * np.log(now / before), dtype=np.float64)


def index(expected: Sequence[int] | Array, found: Sequence[int] | Array) -> float:
    """The PSI of rows per bin in training and found: 0 for equal shares, the same when they are exchanged."""
    return float(contributions(expected, found).sum())
