"""The process of a trial. No memory of a training helps a version along: what is scored is what was registered.

`python -m sentiment.gate.child FOLDER` takes its request from the folder and leaves its results there; fresh.py starts
and watches it.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.sql import SparkSession

from sentiment import progress
from sentiment.gate import trial
from sentiment.gate.trial import Request, Trial
from sentiment.jobs import DataError
from sentiment.session import session

REQUEST, SEEN, RESULT, ROWS, STEP = "request.json", "seen.json", "result.json", "rows.parquet", "step.json"
JVM_GONE = 70
"""Exit code: Spark's JVM ended under the trial, so that nothing more could be tried."""


def save(found: Trial, folder: Path, name: str = RESULT) -> None:
    """Leave a trial in a local folder; the file `name` is there when all of it is."""
    if found.rows is not None:
        found.rows.to_parquet(folder / ROWS)
    _write(folder / name, {key: value for key, value in vars(found).items() if key != "rows"})


def load(folder: Path, name: str = RESULT) -> Trial:
    """A trial that `save` left; DataError: the process could not even begin."""
    content = json.loads((folder / name).read_text(encoding="utf-8"))
    if "error" in content:
        raise DataError(content["error"])
    rows = pd.read_parquet(folder / ROWS) if name == RESULT and (folder / ROWS).exists() else None
    return Trial(**content, rows=rows)


def _write(path: Path, content: dict[str, Any]) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(content), encoding="utf-8")
    fresh.replace(path)


def main(folder: Path) -> None:
    """The child process."""
    with contextlib.redirect_stderr(sys.stdout):  # the screen; what Spark and Java write goes to the parent's log
        progress.start_logging()
    steps = progress.Progress()
    request = Request(**json.loads((folder / REQUEST).read_text(encoding="utf-8")))
    spark: SparkSession | None = None

    @contextmanager
    def say(role: str, doing: str) -> Iterator[None]:
        _write(folder / STEP, {"role": role, "doing": doing})
        with steps.step(doing):
            try:
                yield
            except Exception:
                if spark is not None and not _answers(spark):
                    os._exit(JVM_GONE)
                raise

    try:
        with say("", "starting Spark"):
            spark = session("promote_model")
        save(trial.run(spark, request, say, lambda seen: save(seen, folder, SEEN)), folder)
    except DataError as error:
        _write(folder / RESULT, {"error": str(error)})
    finally:
        if spark is not None:
            spark.stop()


def _answers(spark: SparkSession) -> bool:
    try:
        spark._jvm.java.lang.System.nanoTime()  # type: ignore[union-attr]
    except Exception:  # noqa: BLE001  whatever it is, the JVM does not answer
        return False
    return True


if __name__ == "__main__":
    main(Path(sys.argv[1]))
