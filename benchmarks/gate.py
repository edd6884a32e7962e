"""How often the promotion gate lets noise through: pairs of classifiers that differ by chance alone.

Each pair are two logistic regressions on Poisson bootstrap samples (Chamandy et al. 2012) of the same tweets, put
through the gate's rules on the same validation rows. Beside the number promoted stands the number that the intervals'
widths imply for challengers exactly as good as their champions, and how many of the promoted are worse than the margin
on further tweets. At the end a classifier with four times the tweets, which must be promoted. Prints one table and
writes JSON to benchmarks/results/.
"""

import argparse
import json
import math
import os
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "code")]

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from pyspark.ml.functions import vector_to_array  # noqa: E402
from pyspark.sql import Column, DataFrame  # noqa: E402
from pyspark.sql import functions as F  # noqa: E402, N812

from benchmarks import processes  # noqa: E402
from sentiment import (  # noqa: E402
    arguments,
    cleaning,
    features,
    jobs,
    models,
    raw_tweets,
    tracking,
    training,
)
from sentiment.gate import rules, validation  # noqa: E402
from sentiment.gate.case import Case  # noqa: E402
from sentiment.gate.settings import Limits  # noqa: E402
from sentiment.gate.trial import BATCH_ROWS, ROUNDS, Trial  # noqa: E402
from sentiment.gate.versions import Version  # noqa: E402
from sentiment.roles import CHALLENGER, CHAMPION  # noqa: E402
from sentiment.session import session  # noqa: E402
from sentiment.splits import Splitting  # noqa: E402

SHARED = ROOT.parent / "shared/data/sentiment140/tweets.csv.gz"
SALT = "benchmark-gate"
TIMES_MORE = 4
MOST_DRAWN = 8
VALIDATION, FURTHER = "dev", "test"

OPEN = Limits(min_accuracy=0.5, max_calibration_error=1)
"""What is asked of one model alone is left open: a fit on a small bootstrap sample fails that for no noise."""


@dataclass(frozen=True)
class Pair:
    """A pair's outcome: the verdict, the figures behind it, and the difference of accuracies on further tweets."""

    promoted: bool
    failed: list[str]
    difference: float
    low: float
    high: float
    implied: float
    further: float


