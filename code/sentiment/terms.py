"""Unigrams and bigrams of texts that are cut into tokens: counted, looked up, weighted; numpy, whole batches at a time.

Spark's own stages do the same row by row: they make a string of every bigram, and a vector of every row three times.
Here words and pairs of words are numbers, and a string is made of a pair once, to be counted.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sentiment.text import BETWEEN_CLAUSES

Doubles = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

COUNTED_BYTES = 16 * 2**20
"""Tokens that are counted at once: some 200 thousand tweets."""

_COUNTS = pa.schema({"term": pa.string(), "rows": pa.int64()})
_INTEGERS = pa.list_(pa.field("element", pa.int32(), nullable=False))
_DOUBLES = pa.list_(pa.field("element", pa.float64(), nullable=False))
_SPARSE = 0
_VECTOR = pa.struct(  # as pyspark.ml.linalg.VectorUDT has it
    [
        pa.field("type", pa.int8(), nullable=False),
        pa.field("size", pa.int32()),
        pa.field("indices", _INTEGERS),
        pa.field("values", _DOUBLES),
    ]
)


@dataclass(frozen=True)
class Weighted:
    """The terms of some texts: three arrays of one length, in the order of the rows and, within each, of the terms.

    Attributes:
        row: number of the text.
        term: place in the vocabulary.
        count: how often it stands in the text, in the last clause twice as often.
        weight: TF-IDF; a row's have length 1, or all are 0.
    """

    row: Places
    term: Places
    count: Places
    weight: Doubles

    def vectors(self, rows: int, size: int, values: Doubles) -> pa.StructArray:
        """A sparse vector of Spark's for each of `rows` texts: `size` long, with the values at the terms' places."""
        ends = np.searchsorted(self.row, np.arange(rows + 1)).astype(np.int32)
        indices = pa.ListArray.from_arrays(ends, self.term.astype(np.int32), type=_INTEGERS)
        values = pa.ListArray.from_arrays(ends, values, type=_DOUBLES)
        kind, length = (np.full(rows, number, integer) for number, integer in ((_SPARSE, np.int8), (size, np.int32)))
        return pa.StructArray.from_arrays([pa.array(kind), pa.array(length), indices, values], type=_VECTOR)


@dataclass(frozen=True)
class Vocabulary:
    """The terms that a model knows.

    Attributes:
        terms: a word, or two words and a space between, each at the place of its weights.
        idf: the weight of each.
    """

    terms: pa.Array
    idf: Doubles

    def weighted(self, tokens: pa.Array) -> Weighted:
        """TF-IDF of length 1 of each text's terms, as Spark's stages give it to those of `text.terms`.

        Sums run in the order of the places, one row's terms after the other, as they do in Spark.

        Args:
            tokens: of each text, a space between them, which none holds.
        """
        row, term, count = self._counted(tokens)
        weight = self.idf[term] * count
        length = np.sqrt(np.bincount(row, weight * weight, len(tokens)))
        length[length == 0] = 1
        return Weighted(row, term, count, weight / length[row])

    def _counted(self, tokens: pa.Array) -> tuple[Places, Places, Places]:
        """Row, place and count of each known term of each text, in this order."""
        words, row = _words(tokens)
        known, between, place_of_word, pairs, place_of_pair = self._numbered
        word = pc.index_in(words, value_set=known).fill_null(-1).to_numpy().astype(np.int64)
        unknown = word < 0
        ends = between[word]
        ends[unknown] = _is_between_clauses(words.filter(pa.array(unknown)))
        last = _in_last_clause(ends, row)
        both, pair = _pairs(word, row, len(known))
        places = np.full(2 * len(word), -1)  # of each word and, behind it, of its pair: so rows stay in order
        places[::2] = place_of_word[word]
        places[1:-1:2][both] = place_of_pair[pairs.get_indexer(pd.Index(pair))]
        twice = np.zeros(len(places), bool)
        twice[::2], twice[1:-1:2] = last, last[:-1] & last[1:]
        present = np.flatnonzero(places >= 0)
        return _added_up(row[present >> 1], places[present], twice[present], len(self.terms))

    @cached_property
    def _numbered(self) -> tuple[pa.Array, Flags, Places, pd.Index, Places]:
        """All words, which stand between clauses, their places, all pairs as one number each, their places.

        The last place, of what is unknown, is -1.

        Pandas keeps the table by which it finds a number; pyarrow would make one for every batch. It is made here,
        before threads share it: pandas promises nothing to those.

        A word may stand in a known pair and not be known alone: its place is -1 too.
        """
        parts = pc.split_pattern(self.terms, " ")
        count, words = pc.list_value_length(parts).to_numpy(), parts.flatten()
        first = np.cumsum(count) - count
        known = words.unique()
        word = pc.index_in(words, value_set=known).to_numpy().astype(np.int64)
        single, double = np.flatnonzero(count == 1), np.flatnonzero(count == 2)
        place_of_word = np.full(len(known) + 1, -1)
        place_of_word[word[first[single]]] = single
        pairs = pd.Index(word[first[double]] * len(known) + word[first[double] + 1])
        pairs.get_indexer(pairs)
        between = np.append(_is_between_clauses(known), False)
        return known, between, place_of_word, pairs, np.append(double, -1)


def counted_in_pieces(batches: Iterable[pa.RecordBatch], buckets: int) -> Iterator[pa.RecordBatch]:
    """Terms and in how many rows of a piece they stand, piece by piece: a term comes once for each that has it.

    They come packed, because Spark takes longer to pass on millions of terms one by one than they take to be counted:
    a row per piece and bucket, columns bucket and packed. A term's bucket is its first word's, drawn by hash.

    Args:
        batches: one column, tokens, see `counted`.
        buckets: how many of them.
    """
    for piece in _pieces(batches):
        yield _packed(counted(piece), buckets)


def most_frequent(batches: Iterable[pa.RecordBatch], size: int, least: int) -> Iterator[pa.RecordBatch]:
    """The terms that stand in most rows: columns term and rows, in no order.

    Args:
        batches: what `counted_in_pieces` made, all rows of some buckets.
        size: so many terms, and those that are as frequent as the last of them.
        least: in how many rows a term must stand.
    """
    packed = [value.as_buffer() for batch in batches for value in batch["packed"]]
    if not packed:
        return
    pieces = pa.Table.from_batches([pa.ipc.read_record_batch(buffer, _COUNTS) for buffer in packed])
    total = pieces.group_by("term", use_threads=False).aggregate([("rows", "sum")]).rename_columns(_COUNTS.names)
    rows = total["rows"].to_numpy()
    if len(rows) > size:
        least = max(least, int(np.partition(rows, -size)[-size]))
    yield from total.filter(pa.array(rows >= least)).to_batches()


def counted(tokens: pa.Array) -> pa.RecordBatch:
    """Every term of some texts: columns term, rows (in how many of them it stands) and hash (of its first word).

    Args:
        tokens: of each text, a space between them, which none holds.
    """
    words, row = _words(tokens)
    encoded = words.dictionary_encode()
    known, word = encoded.dictionary, encoded.indices.to_numpy().astype(np.int64)
    both, pair = _pairs(word, row, len(known))
    pairs = pa.array(pair).dictionary_encode()
    first, second = np.divmod(pairs.dictionary.to_numpy(), max(len(known), 1))
    joined = pc.binary_join_element_wise(known.take(pa.array(first)), known.take(pa.array(second)), " ")
    in_rows = [
        _rows_with(word, row, len(known)),
        _rows_with(pairs.indices.to_numpy(), row[1:][both], len(first)),
    ]
    hashed = pd.util.hash_array(known.to_numpy(zero_copy_only=False))  # the same in every process
    columns = {
        "term": pa.concat_arrays([known, joined]),
        "rows": pa.array(np.concatenate(in_rows), pa.int64()),
        "hash": pa.array(np.concatenate([hashed, hashed[first]])),
    }
    return pa.record_batch(columns)


def _pieces(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Array]:
    """The first column in pieces of a little more than COUNTED_BYTES."""
    waiting: list[pa.Array] = []
    for batch in batches:
        waiting.append(batch.column(0))
        if sum(tokens.nbytes for tokens in waiting) > COUNTED_BYTES:
            yield pa.concat_arrays(waiting)
            waiting = []
    if waiting:
        yield pa.concat_arrays(waiting)


def _packed(counts: pa.RecordBatch, buckets: int) -> pa.RecordBatch:
    """A row for each bucket: its number, and its terms and their rows in one value."""
    bucket = counts["hash"].to_numpy() % buckets
    in_order = counts.select(_COUNTS.names).take(pa.array(np.argsort(bucket, kind="stable")))
    sizes = np.bincount(bucket, minlength=buckets)
    starts = np.cumsum(sizes) - sizes
    packed = [in_order.slice(start, size).serialize().to_pybytes() for start, size in zip(starts, sizes, strict=True)]
    return pa.record_batch({"bucket": pa.array(range(buckets), pa.int32()), "packed": pa.array(packed, pa.binary())})


def _words(tokens: pa.Array) -> tuple[pa.Array, Places]:
    """All words of some texts one after another, and the row of each."""
    lists = pc.split_pattern(tokens, " ")
    return lists.flatten(), pc.list_parent_indices(lists).to_numpy()


def _pairs(word: Places, row: Places, words: int) -> tuple[Flags, Places]:
    """Which words but the first have, with the one before, both known (not -1) and of one row; numbers of those pairs.

    Every word is below `words`.
    """
    first, second = word[:-1], word[1:]
    both = (row[1:] == row[:-1]) & (first >= 0) & (second >= 0)
    return both, first[both] * words + second[both]


def _is_between_clauses(words: pa.Array) -> Flags:
    """Which words separate clauses."""
    found: Flags = pc.match_substring_regex(words, f"^(?:{BETWEEN_CLAUSES})$").to_numpy(zero_copy_only=False)
    return found


def _in_last_clause(between: Flags, row: Places) -> Flags:
    """Which words are in the last clause of their text, as `text.last_clause` has it.

    Args:
        between: which words separate clauses.
        row: the text of each, in order.
    """
    inside = ~between
    begins = inside.copy()
    begins[1:] &= between[:-1] | (row[1:] != row[:-1])
    begin = np.zeros(row[-1] + 1 if len(row) else 0, np.int64)
    begin[row[begins]] = np.flatnonzero(begins)  # of a text's clauses the last one stays
    return inside & (np.arange(len(row)) >= begin[row])


def _added_up(row: Places, number: Places, twice: Flags, numbers: int) -> tuple[Places, Places, Places]:
    """Each row and number once, in this order, and how often they came; every number is below `numbers`."""
    bits = numbers.bit_length()
    each = _sorted(row, (number, bits), (twice, 1))
    both = each >> 1
    begins = _begins(both)
    count = np.diff(begins, append=len(both)) + np.add.reduceat(each & 1, begins)
    both = both[begins]
    return both >> bits, both & ((1 << bits) - 1), count


def _rows_with(number: Places, row: Places, numbers: int) -> Places:
    """In how many rows each number stands."""
    bits = numbers.bit_length()
    both = _sorted(row, (number, bits))
    return np.bincount(both[_begins(both)] & ((1 << bits) - 1), minlength=numbers)


def _sorted(row: Places, *parts: tuple[Places | Flags, int]) -> Places:
    """Rows, and behind each its parts, as one number, in order; a part comes with the bits that hold it.

    Shifted, as divisions take longer; sorted as numbers alone, several at once, which a stable sort cannot.
    """
    each = row.astype(np.int64)
    for part, bits in parts:
        each <<= bits
        each |= part
    each.sort()
    return each


def _begins(values: Places) -> Places:
    """Where each value of a sorted array stands first."""
    return np.flatnonzero(np.diff(values, prepend=-1))
