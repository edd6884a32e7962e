"""The peer "scikit-learn": TF-IDF of one and two words, a logistic regression and a linear SVC.

One JSON line when a step begins, one when it ends, one with each accuracy on the test split. What is predicted for
every test row goes to --predictions, so that a comparison can be paired.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and test/ (Parquet)")
    parser.add_argument("--predictions", type=Path, required=True, help="Parquet file: id and one column per model")
    return parser.parse_args(argv)


def say(**event: str | float) -> None:
    print(json.dumps(event), flush=True)


def timed(step: str, work: Callable[[], Any]) -> Any:
    say(event="fitting", step=step)
    began = time.monotonic()
    result = work()
    say(event="fitted", step=step, seconds=round(time.monotonic() - began, 3))
    return result


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    train, test = (pd.read_parquet(args.data / name) for name in ("train", "test"))
    say(event="ready", rows=len(train) + len(test))
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    rows = timed("features", lambda: vectorizer.fit_transform(train["text"]))
    models = {
        "logisticregression": LogisticRegression(C=2, max_iter=1000),
        "linearsvc": LinearSVC(C=0.1),
    }
    scored = test[["id"]].copy()
    for name, model in models.items():
        fitted = timed(name, partial(model.fit, rows, train["label"]))
        scored[name] = fitted.predict(vectorizer.transform(test["text"]))
        say(event="scored", step=name, accuracy=float((scored[name] == test["label"]).mean()))
    scored.to_parquet(args.predictions)


if __name__ == "__main__":
    main()