class Bench:
    """Tweets divided once, and classifiers fitted and scored on them."""

    def __init__(self, data: Path, train_rows: int, validation_rows: int, num_features: int) -> None:
        self.spark = session("benchmark-gate", workers_need_package=True)
        self.num_features = num_features
        self.parts = self._divided(data, train_rows, validation_rows)
        self.table = self._table(self.parts["train"])
        rows = validation.with_slices(self.parts[VALIDATION]).toPandas()
        self.validation = rows.sort_values("id", ignore_index=True)
        self.labels = self._labels()

    def _divided(self, data: Path, train_rows: int, validation_rows: int) -> dict[str, DataFrame]:
        """Clean tweets in an order drawn by hash: training rows, TIMES_MORE as many, validation rows, the rest."""
        raw = raw_tweets.read(self.spark, raw_tweets.find_files(self.spark, str(data)))
        clean = cleaning.clean(cleaning.assess(raw)).withColumn("id", F.hex(F.xxhash64("text")))
        ordered = clean.toPandas().sort_values("id", ignore_index=True)
        ordered = ordered.sample(frac=1, random_state=42, ignore_index=True)
        many = TIMES_MORE * train_rows
        ends = {"train": (0, train_rows), "more": (0, many), VALIDATION: (many, many + validation_rows)}
        ends[FURTHER] = (many + validation_rows, len(ordered))
        if ends[FURTHER][1] - ends[FURTHER][0] < validation_rows:
            raise jobs.DataError(f"--data {data}: want {many + 2 * validation_rows:,} tweets, found {len(ordered):,}")
        schema = "id string, text string, label double"
        frames = {name: ordered.iloc[slice(*end)][["id", "text", "label"]] for name, end in ends.items()}
        return {name: self.spark.createDataFrame(frame, schema).persist() for name, frame in frames.items()}

    def _table(self, train: DataFrame) -> features.FeatureTable:
        divided = {"train": train, VALIDATION: self.parts[VALIDATION], FURTHER: self.parts[FURTHER]}
        folds = training.FOLDS
        return features.build(divided, train.count(), self.num_features, folds, SALT, in_memory=True)

    def _labels(self) -> dict[str, pd.DataFrame]:
        parts = {name: self.parts[name].select("id", "label").toPandas() for name in (VALIDATION, FURTHER)}
        return {name: frame.sort_values("id", ignore_index=True) for name, frame in parts.items()}

    def fitted(self, table: features.FeatureTable, draw: str = "") -> dict[str, pd.DataFrame]:
        """id, prediction and score of validation and further rows, ordered by id.

        Args:
            table: with the rows to train on.
            draw: names a bootstrap sample of them; empty: all, once each.
        """
        train = table.split("train")
        estimator = models.logistic_regression(table.train_rows)
        if draw:
            train = train.withColumn("inner_weight", poisson(draw)).where("inner_weight > 0")
            estimator.setWeightCol("inner_weight")
        fitted = estimator.fit(train)
        said = {}
        for name in (VALIDATION, FURTHER):
            score = vector_to_array(F.col(models.PROBABILITY))[1].alias("score")
            prediction = F.col(models.PREDICTION).alias("prediction")
            scored = fitted.transform(table.split(name)).select("id", prediction, score).toPandas()
            said[name] = scored.sort_values("id", ignore_index=True)
        return said

    def judged(self, champion: dict[str, pd.DataFrame], challenger: dict[str, pd.DataFrame], limits: Limits) -> Pair:
        """The gate's verdict on two fitted classifiers."""
        rows = self.validation.copy()
        for role, said in ((CHAMPION, champion), (CHALLENGER, challenger)):
            for column in ("prediction", "score"):
                rows[f"{role}_{column}"] = said[VALIDATION][column]
        case = Case(_version("2"), _version("1"), self._trial(rows), [], limits)
        findings = rules.judge(case)
        assert findings.overall is not None
        right = {
            role: float(np.mean(said[FURTHER]["prediction"] == self.labels[FURTHER]["label"]))
            for role, said in ((CHAMPION, champion), (CHALLENGER, challenger))
        }
        pair = findings.overall
        return Pair(
            promoted=not findings.failed,
            failed=[verdict.rule for verdict in findings.failed],
            difference=pair.difference,
            low=pair.low,
            high=pair.high,
            implied=pair.pass_rate(limits.max_regression),
            further=right[CHALLENGER] - right[CHAMPION],
        )

    def _trial(self, rows: pd.DataFrame) -> Trial:
        """As if both had been loaded, had taken the same time and told the probe texts apart."""
        return Trial(
            test="validation",
            splitting=Splitting().described(),
            counts={"rows": len(rows)},
            probes={role: [0.0, 1.0] for role in (CHAMPION, CHALLENGER)},
            seconds={role: [1.0] * ROUNDS for role in (CHAMPION, CHALLENGER)},
            batch_rows=BATCH_ROWS,
            rows=rows,
        )


def poisson(draw: str) -> Column:
    """How often a row is in the bootstrap sample `draw`: Poisson with mean 1, by a hash of the row's id."""
    place = F.pmod(F.xxhash64(F.lit(draw), "id"), F.lit(2**40)) / 2**40
    reached, times = 0.0, F.lit(0.0)
    for drawn in range(MOST_DRAWN):
        reached += math.exp(-1) / math.factorial(drawn)
        times = times + F.when(place >= reached, 1.0).otherwise(0.0)
    return times


