"""The session that the jobs share, and the end of a job by a signal."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import package
import pytest
from pyspark.sql import SparkSession

from sentiment import jobs, progress
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


@pytest.mark.spark
@pytest.mark.parametrize("in_a_thread", [False, True])
def test_sigterm_ends_a_job_in_the_middle_of_spark_s_and_it_can_clear_up(
    spark: SparkSession, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, in_a_thread: bool
) -> None:
    slow = spark.range(0, 80, 1, 80).selectExpr("java_method('java.lang.Thread', 'sleep', id * 0 + 500L) AS slept")
    cleared: list[int] = []

    def end() -> None:
        while not spark.sparkContext.statusTracker().getActiveJobsIds():
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGTERM)

    def main() -> None:
        progress.start_logging()
        threading.Thread(target=end).start()
        try:
            with ThreadPoolExecutor(1) as beside:
                if in_a_thread:
                    beside.submit(slow.collect).result()
                slow.collect()
        finally:
            cleared.append(spark.range(7).count())

    begun, before = time.monotonic(), signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        jobs.run(main)
    assert (ended.value.code, cleared) == (143, [7])
    assert time.monotonic() - begun < 10
    assert signal.getsignal(signal.SIGTERM) is before
    assert capsys.readouterr().err == f"{Path(sys.argv[0]).name}: ended by SIGTERM\n"
    assert caplog.records == []
