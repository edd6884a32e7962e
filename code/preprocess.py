"""Clean raw tweets: CSV in; Parquet of labelled texts, the rejected lines and a data report out."""

import argparse

try:
    import sentiment  # noqa: F401
except ModuleNotFoundError:
    raise SystemExit(
        "preprocess.py: the package 'sentiment' is missing: submit dist/preprocess.py instead, "
        "or add --py-files dist/sentiment.zip (make package writes both)"
    ) from None
from sentiment import arguments, cleaning, datasets, jobs, progress, raw_tweets, storage, whole_folders
from sentiment.session import session


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    parser.add_argument(
        "--input",
        type=arguments.path,
        required=True,
        help="CSV file of raw tweets, or a folder: every .csv and .csv.gz below it is read",
    )
    parser.add_argument(
        "--output",
        type=arguments.path,
        required=True,
        help="folder for tweets/, rejects/ (both Parquet, replaced) and data_report.json",
    )
    arguments.add_contract(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    progress.start_logging()
    steps = progress.Progress()
    with steps.step("starting Spark"):
        spark = session("preprocess")
    files = raw_tweets.find_files(spark, args.input)
    reading = storage.reading(spark, f"--input {args.input}", files)
    with steps.step(f"reading {raw_tweets.described(files)} of {args.input}"), reading:
        assessed = cleaning.assess(raw_tweets.read(spark, files)).persist()
        figures = cleaning.report(assessed)
    cleaning.check(figures, arguments.contract(args), args.input)
    told = storage.join(args.output, datasets.REPORT)
    with steps.step(f"writing {args.output}"):
        storage.delete(spark, told)  # it comes last, so that its figures are those of the tweets beside it
        whole_folders.replace(cleaning.clean(assessed), storage.join(args.output, datasets.TWEETS))
        whole_folders.replace(cleaning.rejects(assessed), storage.join(args.output, datasets.REJECTS))
        storage.write_json(spark, told, {**figures, "files": files})
    rejected = ", ".join(f"{reason} {count:,}" for reason, count in figures["rows_rejected"].items()) or "none"
    steps.say(
        f"kept {figures['rows_kept']:,} of {figures['rows_read']:,} rows "
        f"({figures['labels']['negative']:,} negative, {figures['labels']['positive']:,} positive); "
        f"set aside: {rejected}"
    )


if __name__ == "__main__":
    jobs.run(main)