def _version(number: str) -> Version:
    params = {name: str(value) for name, value in Splitting().described().items()}
    tags = {"spark_minor": tracking.provenance()["spark_minor"]}
    return Version("benchmark", number, "run", "", tags, dict.fromkeys(rules.RUN_METRICS, 0.5), params)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    whole = arguments.whole(1)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DATA") or SHARED), help="CSV of tweets")
    parser.add_argument("--pairs", type=whole, default=20, help="pairs that differ by chance alone")
    parser.add_argument("--train-rows", type=whole, default=15_000, help="tweets that each of a pair is drawn from")
    parser.add_argument("--validation-rows", type=whole, default=10_000, help="tweets that the gate looks at")
    parser.add_argument("--num-features", type=whole, default=131_072, help="unigrams and bigrams to keep")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    began, clock = datetime.now(UTC), time.monotonic()
    limits = OPEN
    bench = Bench(args.data.resolve(), args.train_rows, args.validation_rows, args.num_features)
    pairs: list[Pair] = []
    reverse: list[Pair] = []
    for number in range(args.pairs):
        both = [bench.fitted(bench.table, f"{role}-{number}") for role in (CHAMPION, CHALLENGER)]
        pairs.append(bench.judged(both[0], both[1], limits))
        reverse.append(bench.judged(both[1], both[0], limits))
        print(f"{datetime.now(UTC):%H:%M:%S}  pair {number + 1}: {_line(pairs[-1])}", flush=True)
    small = bench.fitted(bench.table)
    bench.table.rows.unpersist()
    large = bench.judged(small, bench.fitted(bench._table(bench.parts["more"])), limits)
    result = {
        "began": began.isoformat(timespec="seconds"),
        "machine": processes.machine(),
        "arguments": {name: value if isinstance(value, int) else str(value) for name, value in vars(args).items()},
        "summary": summary(pairs, limits),
        "summary_reversed": summary(reverse, limits),
        "pairs": [vars(pair) for pair in pairs],
        "more_data": vars(large),
        "seconds": round(time.monotonic() - clock, 1),
    }
    path = ROOT / "benchmarks/results" / f"gate-{began:%Y%m%dT%H%M%SZ}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    show(result, large)
    print(f"\n{path}")
    if not large.promoted:
        raise jobs.DataError(f"{TIMES_MORE} times the tweets: want it promoted, found {', '.join(large.failed)} failed")


def summary(pairs: list[Pair], limits: Limits) -> dict[str, float]:
    """Counts over all pairs, and what the widths of their intervals imply."""
    implied = [pair.implied for pair in pairs]
    promoted = [pair for pair in pairs if pair.promoted]
    return {
        "pairs": len(pairs),
        "passed_regression": sum("regression" not in pair.failed for pair in pairs),
        "promoted": len(promoted),
        "implied": sum(implied),
        "implied_deviation": math.sqrt(sum(rate * (1 - rate) for rate in implied)),
        "promoted_and_worse_on_further": sum(pair.further < -limits.max_regression for pair in promoted),
        "worse_on_further": sum(pair.further < -limits.max_regression for pair in pairs),
    }


def _line(pair: Pair) -> str:
    verdict = "promoted" if pair.promoted else f"kept ({', '.join(pair.failed)})"
    return (
        f"{pair.difference:+.4f} ({pair.low:+.4f} to {pair.high:+.4f}), on further tweets {pair.further:+.4f}, "
        f"implied {pair.implied:.2f}: {verdict}"
    )


def show(result: dict[str, Any], large: Pair) -> None:
    """Print what came out."""
    for title, found in (("", result["summary"]), (", the roles exchanged", result["summary_reversed"])):
        print(f"\n{found['pairs']} pairs that differ by chance alone{title}")
        _show_counts(found)
    print(f"\n{TIMES_MORE} times the tweets: {_line(large)}")
    print(f"{result['seconds']:.0f} s")


def _show_counts(found: dict[str, float]) -> None:
    margin = f"{OPEN.max_regression:g}"
    print(f"  passed the rule regression     {found['passed_regression']}")
    print(f"  the intervals imply            {found['implied']:.1f} +- {found['implied_deviation']:.1f}")
    print(f"  promoted by all rules          {found['promoted']}")
    print(f"  of these worse by > {margin} on further tweets: {found['promoted_and_worse_on_further']}")
    print(f"  of all pairs worse by so much: {found['worse_on_further']}")


if __name__ == "__main__":
    jobs.run(main)
