"""What a script loads before it does anything: libraries that it does not need cost its user seconds at every start."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOR_TRAINING = {"sklearn", "matplotlib"}


@pytest.mark.parametrize(
    ("script", "needed", "spared"),
    [
        ("code/sample_tweets.py", "sentiment", {"pyspark", "mlflow", *FOR_TRAINING}),
        ("code/preprocess.py", "pyspark", {"mlflow", *FOR_TRAINING}),
        ("code/train_and_log.py", "pyspark", {"mlflow", *FOR_TRAINING}),
        ("code/sentiment_multimodel.py", "pyspark", {"mlflow", *FOR_TRAINING}),
        ("code/streaming_serving_mlflow_hdfs_kafka.py", "pyspark", {"mlflow", *FOR_TRAINING}),
        ("code/audit_predictions.py", "pyspark", {"mlflow", *FOR_TRAINING}),
        ("code/drift_report.py", "pyspark", {"mlflow", *FOR_TRAINING}),
        ("code/score_batch.py", "pyspark", {"mlflow", *FOR_TRAINING}),
        ("ci-cd/promote-model.py", "pyspark", {"mlflow", *FOR_TRAINING}),
        ("ci-cd/rollback-model.py", "pyspark", {"mlflow", "pandas", *FOR_TRAINING}),
        ("ci-cd/model-history.py", "pyspark", {"mlflow", "pandas", *FOR_TRAINING}),
        ("ci-cd/smoke_test.py", "kafka", {"mlflow", "pandas", "pyarrow", *FOR_TRAINING}),
        ("code/serving_report.py", "sentiment", {"pyspark", "mlflow", "pandas", *FOR_TRAINING}),
        ("monitoring/report.py", "sentiment", {"pyspark", "mlflow", "pyarrow", "duckdb", *FOR_TRAINING}),
    ],
)
def test_a_script_loads_what_it_needs_and_no_more(script: str, needed: str, spared: set[str]) -> None:
    command = [sys.executable, "-X", "importtime", str(ROOT / script), "--help"]
    env = os.environ | {"PYTHONPATH": str(ROOT / "code")}
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=env).stderr
    loaded = {line.rpartition("|")[2].strip() for line in told.splitlines()}
    assert needed in loaded
    assert not spared & loaded


def test_mlflow_keeps_quiet_though_it_is_loaded_after_the_log_was_opened() -> None:
    lines = ["import logging", "from sentiment import progress", "progress.start_logging()", "import mlflow"]
    lines.append("print([logging.getLogger(name).getEffectiveLevel() for name in ('mlflow', 'alembic')])")
    env = os.environ | {"PYTHONPATH": str(ROOT / "code")}
    command = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    assert done.stdout.strip() == str([logging.ERROR, logging.ERROR])
