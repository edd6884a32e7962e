"""Time and score the training beside two peers, plain Spark and scikit-learn: same run, same rows, same split.

Prints one table and writes JSON to benchmarks/results/. Each contender is a process tree of its own; preparing the
splits is not counted. Peak memory is resident memory summed over the tree, looked at every 0.2 s.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "code")]

from benchmarks import figures, record  # noqa: E402
from benchmarks.contenders import Contenders, paired_with_scikit  # noqa: E402
from benchmarks.figures import PLAIN_SPARK, SCIKIT, Row  # noqa: E402
from sentiment import arguments, jobs  # noqa: E402

PEERS = {"plain-spark": PLAIN_SPARK, "scikit-learn": SCIKIT}


def compare(bench: Contenders, args: argparse.Namespace) -> dict[str, Any]:
    """Every contender `--repeat` times on the same splits."""
    splits, prepared = bench.splits("compare", args.data, args.heap)
    runs, pairs = [], {}
    for number in range(1, args.repeat + 1):
        rows, output = bench.ours(f"run{number}", splits, args.heap)
        if "plain-spark" not in args.skip_peers:
            rows += bench.plain_spark(f"run{number}", splits)
        if "scikit-learn" not in args.skip_peers:
            scikit, predictions = bench.scikit(f"run{number}", splits)
            rows += scikit
            pairs = paired_with_scikit(output / "test_scores.parquet", predictions)
        runs.append(rows)
    medians = figures.medians(runs)
    return {
        "splits": json.loads((splits / "splits.json").read_text())["rows"],
        "prepared": [asdict(row) for row in prepared],
        "rows": [{**asdict(row), "ratio_to_ours": figures.ratio(row, medians)} for row in medians],
        "runs": [[asdict(row) for row in run] for run in runs],
        "paired_with_scikit_learn": pairs,
        "table": figures.comparison_table(medians),
    }


def scale(bench: Contenders, args: argparse.Namespace) -> dict[str, Any]:
    """Our jobs on ever more rows, made from the real ones."""
    runs: dict[int, list[Row]] = {}
    for count in args.scaling:
        name = f"rows{count}"
        (bench.work / name).mkdir()
        data = bench.work / name / "tweets.csv"
        bench.run(f"{name} bulk tool", args.bulk_tool, "--rows", count, "--output", data, heap="1g")
        splits, rows = bench.splits(name, data, args.scaling_heap)
        trained, _ = bench.ours(name, splits, args.scaling_heap)
        runs[count] = rows + [replace(row, accuracy=None) for row in trained]
        shutil.rmtree(bench.work / name)  # 1.6 million rows several times over are gigabytes
    return {
        "heap": args.scaling_heap,
        "rows": {str(count): [asdict(row) for row in rows] for count, rows in runs.items()},
        "table": figures.scaling_table(runs),
    }


def sizes(text: str) -> list[int]:
    """Numbers of rows, separated by commas."""
    parse: Callable[[str], int] = arguments.whole(1000)
    return sorted({parse(part.strip()) for part in text.split(",")})


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    whole = arguments.whole(1)
    record.add_data(parser)
    parser.add_argument(
        "--skip-peers", type=arguments.one_of(list(PEERS)), default=[], help=f"peers to leave out: {', '.join(PEERS)}"
    )
    parser.add_argument("--repeat", type=whole, default=1, help="runs of everybody; the table shows medians")
    parser.add_argument("--cores", type=whole, default=2, help="cores that Spark may use, ours and the peer's")
    parser.add_argument("--heap", default="4g", help="driver heap, ours and plain Spark's")
    parser.add_argument("--peer-limit", type=whole, default=600, help="seconds after which a peer's fit is stopped")
    parser.add_argument("--scaling", type=sizes, default=[], help="numbers of rows for the scaling table, e.g. 100000")
    parser.add_argument("--scaling-only", action="store_true", help="leave out the comparison")
    parser.add_argument("--scaling-heap", default="6g", help="driver heap for the scaling table")
    record.add_bulk_tool(parser)
    parser.add_argument("--work", type=record.new_folder, help="keep splits, models and logs in this new folder")
    record.add_json(parser)
    args = parser.parse_args(argv)
    if args.scaling and not args.bulk_tool.is_file():
        parser.error(f"--bulk-tool: want a script that makes large CSVs, found none at {args.bulk_tool}")
    if args.scaling_only and not args.scaling:
        parser.error("--scaling-only: want numbers of rows in --scaling, got none")
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    written = record.Record("train", args)
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="bench-train-") as temporary:
        work = args.work or Path(temporary)
        bench = Contenders(work, cores=args.cores, heap=args.heap, peer_limit=args.peer_limit)
        if not args.scaling_only:
            result["comparison"] = compare(bench, args)
        if args.scaling:
            result["scaling"] = scale(bench, args)
    show(result, written.write(**result))


def show(result: dict[str, Any], path: Path) -> None:
    """Print the tables, what the paired comparison says, and where the JSON lies."""
    comparison = result.get("comparison", {})
    if comparison:
        print(f"\n{comparison['table']}\n")
        print("Plain Spark's fits each include the features. '>': stopped, and counted with the limit.")
    for model, pair in comparison.get("paired_with_scikit_learn", {}).items():
        print(
            f"{model}: ours minus scikit-learn on the same {pair['rows']:,} test rows: {pair['difference']:+.4f} "
            f"(95 % {pair['low']:+.4f} to {pair['high']:+.4f}; McNemar p {pair['p']:.3f})"
        )
    if "scaling" in result:
        print(f"\n{result['scaling']['table']}")
    print(f"\n{path}")


if __name__ == "__main__":
    jobs.run(main)
