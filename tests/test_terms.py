"""Unigrams and bigrams counted, looked up and weighted, beside what plain Python makes of them; no Spark."""

import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sentiment import terms
from sentiment.terms import Vocabulary

WORDS = ["a", "b", "ü", "~a", "😀", ",", "?!", "but", "xlinkx"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8), max_size=6)
# Of "lost" and the smiley no row knows the word alone; what stands between clauses is known or not.
KNOWN = ["b", "a", "ü", "a b", "b b", "gone", "ü lost", "😀 a", ",", ", a", "but", "a xlinkx"]


def joined(texts: list[list[str]]) -> pa.Array:
    return pa.array([" ".join(words) for words in texts], pa.string())


def terms_of(words: list[str]) -> list[str]:
    return [*words, *(f"{first} {second}" for first, second in pairwise(words))]


@given(TEXTS)
@example([])
@example([["a"]])
@example([["a", "a", "a"], ["a", "b", "a", "b"]])
def test_every_term_is_counted_once_per_text(texts: list[list[str]]) -> None:
    found = terms.counted(joined(texts))
    counted = Counter(term for words in texts for term in set(terms_of(words)))
    names = found["term"].to_pylist()
    assert dict(zip(names, found["rows"].to_pylist(), strict=True)) == counted
    assert len(names) == len(counted)


def in_pieces(texts: list[list[str]], buckets: int) -> list[pa.RecordBatch]:
    batches = [pa.record_batch({"tokens": joined(texts[start : start + 2])}) for start in range(0, len(texts), 2)]
    return list(terms.counted_in_pieces(iter(batches), buckets))


def added_up(pieces: list[pa.RecordBatch], size: int = 100, least: int = 1) -> list[tuple[str, int]]:
    found = list(terms.most_frequent(iter(pieces), size, least))
    return [(row["term"], row["rows"]) for batch in found for row in batch.to_pylist()]


@pytest.mark.parametrize("buckets", [1, 5])
@pytest.mark.parametrize(("piece_bytes", "pieces"), [(1, 3), (20, 2), (terms.COUNTED_BYTES, 1)])
def test_what_is_counted_in_pieces_adds_up_bucket_by_bucket(
    monkeypatch: pytest.MonkeyPatch, piece_bytes: int, pieces: int, buckets: int
) -> None:
    texts = [["a", "b"], ["b"], ["a", "b"], ["c", "a", "ü", "b"], ["b", "b"]]
    monkeypatch.setattr(terms, "COUNTED_BYTES", piece_bytes)
    found = in_pieces(texts, buckets)
    assert [piece["bucket"].to_pylist() for piece in found] == [list(range(buckets))] * pieces
    sums = [added_up([piece.slice(bucket, 1) for piece in found]) for bucket in range(buckets)]
    assert sum(map(bool, sums)) == min(buckets, 4)  # by first words, of which there are four
    everything = [row for each in sums for row in each]
    assert len({term for term, _ in everything}) == len(everything)
    assert dict(everything) == Counter(term for words in texts for term in set(terms_of(words)))


def test_of_the_most_frequent_none_is_missing_that_is_as_frequent_as_the_last() -> None:
    pieces = in_pieces([["a"], ["b"], ["a"], ["c"], ["b"], ["c"], ["d"], ["a"]], 1)
    assert sorted(added_up(pieces, size=2)) == [("a", 3), ("b", 2), ("c", 2)]
    assert added_up(pieces, size=1) == [("a", 3)]
    assert sorted(added_up(pieces, size=4)) == [("a", 3), ("b", 2), ("c", 2), ("d", 1)]
    assert sorted(added_up(pieces, size=4, least=2)) == [("a", 3), ("b", 2), ("c", 2)]
    assert added_up(pieces, size=2, least=4) == []


def test_of_no_rows_nothing_is_counted() -> None:
    assert in_pieces([], 3) == []
    assert added_up([]) == []


def last_clause(words: list[str]) -> list[str]:
    clauses = [list(clause) for between, clause in groupby(words, lambda word: word in WORDS[5:]) if not between]
    return clauses[-1] if clauses else []


@given(TEXTS)
@example([])
@example([["~a"], ["a", "b", "a", "b", "b"]])
@example([["lost", "ü", "lost", "😀", "a"]])
@example([["a", ",", "a", "b", "b", "?!"], ["but", "but"], ["b", "b", "b"]])
def test_weights_are_counts_by_idf_of_length_one_and_the_last_clause_counts_twice(texts: list[list[str]]) -> None:
    idf = np.array([0.5, 1.0, 1.5, 2.0, 0.25, 3.0, 0.75, 1.25, 0.1, 4.0, 0.2, 5.0])
    found = Vocabulary(pa.array(KNOWN), idf).weighted(joined(texts))
    wanted = []
    for row, words in enumerate(texts):
        counts = Counter([*terms_of(words), *terms_of(last_clause(words))])
        places = [(place, counts[term]) for place, term in enumerate(KNOWN) if term in counts]
        length = math.sqrt(sum((count * idf[place]) ** 2 for place, count in places))
        wanted += [(row, place, count, count * idf[place] / length) for place, count in places]
    rows = zip(found.row.tolist(), found.term.tolist(), found.count.tolist(), strict=True)
    assert list(rows) == [entry[:3] for entry in wanted]
    assert found.weight.tolist() == pytest.approx([entry[3] for entry in wanted])


def test_threads_that_ask_a_new_vocabulary_at_once_are_told_the_same() -> None:
    words = [f"w{number}" for number in range(2_000)]
    known = pa.array([*words, *(f"{first} {second}" for first in words[:300] for second in words[:300])])
    idf = np.linspace(1, 2, len(known))
    tokens = pa.array([" ".join(words[start : start + 30]) for start in range(250)])
    expected = Vocabulary(known, idf).weighted(tokens)
    assert len(expected.term) > 2 * 29 * len(tokens)
    for _ in range(5):
        vocabulary = Vocabulary(known, idf)
        with ThreadPoolExecutor(4) as threads:
            for found in threads.map(vocabulary.weighted, [tokens] * 8):
                assert np.array_equal(found.term, expected.term)


def test_a_text_whose_terms_all_weigh_nothing_has_no_length_to_divide_by() -> None:
    found = Vocabulary(pa.array(["a", "b"]), np.array([0.0, 1.0])).weighted(pa.array(["a", "b a", "unknown"]))
    assert found.row.tolist() == [0, 1, 1]
    assert found.weight.tolist() == [0.0, 0.0, 1.0]


def test_vectors_are_sparse_and_those_without_a_term_empty() -> None:
    found = Vocabulary(pa.array(["a", "b", "a b"]), np.array([3.0, 4.0, 0.0])).weighted(pa.array(["", "a b", "b", ""]))
    vectors = found.vectors(4, 3, found.weight).to_pylist()
    assert [vector["indices"] for vector in vectors] == [[], [0, 1, 2], [1], []]
    assert [vector["values"] for vector in vectors] == [[], [0.6, 0.8, 0.0], [1.0], []]
    assert {(vector["type"], vector["size"]) for vector in vectors} == {(0, 3)}
