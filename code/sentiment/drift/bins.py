"""The bins in which training and traffic are compared: written into profile.json by a training, read back here."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

SCORE, LENGTH, TOKENS = "score", "text_length", "top_tokens"
FEATURES = [SCORE, LENGTH, TOKENS]
MEANINGS = {
    SCORE: "predicted score, P(positive)",
    LENGTH: "length of the text in characters",
    TOKENS: "the training's most frequent tokens, and all others",
}
OTHER = "other tokens"  # no token holds a space

FORMAT = 2
"""Of profile.json. 1, or none: without `bins`, not enough for a PSI."""

PARTS = 10

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Bins:
    """One feature's bins and how the training's test rows fill them.

    Attributes:
        labels: of the bins, for people.
        counts: rows per bin; of tokens: texts that hold the token, summed up over the texts' other tokens in the last.
        edges: upper ends of all bins but the last, ascending; empty for tokens.
    """

    labels: list[str]
    counts: list[int]
    edges: list[float]

    @property
    def tokens(self) -> list[str]:
        """The tokens with a bin of their own, where there are no edges."""
        return [] if self.edges else self.labels[:-1]


def deciles(values: Array) -> dict[str, Any]:
    """Bins with a tenth of the values each, as far as equal values allow it, as profile.json holds them.

    Edges lie half-way between two neighbouring values, so that rounding moves no value from bin to bin; the outer
    bins are open.
    """
    distinct = np.unique(values)
    places = np.quantile(values, [part / PARTS for part in range(1, PARTS)], method="inverted_cdf")
    at = np.unique(np.searchsorted(distinct, places))
    at = at[at < len(distinct) - 1]
    edges = (distinct[at] + distinct[at + 1]) / 2
    counts = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)
    return {"edges": [float(edge) for edge in edges], "counts": [int(count) for count in counts]}


def of_tokens(counts: dict[str, int], distinct: int) -> dict[str, Any]:
    """Bins of tokens as profile.json holds them: texts per token, and how many different tokens all texts have."""
    return {"tokens": list(counts), "counts": [*counts.values(), distinct - sum(counts.values())]}


def read(profile: Any) -> dict[str, Bins]:
    """The bins of every feature out of profile.json; ValueError says what is wrong with it."""
    if not isinstance(profile, dict):
        raise ValueError(f"a {type(profile).__name__}")
    if profile.get("format") != FORMAT:
        raise ValueError(f"format {profile.get('format', 1)} of another release")
    try:
        return {name: _feature(name, profile["bins"][name]) for name in FEATURES}
    except (KeyError, TypeError) as error:
        raise ValueError(f"bins that cannot be read ({type(error).__name__}: {error})") from error


def _feature(name: str, held: dict[str, Any]) -> Bins:
    counts = [int(count) for count in held["counts"]]
    edges = [] if name == TOKENS else [float(edge) for edge in held["edges"]]
    labels = [*map(str, held["tokens"]), OTHER] if name == TOKENS else _ranges(edges)
    if len(labels) != len(counts) or sum(counts) < 1 or edges != sorted(set(edges)):
        raise ValueError(f"bins of {name} that do not fit together")
    return Bins(labels, counts, edges)


def _ranges(edges: Sequence[float]) -> list[str]:
    if not edges:
        return ["all"]
    ends = [f"{edge:.4g}" for edge in edges]
    between = [f"{low} to {high}" for low, high in pairwise(ends)]
    return [f"up to {ends[0]}", *between, f"over {ends[-1]}"]
