"""Train classifiers straight from raw tweets: clean, divide, train, log to MLflow and register the best."""

import argparse

try:
    import sentiment  # noqa: F401
except ModuleNotFoundError:
    raise SystemExit(
        "sentiment_multimodel.py: the package 'sentiment' is missing: submit dist/sentiment_multimodel.py instead, "
        "or add --py-files dist/sentiment.zip (make package writes both)"
    ) from None
from sentiment import arguments, cleaning, jobs, raw_tweets, splits, storage, training_arguments
from sentiment.progress import Progress, workplace
from sentiment.session import loading, session


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    parser.add_argument(
        "--input",
        type=arguments.path,
        required=True,
        help="CSV of raw tweets: a file, or a folder whose .csv and .csv.gz are all read",
    )
    parser.add_argument("--output", type=arguments.path, required=True, help=arguments.OUTPUT_WITH_SPLITS_HELP)
    training_arguments.add(parser)
    arguments.add_splits(parser)
    arguments.add_thinning(parser)
    arguments.add_contract(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    splitting = arguments.splitting(args)
    with workplace() as work:
        steps = Progress()
        with steps.step("starting Spark"), loading("sentiment.experiment"):
            spark = session("sentiment_multimodel", workers_need_package=True)
        from sentiment import experiment

        files = raw_tweets.find_files(spark, args.input)
        reading = storage.reading(spark, f"--input {args.input}", files)
        with steps.step(f"reading {raw_tweets.described(files)} of {args.input}"), reading:
            assessed = cleaning.assess(raw_tweets.read(spark, files)).persist()
            cleaning.check(cleaning.report(assessed), arguments.contract(args), args.input)
        chosen = splits.thinned(cleaning.clean(assessed), args.sample_fraction, args.max_rows, args.seed)
        divided = splits.divide(chosen, splitting)
        if args.max_rows or args.sample_fraction < 1:
            with steps.step("counting what --max-rows and --sample-fraction leave"):
                splits.check_thinned(divided, cleaning.MIN_ROWS_PER_LABEL)
        settings = training_arguments.settings(args, args.input, splitting.described(), keep_test=True)
        experiment.train(spark, divided, settings, steps, work)


if __name__ == "__main__":
    jobs.run(main)
