"""The arguments of a training, which both training jobs take, and the settings that they become.

Apart from the training itself, which takes seconds to load: a mistake in the arguments is told at once.
"""

import argparse
from dataclasses import dataclass
from typing import Any

from sentiment import arguments, flags, storage
from sentiment.models import NAMES
from sentiment.training import Options

MOST_FOLDS = 100


@dataclass(frozen=True)
class Settings:
    """Where a training takes its rows from and leaves its results, and what it trains."""

    input: str
    output: str
    mlflow_uri: str
    experiment: str
    model_name: str
    num_features: int
    in_memory: bool
    splitting: dict[str, Any]
    options: Options
    ledger: str = ""
    keep_test: bool = False
    """Leave the test split under `output` for the gate: `input` is raw tweets, not splits."""

    @property
    def splits(self) -> str:
        """The folder with the test split that the gate will read."""
        return storage.join(self.output, "splits") if self.keep_test else self.input

    @property
    def source(self) -> str:
        """The flag that named the rows, and what it said."""
        return f"{'--input' if self.keep_test else '--data'} {self.input}"

    @property
    def seeded(self) -> dict[str, Any]:
        """What a run says of chance: how the rows were divided, with that seed, and the seed of the trees."""
        return {**self.splitting, "train_seed": self.options.seed}

    def registered(self, what: str) -> str:
        """The registered model of a classifier, or of the best of them (registry.BEST)."""
        return f"{self.model_name}-{what}"


def add(parser: argparse.ArgumentParser) -> None:
    """What is trained, how, and where it is registered."""
    arguments.add_mlflow_uri(parser)
    parser.add_argument("--mlflow-experiment", default="default", help="MLflow experiment, made if it is new")
    parser.add_argument(
        "--registered-model-name",
        type=arguments.model_name,
        default="twitter-sentiment-model",
        help="prefix of the models in the registry",
    )
    parser.add_argument(
        "--num-features",
        type=flags.whole(1, flags.MOST_INT),
        default=131_072,
        help="how many unigrams and bigrams to keep, the most frequent",
    )
    parser.add_argument(
        "--models", type=arguments.one_of(NAMES), default=",".join(NAMES), help="which classifiers, comma-separated"
    )
    parser.add_argument(
        "--enable-cv", action="store_true", help="search a grid per classifier with Spark's CrossValidator"
    )
    parser.add_argument(
        "--cv-folds",
        type=flags.whole(2, MOST_FOLDS),
        default=2,
        help="folds of the CrossValidator, with --enable-cv",
    )
    parser.add_argument(
        "--enable-caching",
        action="store_true",
        help="hold the feature table in memory; without it, it is computed once too, but read from local disk",
    )
    arguments.add_ledger(parser)


def settings(args: argparse.Namespace, source: str, splitting: dict[str, Any], keep_test: bool = False) -> Settings:
    """The training that the arguments describe."""
    return Settings(
        input=source,
        output=args.output,
        mlflow_uri=args.mlflow_uri,
        experiment=args.mlflow_experiment,
        model_name=args.registered_model_name,
        num_features=args.num_features,
        in_memory=args.enable_caching,
        splitting=splitting,
        ledger=args.ledger or "",
        keep_test=keep_test,
        options=Options(names=args.models, seed=args.seed, cv_folds=args.cv_folds if args.enable_cv else 0),
    )
