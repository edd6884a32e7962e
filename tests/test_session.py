"""The session that the jobs share."""

import os
import subprocess
import sys
from pathlib import Path

import package
import pytest
from pyspark.sql import SparkSession

from sentiment.session import loading, session


@pytest.mark.spark
def test_a_second_session_of_a_process_may_send_the_package_again(spark: SparkSession) -> None:
    session("first", workers_need_package=True)
    cache = package.CODE / "sentiment" / "__pycache__" / "come-since.pyc"
    cache.parent.mkdir(exist_ok=True)
    cache.write_bytes(b"as Python leaves them")
    try:
        assert session("second", workers_need_package=True) is spark
    finally:
        cache.unlink()


@pytest.mark.parametrize(("name", "value"), [("JAVA_HOME", "/nowhere"), ("SENTIMENT_DRIVER_MEMORY", "abc")])
def test_spark_that_does_not_start_names_what_it_wants(tmp_path: Path, name: str, value: str) -> None:
    command = [sys.executable, str(package.CODE / "preprocess.py"), "--input", "x", "--output", "y"]
    kept = {key: given for key, given in os.environ.items() if not key.startswith(("PYSPARK_GATEWAY", "SPARK_"))}
    done = subprocess.run(command, cwd=tmp_path, env={**kept, name: value}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    told = (
        "preprocess.py: error: Spark does not start: want Java 17 (JAVA_HOME, else java on PATH) and a heap like 4g in "
    )
    assert done.stderr.splitlines()[-1].startswith(told + "SENTIMENT_DRIVER_MEMORY, found ")


def test_what_cannot_be_loaded_beside_is_told() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module"), loading("sentiment.no_such_module"):
        pass
