"""Divide clean tweets into train, dev and test by a hash of their normalised text."""

import argparse

try:
    import sentiment  # noqa: F401
except ModuleNotFoundError:
    raise SystemExit(
        "create_splits.py: the package 'sentiment' is missing: submit dist/create_splits.py instead, "
        "or add --py-files dist/sentiment.zip (make package writes both)"
    ) from None
from sentiment import arguments, datasets, hadoop, jobs, progress, splits, storage
from sentiment.session import session


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    parser.add_argument("--input", type=arguments.path, required=True, help="folder that preprocess.py wrote")
    parser.add_argument(
        "--output",
        type=arguments.path,
        required=True,
        help="folder for train/, dev/, test/ (Parquet, replaced) and splits.json",
    )
    arguments.add_splits(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    splitting = arguments.splitting(args)
    progress.start_logging()
    steps = progress.Progress()
    with steps.step("starting Spark"):
        spark = session("create_splits")
    tweets = datasets.read_clean(spark, storage.join(args.input, datasets.TWEETS), "--input")
    source = f"--input {args.input}"
    with steps.step(f"dividing {args.input}"), hadoop.telling(source), jobs.naming(source):
        divided = splits.divide(tweets, splitting)
        counts = splits.count_labels(divided)
    with steps.step(f"writing {args.output}"):
        splits.write(spark, divided, {**splitting.described(), "rows": counts}, args.output)
    for name, labels in counts.items():
        steps.say(f"{name}: {labels['negative']:,} negative, {labels['positive']:,} positive")


if __name__ == "__main__":
    jobs.run(main)
