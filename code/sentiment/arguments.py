"""Argument types and groups that several scripts share: unit, bounds and error are defined here, once."""

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from sentiment import progress
from sentiment.cleaning import Contract
from sentiment.flags import MOST_INT
from sentiment.flags import folder as folder
from sentiment.flags import fraction as fraction
from sentiment.flags import model_name as model_name
from sentiment.flags import parser as parser
from sentiment.flags import path as path
from sentiment.flags import ratio as ratio
from sentiment.flags import share as share
from sentiment.flags import whole as whole
from sentiment.jobs import ArgumentsError, without_secrets
from sentiment.splits import Splitting

DEFAULT_MLFLOW_URI = "sqlite:///mlflow.db"
MOST_TRAIN_AND_DEV = 0.9999
"""Share of the rows that --train-ratio and --val-ratio may take together."""

OUTPUT_HELP = "base path for models, plots/, metrics.json, run.json and training.log (replaced)"
OUTPUT_WITH_SPLITS_HELP = OUTPUT_HELP.replace("plots/,", "plots/, splits/ (the test rows, for the gate),")


def one_of(known: Sequence[str]) -> Callable[[str], list[str]]:
    """A type for a comma-separated list of distinct names out of `known`, given back in the order of `known`."""

    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            found = ", ".join(unknown) or "nothing"
            raise argparse.ArgumentTypeError(f"want a comma-separated list out of {', '.join(known)}; got {found}")
        return [name for name in known if name in names]

    return parse


def add_contract(parser: argparse.ArgumentParser) -> None:
    """The rules that raw tweets must meet."""
    rules = Contract()
    parser.add_argument(
        "--max-rejected", type=share, default=rules.max_rejected, help="largest share of unusable rows that is accepted"
    )
    parser.add_argument(
        "--min-minority-share",
        type=share,
        default=rules.min_minority_share,
        help="smallest share of the rarer label that is accepted",
    )


def contract(args: argparse.Namespace) -> Contract:
    """The contract that the arguments describe."""
    return Contract(max_rejected=args.max_rejected, min_minority_share=args.min_minority_share)


def add_splits(parser: argparse.ArgumentParser) -> None:
    """How rows are divided into train, dev and test."""
    parser.add_argument("--train-ratio", type=ratio, default=0.8, help="share of the rows for training")
    parser.add_argument(
        "--val-ratio", type=ratio, default=0.1, help="share of the rows for the dev split; the rest is the test split"
    )
    add_seed(parser)


def add_seed(parser: argparse.ArgumentParser, what: str = "the splits, the samples and the trees") -> None:
    """One seed for everything that is drawn, `what`."""
    parser.add_argument("--seed", type=whole(0), default=42, help=f"seed of {what}")


def splitting(args: argparse.Namespace) -> Splitting:
    """The division that the arguments describe; ratios that leave no test rows are refused."""
    if args.train_ratio + args.val_ratio > MOST_TRAIN_AND_DEV:
        raise ArgumentsError(
            f"--train-ratio and --val-ratio: want a sum of at most {MOST_TRAIN_AND_DEV}, so that test rows are left; "
            f"got {args.train_ratio:g} + {args.val_ratio:g}"
        )
    return Splitting(train_ratio=args.train_ratio, val_ratio=args.val_ratio, seed=args.seed)


def add_thinning(parser: argparse.ArgumentParser) -> None:
    """How much of the data is used."""
    parser.add_argument(
        "--sample-fraction", type=fraction, default=1.0, help="share of each label to use, chosen by a hash of the text"
    )
    parser.add_argument(
        "--max-rows",
        type=whole(0, MOST_INT),
        default=0,
        help="use that many rows at most, half of each label, chosen by hash; 0: all",
    )


def add_mlflow_uri(parser: argparse.ArgumentParser) -> None:
    """Where runs and models are."""
    parser.add_argument(
        "--mlflow-uri",
        default=os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_MLFLOW_URI,
        help="MLflow tracking server or database; MLFLOW_TRACKING_URI sets another default",
    )


def add_model_name(parser: argparse.ArgumentParser) -> None:
    """Which registered model."""
    parser.add_argument(
        "--model-name", type=model_name, default="twitter-sentiment-model-best", help="registered model"
    )


def add_ledger(parser: argparse.ArgumentParser) -> None:
    """Where it is written down what is live."""
    parser.add_argument(
        "--ledger",
        default=os.environ.get("SENTIMENT_LEDGER"),
        help="local folder or gs://BUCKET/FOLDER for the record of what was live when; the same for all commands "
        "(default: ledger/ beside MLflow's artifacts); SENTIMENT_LEDGER sets another default",
    )


def add_live_model(parser: argparse.ArgumentParser) -> None:
    """Which registered model's live version is asked for or moved; `registry` says where."""
    parser.add_argument(
        "--mlflow-uri",
        help="MLflow tracking server or database (default: MLFLOW_TRACKING_URI, else that of make run, "
        f"{DEFAULT_MLFLOW_URI}, unless ci-cd/env names another: then one of the two is wanted)",
    )
    add_model_name(parser)
    add_ledger(parser)


def registry(given: str | None, settings: Path) -> str:
    """The MLflow server or database that is meant, told in the log.

    Args:
        given: by --mlflow-uri.
        settings: ci-cd/env, which need not be there.

    Raises:
        ArgumentsError: only `settings` names one, of a cloud: a champion that moved here would look like one there.
    """
    in_cloud = _setting(settings, "MLFLOW_TRACKING_URI")
    is_told = given or "MLFLOW_TRACKING_URI" in os.environ or os.environ.get("SENTIMENT_LOCAL_ENV")
    if in_cloud not in ("", DEFAULT_MLFLOW_URI) and not is_told:
        raise ArgumentsError(
            f"--mlflow-uri: want it or MLFLOW_TRACKING_URI, as ci-cd/env names {without_secrets(in_cloud)} "
            f"and make run uses {DEFAULT_MLFLOW_URI}; found neither"
        )
    uri = given or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_MLFLOW_URI
    progress.log.info("registry: %s", without_secrets(uri))
    return uri


def _setting(file: Path, name: str) -> str:
    """A setting out of NAME=VALUE lines, as ci-cd/lib.sh reads them; empty where there is none."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition("=")[2].strip() for line in lines if line.startswith(f"{name}=")), "")
