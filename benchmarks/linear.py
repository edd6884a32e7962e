"""Logistic regression and linear SVC beside scikit-learn on one number of rows: seconds, memory, accuracy.

`--rows 0` takes the tweets as they are; any other number is made from them, and accuracy on such rows means nothing,
because near copies stand on both sides of the split.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "code")]

from benchmarks import figures, record  # noqa: E402
from benchmarks.contenders import Contenders, paired_with_scikit  # noqa: E402
from sentiment import arguments, jobs  # noqa: E402


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    record.add_data(parser)
    parser.add_argument(
        "--rows", type=arguments.whole(0), default=0, help="rows to make from the tweets; 0: as they are"
    )
    parser.add_argument("--cores", type=arguments.whole(1), default=2, help="cores for Spark and for scikit-learn")
    parser.add_argument("--heap", default="6g", help="driver heap")
    parser.add_argument("--skip-scikit", action="store_true", help="leave the peer out")
    record.add_bulk_tool(parser)
    record.add_json(parser)
    args = parser.parse_args(argv)
    if args.rows and not args.bulk_tool.is_file():
        parser.error(f"--bulk-tool: want a script that makes large CSVs, found none at {args.bulk_tool}")
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    written = record.Record("linear", args)
    with tempfile.TemporaryDirectory(prefix="bench-linear-") as folder:
        bench = Contenders(Path(folder), cores=args.cores, heap=args.heap, peer_limit=0)
        data = bench.multiplied(args.data, args.rows, args.bulk_tool)
        splits, prepared = bench.splits("linear", data, args.heap)
        rows, output = bench.ours("linear", splits, args.heap, figures.LINEAR)
        pairs = {}
        if not args.skip_scikit:
            scikit, predictions = bench.scikit("linear", splits)
            rows += scikit
            pairs = paired_with_scikit(output / "test_scores.parquet", predictions)
        counts = json.loads((splits / "splits.json").read_text())["rows"]
    path = written.write(
        rows=sum(sum(labels.values()) for labels in counts.values()),
        splits=counts,
        prepared=[asdict(row) for row in prepared],
        steps=[{**asdict(row), "ratio_to_ours": figures.ratio(row, rows)} for row in rows],
        paired_with_scikit_learn=pairs,
    )
    print(f"\n{figures.comparison_table(rows)}\n\n{path}")


if __name__ == "__main__":
    jobs.run(main)
