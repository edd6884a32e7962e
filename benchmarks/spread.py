"""The four classifiers beside scikit-learn on tweets of the days on which both labels were collected.

Of the tweets at hand most negatives are of three days in April, most positives of one in June; what tells such days
apart is no sentiment. Accuracy on tweets of other days is what to expect of tweets from any time. Several draws of the
splits hold out a fifth each; a tweet counts once, with the mean of the draws that held it out.
"""

import argparse
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "code")]

from benchmarks import figures, record  # noqa: E402
from benchmarks.contenders import Contenders  # noqa: E402
from benchmarks.figures import LINEAR, MODELS, OURS, SCIKIT  # noqa: E402
from sentiment import arguments, jobs, raw_tweets  # noqa: E402

COLLECTED = {raw_tweets.NEGATIVE: ("Apr 06", "Apr 07", "Apr 17"), raw_tweets.POSITIVE: ("Jun 16",)}
"""Days on which nearly all rows are of this one label, by its target."""

SPLITTING = ("--train-ratio", "0.8", "--val-ratio", "0.01")  # dev only chooses the best


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    whole = arguments.whole(1)
    record.add_data(parser)
    parser.add_argument("--draws", type=whole, default=5, help="of the splits, each with a fifth held out")
    parser.add_argument("--models", type=arguments.one_of(MODELS), default=",".join(MODELS), help="classifiers of ours")
    parser.add_argument("--cores", type=whole, default=2, help="cores for Spark and for scikit-learn")
    parser.add_argument("--heap", default="4g", help="driver heap")
    record.add_json(parser)
    return parser.parse_args(argv)


def spread(data: Path) -> set[str]:
    """The ids of the rows of other days; DataError: there are none."""
    rows = pd.read_csv(
        data, header=None, names=raw_tweets.COLUMNS, dtype=str, keep_default_na=False, encoding_errors="replace"
    )
    day = rows["date"].str.slice(4, 10)
    other = (rows["id"] != "") & (day != "") & rows["target"].isin(list(COLLECTED))
    for target, days in COLLECTED.items():
        other &= (rows["target"] != target) | ~day.isin(days)
    found = set(rows.loc[other, "id"])
    if not found:
        raise jobs.DataError(f"--data: want tweets with ids and dates of other days than {COLLECTED}, found none")
    return found


def judged(ours: Path, theirs: Path) -> pd.DataFrame:
    """Which predictions of one draw are right (1.0) or wrong: a row per tweet, by id, a column per `column()`.

    Args:
        ours: the test rows' scores by our classifiers, as a training writes them.
        theirs: scikit-learn's predictions for the same rows.
    """
    scores, peer = pd.read_parquet(ours), pd.read_parquet(theirs).set_index("id")
    scores["right"] = ((scores["score"] > 0.5) == (scores["label"] == 1.0)).astype(float)
    labels = scores.drop_duplicates("id").set_index("id")["label"]
    right = {column(OURS, model): rows.set_index("id")["right"] for model, rows in scores.groupby("classifier")}
    right |= {column(SCIKIT, model): (peer[model] == labels.reindex(peer.index)).astype(float) for model in LINEAR}
    told = pd.DataFrame(right)
    if told.isna().any(axis=None):
        raise jobs.DataError(f"want predictions for the same tweets in {ours} and {theirs}, found some in one alone")
    return told


def column(what: str, model: object) -> str:
    """The name of a contender's classifier."""
    return f"{what}, {model}"


def summary(tweets: pd.DataFrame) -> dict[str, Any]:
    """Accuracies, and our linear classifiers minus scikit-learn's with the normal 95 % interval of the mean.

    Args:
        tweets: a row for each, a column for each classifier: the share of its draws in which it was told right.
    """
    paired = {}
    for model in LINEAR:
        if column(OURS, model) in tweets:
            difference = tweets[column(OURS, model)] - tweets[column(SCIKIT, model)]
            middle, reach = float(difference.mean()), 1.96 * float(difference.std()) / math.sqrt(len(difference))
            paired[model] = {
                "rows": len(difference),
                "difference": middle,
                "low": middle - reach,
                "high": middle + reach,
            }
    return {"tweets": len(tweets), "accuracy": tweets.mean().to_dict(), "paired_with_scikit_learn": paired}


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    written = record.Record("spread", args)
    ids = spread(args.data)
    made = []
    with tempfile.TemporaryDirectory(prefix="bench-spread-") as folder:
        bench = Contenders(Path(folder), cores=args.cores, heap=args.heap, peer_limit=0)
        clean, _ = bench.clean("spread", args.data, args.heap)
        for seed in range(1, args.draws + 1):
            name = f"draw-{seed}"
            splits, _ = bench.divided(name, clean, args.heap, *SPLITTING, "--seed", str(seed))
            _, output = bench.ours(name, splits, args.heap, args.models)
            _, predictions = bench.scikit(name, splits)
            made.append(judged(output / "test_scores.parquet", predictions))
    tweets = pd.concat(made).groupby(level="id").mean()
    result = {"spread": summary(tweets[tweets.index.isin(ids)]), "all": summary(tweets)}
    path = written.write(**result)
    for name, shown in result.items():
        lines = [[who, f"{accuracy:.4f}"] for who, accuracy in shown["accuracy"].items()]
        print(f"\n{name}: {shown['tweets']:,} tweets\n{figures.table(('classifier', 'accuracy'), lines)}")
        for model, pair in shown["paired_with_scikit_learn"].items():
            print(f"{model}: {pair['difference']:+.4f} ({pair['low']:+.4f} to {pair['high']:+.4f})")
    print(path)


if __name__ == "__main__":
    jobs.run(main)
