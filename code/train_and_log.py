"""Train classifiers on prepared splits, log them to MLflow and register the best."""

import argparse

try:
    import sentiment  # noqa: F401
except ModuleNotFoundError:
    raise SystemExit(
        "train_and_log.py: the package 'sentiment' is missing: submit dist/train_and_log.py instead, "
        "or add --py-files dist/sentiment.zip (make package writes both)"
    ) from None
from sentiment import arguments, datasets, jobs, splits, storage, training_arguments
from sentiment.progress import Progress, workplace
from sentiment.session import loading, session


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    parser.add_argument("--data", type=arguments.path, required=True, help="folder that create_splits.py wrote")
    parser.add_argument("--output", type=arguments.path, default="models/", help=arguments.OUTPUT_HELP)
    training_arguments.add(parser)
    arguments.add_seed(parser, "the trees; that of the splits is written with them")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with workplace() as work:
        steps = Progress()
        with steps.step("starting Spark"), loading("sentiment.experiment"):
            spark = session("train_and_log", workers_need_package=True)
        from sentiment import experiment

        splitting = splits.read_report(spark, storage.join(args.data, datasets.SPLITS_REPORT))
        divided = {
            name: datasets.read_clean(spark, storage.join(args.data, name), "--data") for name in datasets.SPLIT_NAMES
        }
        settings = training_arguments.settings(args, args.data, splitting)
        experiment.train(spark, divided, settings, steps, work)


if __name__ == "__main__":
    jobs.run(main)
