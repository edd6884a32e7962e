"""The contenders: our jobs, plain Spark and scikit-learn, each started as whoever uses it would."""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from benchmarks import figures, processes
from benchmarks.figures import FAILED, MODELS, OURS, PLAIN_SPARK, SCIKIT, WHOLE, Row
from sentiment.jobs import DataError

ROOT = Path(__file__).resolve().parent.parent


class Contenders:
    """How ours and each peer are started and measured, in one work folder.

    Args:
        work: folder for splits, models and logs.
        cores: that Spark may use, ours and the peer's.
        heap: of the peer's driver, such as "4g"; ours is given with each run.
        peer_limit: seconds after which a fit of plain Spark's is stopped.
    """

    def __init__(self, work: Path, *, cores: int, heap: str, peer_limit: int) -> None:
        self.work, self.cores, self.heap, self.peer_limit = work, cores, heap, peer_limit
        self.env = {
            "DO_NOT_TRACK": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "NO_GCE_CHECK": "true",
            "OMP_NUM_THREADS": str(cores),
            "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_SUBMIT_ARGS": f"--master local[{cores}] pyspark-shell",
            "SPARK_LOCAL_DIRS": str(work / "spark"),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "TMPDIR": str(work / "tmp"),
        }
        (work / "tmp").mkdir()

    def say(self, message: str) -> None:
        print(f"{datetime.now(UTC):%H:%M:%S}  {message}", flush=True)

    def run(
        self,
        name: str,
        script: Path,
        *arguments: object,
        heap: str,
        silence: float | None = None,
        may_fail: bool = False,
    ) -> processes.Measured:
        """Run one of our scripts or a peer's; what it logs lies in the work folder."""
        log = self.work / f"{name.replace(' ', '-')}.log"
        self.say(f"{name} ... (log: {log})")
        measured = processes.run(
            [sys.executable, str(script), *map(str, arguments)],
            log,
            folder=self.work,
            env={**self.env, "SENTIMENT_DRIVER_MEMORY": heap},
            silence=silence,
            on_line=lambda line: self.say(f"{name}: {line}") if line.startswith("{") else None,
        )
        self.say(f"{name}: {measured.seconds:.1f} s, at most {measured.peak_bytes / 2**30:.2f} GiB")
        if measured.exit_code and not may_fail:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise DataError(f"{script.name} ended with {measured.exit_code}; its last lines:\n{tail}")
        return measured

    def multiplied(self, data: Path, rows: int, bulk_tool: Path) -> Path:
        """That many rows made from the tweets of `data`; 0: the tweets as they are."""
        if not rows:
            return data
        made = self.work / "tweets.csv"
        self.run("more tweets", bulk_tool, "--source", data, "--rows", rows, "--output", made, heap="1g")
        return made

    def splits(self, name: str, data: Path, heap: str) -> tuple[Path, list[Row]]:
        """Clean and divide the tweets of `data`: the folder of the splits, and what that took."""
        clean, cleaning = self.clean(name, data, heap)
        splits, dividing = self.divided(name, clean, heap)
        return splits, [cleaning, dividing]

    def clean(self, name: str, data: Path, heap: str) -> tuple[Path, Row]:
        """Clean the tweets of `data`: their folder, and what that took."""
        return self._prepared(name, "preprocess", data, "clean", heap)

    def divided(self, name: str, clean: Path, heap: str, *flags: str) -> tuple[Path, Row]:
        """Divide clean tweets: the folder of the splits, and what that took."""
        return self._prepared(name, "create_splits", clean, "splits", heap, *flags)

    def _prepared(self, name: str, job: str, given: Path, made: str, heap: str, *flags: str) -> tuple[Path, Row]:
        output = self.work / name / made
        words = ("--input", given, "--output", output, *flags)
        measured = self.run(f"{name} {job}", ROOT / "code" / f"{job}.py", *words, heap=heap)
        return output, Row(OURS, job, measured.seconds, peak_bytes=measured.peak_bytes)

    def ours(self, name: str, splits: Path, heap: str, models: Sequence[str] = MODELS) -> tuple[list[Row], Path]:
        """Our training as anybody runs it, registry and all: its rows, and the folder of its results."""
        output = self.work / name / "models"
        output.parent.mkdir(exist_ok=True)
        measured = self.run(
            f"{name} ours",
            ROOT / "code" / "train_and_log.py",
            *("--data", splits, "--output", output, "--models", ",".join(models)),
            *("--mlflow-uri", f"sqlite:///{self.work / name / 'mlflow.db'}"),
            *("--ledger", self.work / name / "ledger"),  # the default is one for the folder, and would be another's
            heap=heap,
        )
        steps = json.loads((output / "run.json").read_text())["steps"]
        rows = figures.our_rows(steps, json.loads((output / "metrics.json").read_text()))
        return [*rows, Row(OURS, WHOLE, measured.seconds, peak_bytes=measured.peak_bytes)], output

    def plain_spark(self, name: str, splits: Path) -> list[Row]:
        """Plain Spark in one process, so that only its first fit finds a cold JVM; after a stopped fit in a new one."""
        limit, whole, peak = self.peer_limit, 0.0, 0
        rows: list[Row] = []
        waiting = list(MODELS)
        while waiting:
            measured = self.run(
                f"{name} plain spark",
                ROOT / "benchmarks" / "peers" / "plain_spark.py",
                *("--data", splits, "--models", ",".join(waiting)),
                *("--cores", self.cores, "--heap", self.heap),
                heap=self.heap,
                silence=limit,
                may_fail=True,
            )
            failed = bool(measured.exit_code) and not measured.stopped
            found = figures.peer_rows(PLAIN_SPARK, measured.lines, limit, stopped=measured.stopped, failed=failed)
            if not found:
                found = [Row(PLAIN_SPARK, waiting[0], limit, outcome=FAILED)]
            rows += found
            whole, peak = whole + measured.seconds, max(peak, measured.peak_bytes)
            waiting = [model for model in waiting if model not in {row.step for row in rows}]
        return [*rows, *figures.sums(rows), Row(PLAIN_SPARK, WHOLE, whole, peak_bytes=peak)]

    def scikit(self, name: str, splits: Path) -> tuple[list[Row], Path]:
        """scikit-learn: its rows, and the file of its predictions."""
        predictions = self.work / name / "scikit.parquet"
        script = ROOT / "benchmarks" / "peers" / "scikit.py"
        measured = self.run(
            f"{name} scikit-learn", script, "--data", splits, "--predictions", predictions, heap=self.heap
        )
        rows = figures.peer_rows(SCIKIT, measured.lines, float("inf"), stopped=False, failed=False)
        rows += [*figures.sums(rows), Row(SCIKIT, WHOLE, measured.seconds, peak_bytes=measured.peak_bytes)]
        return rows, predictions


def paired_with_scikit(ours: Path, theirs: Path) -> dict[str, dict[str, float]]:
    """Our linear classifiers against scikit-learn's on the same test rows."""
    scores, predictions = pd.read_parquet(ours), pd.read_parquet(theirs)
    pairs = {}
    for model in figures.LINEAR:
        rows = scores[scores["classifier"] == model].merge(predictions, on="id", validate="one_to_one")
        if len(rows) != len(predictions):
            raise DataError(f"{model}: want {len(predictions)} test rows in common, found {len(rows)}")
        right = (rows["score"] > 0.5) == (rows["label"] == 1.0)
        pairs[model] = figures.paired(right.tolist(), (rows[model] == rows["label"]).tolist())
    return pairs
