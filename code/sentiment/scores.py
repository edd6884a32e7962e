"""Scored rows: what a classifier gave for each row of a split, beside its label."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Scored rows of one split, all of the same length.

    Attributes:
        ids, texts: of the rows.
        labels: 0.0 or 1.0.
        probabilities: P(positive), from 0 to 1.
        predictions: 0.0 or 1.0, as the model itself gives them.
    """

    ids: list[str]
    texts: list[str]
    labels: Array
    probabilities: Array
    predictions: Array
