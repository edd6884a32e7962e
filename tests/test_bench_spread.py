"""Which tweets are of days with both labels, and how ours are judged beside scikit-learn's."""

from pathlib import Path

import pandas as pd
import pytest

from benchmarks import spread
from benchmarks.figures import LINEAR
from sentiment.jobs import DataError

ROWS = [
    ("0", "1", "Mon Apr 06 22:19:45 PDT 2009", "a"),
    ("4", "2", "Mon Apr 06 22:19:45 PDT 2009", "b"),
    ("0", "3", "Tue Jun 16 08:40:49 PDT 2009", "c"),
    ("4", "4", "Tue Jun 16 08:40:49 PDT 2009", "d"),
    ("0", "5", "Fri May 29 10:00:00 PDT 2009", "e"),
    ("2", "6", "Fri May 29 10:00:00 PDT 2009", "f"),
    ("0", "", "", "g"),
    ("4", "8", "", "h"),
]


def csv(folder: Path, rows: list[tuple[str, str, str, str]]) -> Path:
    path = folder / "tweets.csv"
    path.write_text("".join(f'"{t}","{i}","{d}","NO_QUERY","u","{x}"\n' for t, i, d, x in rows), encoding="utf-8")
    return path


def test_rows_of_the_days_on_which_a_label_was_collected_are_left_out(tmp_path: Path) -> None:
    assert spread.spread(csv(tmp_path, ROWS)) == {"2", "3", "5"}
    with pytest.raises(DataError, match=r"^--data: want tweets with ids and dates of other days than .*, found none"):
        spread.spread(csv(tmp_path, [ROWS[0], ROWS[3], *ROWS[5:]]))


def draw(folder: Path, scores: dict[str, tuple[float, float]], said: dict[str, float]) -> pd.DataFrame:
    """A draw with label and score of each tweet by our logistic regression, and what scikit-learn's models say."""
    ours = [("logisticregression", name, label, score) for name, (label, score) in scores.items()]
    pd.DataFrame(ours, columns=["classifier", "id", "label", "score"]).to_parquet(folder / "ours.parquet")
    theirs = pd.DataFrame({"id": list(said)} | {name: list(said.values()) for name in LINEAR})
    theirs.to_parquet(folder / "theirs.parquet")
    return spread.judged(folder / "ours.parquet", folder / "theirs.parquet")


def test_a_tweet_counts_once_whatever_the_draws_that_held_it_out(tmp_path: Path) -> None:
    one = draw(tmp_path, {"a": (1.0, 0.9), "b": (0.0, 0.2)}, {"b": 1.0, "a": 1.0})
    two = draw(tmp_path, {"a": (1.0, 0.4), "c": (0.0, 0.5)}, {"a": 0.0, "c": 0.0})
    told = spread.summary(pd.concat([one, two]).groupby(level="id").mean())
    assert told["tweets"] == 3
    assert told["accuracy"] == pytest.approx(
        {"ours, logisticregression": 2.5 / 3, "scikit-learn, logisticregression": 0.5, "scikit-learn, linearsvc": 0.5}
    )
    pair = told["paired_with_scikit_learn"]["logisticregression"]
    assert (pair["rows"], pair["difference"]) == (3, pytest.approx(1 / 3))
    assert pair["low"] == pytest.approx(1 / 3 - 1.96 * (1 / 3) ** 0.5 / 3**0.5)  # differences 0, 1, 0


def test_tweets_that_only_one_has_told_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found some in one alone"):
        draw(tmp_path, {"a": (1.0, 0.9), "b": (0.0, 0.2)}, {"a": 1.0})
