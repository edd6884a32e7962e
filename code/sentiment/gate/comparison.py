"""Two classifiers on the same rows: difference of accuracies with its interval, calibration error, latency."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from sentiment.plots import BINS

RESAMPLES = 10_000
SEED = 20_170_806
CONFIDENCE = 0.95
QUANTILE = float(norm.ppf((1 + CONFIDENCE) / 2))
UNSEEN = 3
"""What was seen in none of n rows happens in less than 3 / n of them (95 %; Hanley and Lippman-Hand 1983)."""

LATENCY_QUANTILE = 0.95

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Paired:
    """Accuracy of the challenger minus accuracy of the champion on the same rows, each a share from 0 to 1.

    Attributes:
        rows: how many.
        gained: rows that only the challenger has right.
        lost: rows that only the champion has right.
        low: lower end of the 95 % interval of the difference.
        high: its upper end.
    """

    rows: int
    gained: int
    lost: int
    low: float
    high: float

    @property
    def difference(self) -> float:
        """Challenger minus champion."""
        return (self.gained - self.lost) / self.rows

    def shows_no_more_loss_than(self, margin: float) -> bool:
        """Whether the whole interval lies at or above `-margin`."""
        return self.low >= -margin - 1e-12

    def pass_rate(self, margin: float) -> float:
        """How often a challenger exactly as good as the champion would show no more loss than `margin`, 0 to 1.

        With as many rows and discordant pairs as here; normal approximation.
        """
        deviation = math.sqrt(self.gained + self.lost) / self.rows
        room = margin - max(QUANTILE * deviation, UNSEEN / self.rows)
        if deviation == 0:
            return float(room >= 0)
        return float(norm.cdf(room / deviation))

    def rows_to_show(self, margin: float) -> int | None:
        """Rows at which this difference would pass `margin`; None: the difference itself is too large a loss."""
        room = self.difference + margin
        if room <= 1e-12:
            return None
        variance = (self.gained + self.lost) / self.rows - self.difference**2
        return math.ceil(max(QUANTILE**2 * variance / room**2, UNSEEN / room))


def paired(champion_right: Flags, challenger_right: Flags, resamples: int = RESAMPLES, seed: int = SEED) -> Paired:
    """The paired bootstrap (Efron and Tibshirani 1993): percentile interval over resamples of the rows, seeded.

    A resample of n rows enters the difference only through how many rows both, one or neither had right, and those
    counts are multinomial with the observed shares: drawing the counts is the row bootstrap itself, exactly, without
    drawing rows. Where hardly a pair is discordant the bootstrap sees almost no spread: the interval reaches UNSEEN / n
    to either side at least.

    Args:
        champion_right: for each row whether the champion has it right.
        challenger_right: the same of the challenger, in the same order.
        resamples: how many.
        seed: of the draws.
    """
    rows = len(champion_right)
    gained = int(np.sum(challenger_right & ~champion_right))
    lost = int(np.sum(champion_right & ~challenger_right))
    shares = [gained / rows, lost / rows, (rows - gained - lost) / rows]
    drawn = np.random.default_rng(seed).multinomial(rows, shares, size=resamples)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / rows, [tail, 1 - tail])
    difference = (gained - lost) / rows
    reach = UNSEEN / rows
    return Paired(rows, gained, lost, min(float(low), difference - reach), max(float(high), difference + reach))


def calibration_error(labels: Array, scores: Array) -> float:
    """Expected calibration error (Guo et al. 2017) of P(positive), over the ten equal bins of the calibration plot.

    The mean over the rows of how far, in the row's bin, the mean score lies from the share labelled positive.
    Chance alone adds to it: a perfectly calibrated model shows about 0.01 on 10,000 rows and 0.02 on 2,000.
    """
    places = np.clip((scores * BINS).astype(int), 0, BINS - 1)
    gaps = np.bincount(places, weights=scores - labels, minlength=BINS)
    return float(np.sum(np.abs(gaps)) / len(labels))


def slow_end(seconds: list[float]) -> float:
    """The 95th percentile of measured seconds."""
    return float(np.quantile(seconds, LATENCY_QUANTILE))
