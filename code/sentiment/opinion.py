"""Words by which people say how they feel, and how much more the terms with them weigh.

What is known of a language before a tweet is read: a rare one of these words means as much as a frequent one, and it
means the same on all days, where other words tell one day from another (combining lexical knowledge with what is
learnt from texts: Melville, Gryc and Lawrence 2009). Words of other languages just weigh as they always did.
"""

from collections.abc import Iterable
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt

import sentiment
from sentiment.text import NEGATED

WORD, PAIR = 2.0, 1.5
"""How much a word of opinion weighs, and a bigram with one, negated or not; other terms weigh 1."""


@cache
def words() -> frozenset[str]:
    """The words, as `text.tokens` has them, without the mark of a negation."""
    listed = (resources.files(sentiment) / "opinion_words.txt").read_text(encoding="utf-8")  # which may lie in a zip
    return frozenset(word for line in listed.splitlines() if not line.startswith("#") for word in line.split())


def emphasis(terms: Iterable[str]) -> npt.NDArray[np.float64]:
    """WORD, PAIR or 1 for each term: a word, or two and a space between."""
    known = words()

    def weight(term: str) -> float:
        parts = term.split(" ")
        if not any(part.removeprefix(NEGATED) in known for part in parts):
            return 1.0
        return WORD if len(parts) == 1 else PAIR

    return np.array([weight(term) for term in terms])
