"""What the grid's search costs beside one fit per grid point and fold on the same features, and where its time goes.

One process, features made once. For each classifier: its search as a training with --enable-cv makes it, then every
grid point fitted on every fold's training rows one after another, nothing else, and every fitted one scored.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "code")]

from pyspark.ml.evaluation import BinaryClassificationEvaluator  # noqa: E402
from pyspark.sql import DataFrame  # noqa: E402

from benchmarks import record  # noqa: E402
from sentiment import arguments, cleaning, features, jobs, models, raw_tweets, splits, training  # noqa: E402
from sentiment.progress import Progress  # noqa: E402
from sentiment.session import session  # noqa: E402


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    record.add_data(parser)
    parser.add_argument("--cv-folds", type=arguments.whole(2), default=2, help="folds")
    parser.add_argument("--max-rows", type=arguments.whole(0), default=0, help="rows at most; 0: all")
    parser.add_argument("--num-features", type=arguments.whole(1), default=131_072, help="unigrams and bigrams to keep")
    parser.add_argument(
        "--models", type=arguments.one_of(models.NAMES), default=",".join(models.NAMES), help="which classifiers"
    )
    record.add_json(parser)
    return parser.parse_args(argv)


def table(divided: dict[str, DataFrame], num_features: int) -> features.FeatureTable:
    """Features of all splits, made once."""
    return features.build(divided, divided["train"].count(), num_features, training.FOLDS, "benchmark", in_memory=True)


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What `work` gives, and its wall seconds."""
    began = time.monotonic()
    found = work()
    return found, time.monotonic() - began


def searched(made: features.FeatureTable, name: str, folds: int) -> dict[str, float]:
    """Seconds of one classifier's search, and of the single fits that it is made of.

    `whole` is the training with the search, `plain` the same without it; `fits` and `scores` are the grid points on
    the folds, one after another.
    """
    spec = models.spec(name, made.train_rows, seed=42)
    [(param, values)] = spec.grid.items()
    plain, searching = (
        training.Trainer(made, training.Options([name], cv_folds=count), Progress()) for count in (0, folds)
    )
    rows = plain.train
    if name in models.TREES:  # the linear scores that trees see are no part of the search
        rows = plain._rows_for_trees()
        searching._rows_for_trees()
    plain_seconds = plain.fit(name).seconds
    whole = searching.fit(name).seconds

    number = features.drawn("cv", folds)
    evaluator = BinaryClassificationEvaluator(rawPredictionCol=spec.estimator.getRawPredictionCol())
    fits = scores = cached = 0.0
    for fold in range(folds):
        train, held = rows.where(number != fold).persist(), rows.where(number == fold).persist()
        cached += timed(train.count)[1] + timed(held.count)[1]
        for value in values:
            fitted, seconds = timed(partial(spec.estimator.fit, train, {spec.estimator.getParam(param): value}))
            fits += seconds
            scores += timed(partial(evaluator.evaluate, fitted.transform(held)))[1]
        train.unpersist()
        held.unpersist()
    return {
        "points": len(values),
        "whole": whole,
        "plain": plain_seconds,
        "fits": fits,
        "scores": scores,
        "folds_cached": cached,
        "ratio": whole / fits,
    }


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    written = record.Record("crossvalidation", args)
    with tempfile.TemporaryDirectory(prefix="bench-cv-") as folder:
        os.environ["SPARK_LOCAL_DIRS"] = folder
        os.environ["PYSPARK_SUBMIT_ARGS"] = "--master local[2] pyspark-shell"
        spark = session("benchmark-cv", workers_need_package=True)
        raw = raw_tweets.read(spark, raw_tweets.find_files(spark, str(args.data)))
        clean = splits.thinned(cleaning.clean(cleaning.assess(raw)), 1.0, args.max_rows, seed=42)
        figures = measured(splits.divide(clean, splits.Splitting()), args)
        spark.stop()
    path = written.write(**figures)
    print(f"\n{json.dumps(figures, indent=1)}\n{path}")


def measured(divided: dict[str, DataFrame], args: argparse.Namespace) -> dict[str, Any]:
    """The features' seconds, each classifier's figures and the whole grid's ratio."""
    made, seconds = timed(lambda: table(divided, args.num_features))
    found = {}
    for name in args.models:
        found[name] = searched(made, name, args.cv_folds)
        print(name, {key: round(value, 2) for key, value in found[name].items()}, flush=True)
    whole, fits = (sum(figures[key] for figures in found.values()) for key in ("whole", "fits"))
    return {
        "folds": args.cv_folds,
        "train_rows": made.train_rows,
        "features_seconds": seconds,
        "classifiers": found,
        "ratio": whole / fits,
    }


if __name__ == "__main__":
    jobs.run(main)
