"""The peer "plain Spark": the pipeline of a tutorial, refitted from the text for every classifier.

One JSON line when a fit begins, one when it ends, one with the accuracy on the test split.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark.ml import Pipeline
from pyspark.ml.classification import GBTClassifier, LinearSVC, LogisticRegression, RandomForestClassifier
from pyspark.ml.feature import IDF, HashingTF, RegexTokenizer, StopWordsRemover
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

MODELS: dict[str, Callable[..., Any]] = {
    "logisticregression": LogisticRegression,
    "linearsvc": LinearSVC,
    "randomforest": RandomForestClassifier,
    "gbt": GBTClassifier,
}
SETTINGS: dict[str, dict[str, float]] = {
    "logisticregression": {"maxIter": 50, "regParam": 0.0},
    "linearsvc": {"maxIter": 50, "regParam": 0.0},
    "randomforest": {"numTrees": 50, "maxDepth": 8, "seed": 42},
    "gbt": {"maxIter": 20, "maxDepth": 5, "seed": 42},
}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and test/ (Parquet)")
    parser.add_argument("--models", default=",".join(MODELS), help="classifiers to fit, in this order")
    parser.add_argument("--cores", type=int, default=2, help="cores of local[N]")
    parser.add_argument("--heap", default="4g", help="driver heap")
    return parser.parse_args(argv)


def pipeline(model: str) -> Pipeline:
    classifier = MODELS[model](featuresCol="features", labelCol="label", **SETTINGS[model])
    return Pipeline(
        stages=[
            RegexTokenizer(inputCol="text", outputCol="words", pattern="\\W+"),
            StopWordsRemover(inputCol="words", outputCol="kept"),
            HashingTF(inputCol="kept", outputCol="counts", numFeatures=32768),
            IDF(inputCol="counts", outputCol="features"),
            classifier,
        ]
    )


def session(cores: int, heap: str) -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    return (
        SparkSession.builder.appName("plain_spark")
        .master(f"local[{cores}]")
        .config("spark.driver.memory", heap)
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )


def say(**event: str | float) -> None:
    print(json.dumps(event), flush=True)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    began = time.monotonic()
    spark = session(args.cores, args.heap)
    train, test = (spark.read.parquet(str(args.data / name)).cache() for name in ("train", "test"))
    say(event="ready", rows=train.count() + test.count(), seconds=round(time.monotonic() - began, 3))
    for model in args.models.split(","):
        say(event="fitting", step=model)
        began = time.monotonic()
        fitted = pipeline(model).fit(train)
        say(event="fitted", step=model, seconds=round(time.monotonic() - began, 3))
        right = fitted.transform(test).agg(F.avg((F.col("prediction") == F.col("label")).cast("double"))).head()
        assert right is not None
        say(event="scored", step=model, accuracy=right[0])
    spark.stop()


if __name__ == "__main__":
    main()
