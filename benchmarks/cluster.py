"""The same training on a standalone cluster of two executors: who did how much of each stage, by the event log."""

import argparse
import importlib.util
import json
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "code"), str(ROOT / "local")]

from cluster_service import Cluster  # noqa: E402
from daemons import wait_until  # noqa: E402
from services import free_port  # noqa: E402
from supervisor import environment  # noqa: E402

from benchmarks import figures, processes, record  # noqa: E402
from benchmarks.contenders import Contenders  # noqa: E402
from sentiment import arguments, jobs, packing  # noqa: E402

SHOWN = 10
"""Stages in the table: those with the most task seconds."""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    record.add_data(parser)
    parser.add_argument(
        "--rows", type=arguments.whole(0), default=0, help="rows to make from the tweets; 0: as they are"
    )
    parser.add_argument(
        "--heap", default="2g", help="of the driver and of each executor; of the driver of the local run"
    )
    record.add_bulk_tool(parser)
    record.add_json(parser)
    return parser.parse_args(argv)


def on_cluster(bench: Contenders, splits: Path, heap: str) -> tuple[processes.Measured, Path, Path]:
    """The training by spark-submit on two executors of one core: what became of it, its run.json and its event log."""
    package = bench.work / "sentiment.zip"
    package.write_bytes(packing.zipped(ROOT / "code" / "sentiment"))
    log, output = bench.work / "events", bench.work / "cluster-models"
    log.mkdir()
    os.environ["CLUSTER_WORKER_CORES"] = "1"
    os.environ["CLUSTER_WORKER_MEMORY"] = "4g"
    cluster = Cluster(bench.work / "cluster", {key: free_port() for key in Cluster.section_keys})
    settings = {
        "spark.cores.max": "2",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.eventLog.compress": "false",
        "spark.eventLog.dir": log.as_uri(),
        "spark.eventLog.enabled": "true",
        "spark.eventLog.rolling.enabled": "false",
        "spark.executor.cores": "1",
        "spark.executor.memory": heap,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    submit = [str(Path(sys.executable).with_name("spark-submit")), "--master", cluster.url(), "--driver-memory", heap]
    submit += [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
    submit += ["--py-files", str(package), str(ROOT / "code/train_and_log.py"), "--data", str(splits)]
    submit += ["--output", str(output), "--mlflow-uri", f"sqlite:///{bench.work / 'cluster.db'}"]
    submit += ["--models", ",".join(figures.LINEAR)]
    env = {key: value for key, value in bench.env.items() if key != "PYSPARK_SUBMIT_ARGS"}
    spark = importlib.util.find_spec("pyspark")
    assert spark is not None
    assert spark.origin is not None
    try:
        cluster.launch(environment({}))
        wait_until(cluster.name, cluster.daemons, cluster.is_healthy, cluster.start_seconds)
        bench.say("the training on the cluster ...")
        known = env | {"SPARK_HOME": str(Path(spark.origin).parent)}
        measured = processes.run(submit, bench.work / "cluster.log", folder=bench.work, env=known)
    finally:
        cluster.stop()
    if measured.exit_code:
        lines = (bench.work / "cluster.log").read_text(errors="replace").splitlines()
        lines += measured.lines  # spark-submit has all of Python's on stdout
        errors = [line for line in lines if ": error: " in line]
        said = "\n".join(errors or [line for line in lines if " INFO " not in line])
        raise jobs.DataError(f"spark-submit ended with {measured.exit_code}: {said[-1500:]}")
    [events] = log.iterdir()
    return measured, output / "run.json", events


def stages(events: Iterable[str]) -> dict[str, Any]:
    """Task seconds by stage and executor, from the lines of an event log.

    Returns:
        `executors` (task seconds of each), `tasks` of each, and `stages`: those with the most task seconds, each with
        its number, name, wall seconds, and tasks and task seconds by executor.
    """
    spent: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    counted: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    told: dict[int, dict[str, Any]] = {}
    for line in events:
        event = json.loads(line)
        if event["Event"] == "SparkListenerTaskEnd":
            executor = f"executor {event['Task Info']['Executor ID']}"
            run = event.get("Task Metrics", {}).get("Executor Run Time", 0) / 1000
            spent[event["Stage ID"]][executor] += run
            counted[event["Stage ID"]][executor] += 1
        elif event["Event"] == "SparkListenerStageCompleted":
            info = event["Stage Info"]
            wall = (info.get("Completion Time", 0) - info.get("Submission Time", 0)) / 1000
            told[info["Stage ID"]] = {"name": info["Stage Name"].split(" at ")[0], "wall_seconds": wall}
    names = sorted({name for by in spent.values() for name in by})
    longest = sorted(spent, key=lambda number: -sum(spent[number].values()))[:SHOWN]
    return {
        "executors": {name: round(sum(by.get(name, 0.0) for by in spent.values()), 3) for name in names},
        "tasks": {name: sum(by.get(name, 0) for by in counted.values()) for name in names},
        "stages": [
            {
                "stage": number,
                **told.get(number, {"name": "", "wall_seconds": 0.0}),
                "tasks": dict(counted[number]),
                "seconds": {name: round(seconds, 3) for name, seconds in spent[number].items()},
            }
            for number in longest
        ],
    }


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    written = record.Record("cluster", args)
    with tempfile.TemporaryDirectory(prefix="bench-cluster-") as folder:
        bench = Contenders(Path(folder), cores=2, heap=args.heap, peer_limit=0)
        data = bench.multiplied(args.data, args.rows, args.bulk_tool)
        splits, _ = bench.splits("cluster", data, args.heap)
        counts = json.loads((splits / "splits.json").read_text())["rows"]
        local, _ = bench.ours("local", splits, args.heap, figures.LINEAR)
        measured, run, events = on_cluster(bench, splits, args.heap)
        metrics = json.loads(run.with_name("metrics.json").read_text())
        ran = figures.our_rows(json.loads(run.read_text())["steps"], metrics)
        with events.open(encoding="utf-8") as lines:
            found = stages(lines)
    steps = {name: {row.step: row.seconds for row in rows} for name, rows in (("one process", local), ("cluster", ran))}
    steps["cluster"][figures.WHOLE] = measured.seconds
    rows = sum(sum(labels.values()) for labels in counts.values())
    path = written.write(rows=rows, steps=steps, **found)
    print(f"\n{json.dumps({'steps': steps, **found}, indent=1)}\n{path}")


if __name__ == "__main__":
    jobs.run(main)
