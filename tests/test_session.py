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


def test_java_is_told_that_names_of_files_are_utf_8_where_python_takes_them_for_it(tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text('#!/bin/sh\necho "$LC_ALL" >"$JAVA_HOME/told"\nexit 1\n')
    java.chmod(0o755)
    command = [sys.executable, "-c", "from sentiment.session import session; session('names')"]
    kept = {key: given for key, given in os.environ.items() if not key.startswith(("PYSPARK_GATEWAY", "SPARK_"))}
    env = {**kept, "JAVA_HOME": str(tmp_path), "LC_ALL": "C"}
    assert subprocess.run(command, cwd=package.CODE, env=env, capture_output=True, check=False).returncode == 1
    assert (tmp_path / "told").read_text() == "C.UTF-8\n"


def test_what_cannot_be_loaded_beside_is_told() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module"), loading("sentiment.no_such_module"):
        pass
