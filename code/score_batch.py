"""Score files once with a chosen model version: backfills, replays of a day, dead letters after a repair.

The same parsing and the same models as the stream: the same input and version give the same predictions.
"""

import argparse
import uuid

try:
    import sentiment  # noqa: F401
except ModuleNotFoundError:
    raise SystemExit(
        "score_batch.py: the package 'sentiment' is missing: submit dist/score_batch.py instead, "
        "or add --py-files dist/sentiment.zip (make package writes both)"
    ) from None
from sentiment import arguments, hadoop, jobs, storage
from sentiment.progress import Progress, start_logging
from sentiment.serving import cli, layout, places, rescoring
from sentiment.serving.settings import CSV, FORMATS
from sentiment.session import loading, session


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    parser.add_argument("--input", type=arguments.path, required=True, help="what to score: a file, or a folder")
    parser.add_argument(
        "--input-kind", choices=rescoring.KINDS, default=rescoring.FILES, help="what the input consists of"
    )
    parser.add_argument(
        "--file-format", choices=FORMATS, default=CSV, help="of files, or of the messages behind dead letters"
    )
    parser.add_argument("--date", default="", help="one day of predictions or dead letters, YYYY-MM-DD")
    parser.add_argument(
        "--output-path",
        required=True,
        type=arguments.folder,
        help="folder of the new predictions (Parquet, date=.../), outside --input",
    )
    cli.add_model(parser)
    cli.add_text_limit(parser)
    args = parser.parse_args(argv)
    if args.date and args.input_kind == rescoring.FILES:
        parser.error("--date: want --input-kind predictions or dead-letters with it, found files")
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    letters = layout.dead_letters(args.output_path)
    written = {"--output-path": args.output_path, "dead letters of --output-path": letters}
    places.check_folders(args.input, written, "--input")  # else a rerun would score what this run writes
    start_logging()
    steps = Progress()
    choice = cli.choice(args)
    with steps.step("starting Spark"), loading("sentiment.serving.models"):
        spark = session("score_batch", workers_need_package=True)
    from sentiment import tracking
    from sentiment.serving import models

    scratch = storage.join(args.output_path, "_staging", f"model-{uuid.uuid4().hex[:8]}")
    with steps.step("reading the model"):
        registry = models.Registry(tracking.connect(choice.uri, make=False), choice)
        version = registry.resolve()
        copies = models.Copies(spark, scratch, choice)
        copies.add(registry, version)
        model = copies.load(choice.name, version, choice.flavor)
    try:
        with steps.step(f"scoring with version {version}"):
            rows = rescoring.parsed(
                spark, args.input_kind, args.input, args.file_format, args.date, args.max_text_chars
            )
            name = f"{hadoop.full_name(spark, args.input)} {args.date}"
            figures = rescoring.run(spark, rows, model, args.output_path, name)
    finally:
        storage.delete(spark, scratch)
    print(f"{figures['rows_in']:,} rows: {figures['rows_out']:,} predictions, {figures['dead_letters']:,} dead letters")


if __name__ == "__main__":
    jobs.run(main)
