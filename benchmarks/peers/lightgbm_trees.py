"""The peer "LightGBM": boosted trees on scikit-learn's TF-IDF of one and two words, ended by the dev split.

One JSON line per step, and one with the accuracy on the test split after ever more rounds, each with the seconds that
had passed since the features were begun. Runs in an environment of its own (`local/setup.sh bench`).
"""

import argparse
import json
import time
from pathlib import Path

import lightgbm  # type: ignore[import-not-found]
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer

SHOWN = 25
"""Points of the curve."""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/, dev/ and test/ (Parquet)")
    parser.add_argument("--rounds", type=int, default=1000, help="boosting rounds at most")
    parser.add_argument("--patience", type=int, default=50, help="end after so many rounds without gain on dev")
    parser.add_argument("--limit", type=float, default=300, help="seconds after which boosting ends")
    parser.add_argument("--leaves", type=int, default=63, help="leaves of a tree")
    parser.add_argument("--rate", type=float, default=0.1, help="learning rate")
    parser.add_argument("--threads", type=int, default=2, help="threads")
    return parser.parse_args(argv)


def say(**event: object) -> None:
    print(json.dumps(event), flush=True)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    train, dev, test = (pd.read_parquet(args.data / name) for name in ("train", "dev", "test"))
    say(event="ready", rows=len(train) + len(dev) + len(test), version=lightgbm.__version__)
    began = time.monotonic()
    say(event="fitting", step="features")
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, dtype="float32")
    rows = vectorizer.fit_transform(train["text"])
    say(event="fitted", step="features", seconds=round(time.monotonic() - began, 3))

    moments: list[float] = []

    def watch(env: lightgbm.callback.CallbackEnv) -> None:
        moments.append(time.monotonic() - began)
        if moments[-1] > args.limit:
            raise lightgbm.callback.EarlyStopException(env.iteration, env.evaluation_result_list or [])

    say(event="fitting", step="lightgbm")
    model = lightgbm.LGBMClassifier(
        n_estimators=args.rounds,
        learning_rate=args.rate,
        num_leaves=args.leaves,
        n_jobs=args.threads,
        random_state=42,
        verbosity=-1,
    )
    fit_began = time.monotonic()
    watched = [lightgbm.early_stopping(args.patience, verbose=False), watch]
    held_out = (vectorizer.transform(dev["text"]), dev["label"])
    model.fit(rows, train["label"], eval_set=[held_out], eval_metric="binary_error", callbacks=watched)
    say(event="fitted", step="lightgbm", seconds=round(time.monotonic() - fit_began, 3), rounds=len(moments))

    tests = vectorizer.transform(test["text"])
    ends = sorted({max(1, round(len(moments) * place / SHOWN)) for place in range(1, SHOWN + 1)})
    for end in ends:
        right = model.predict(tests, num_iteration=end) == test["label"]
        say(event="after", rounds=end, seconds=round(moments[end - 1], 2), accuracy=float(right.mean()))
    accuracy = float((model.predict(tests) == test["label"]).mean())
    say(event="scored", step="lightgbm", accuracy=accuracy, best_round=int(model.best_iteration_ or len(moments)))


if __name__ == "__main__":
    main()
