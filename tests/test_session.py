"""The session that the jobs share, and the end of a job by a signal."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import package
import psutil
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


ENDS = {signal.SIGTERM: (143, "ended by SIGTERM"), signal.SIGINT: (130, "interrupted")}


@pytest.mark.spark
@pytest.mark.parametrize("what", ["collect", "toPandas", "collect in a thread"])
@pytest.mark.parametrize("number", list(ENDS), ids=lambda number: number.name)
def test_a_signal_ends_a_job_in_the_middle_of_spark_s_and_it_can_clear_up(
    spark: SparkSession,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    number: signal.Signals,
    what: str,
) -> None:
    slow = spark.range(0, 80, 1, 80).selectExpr("java_method('java.lang.Thread', 'sleep', id * 0 + 500L) AS slept")
    done: list[str] = []

    def end() -> None:
        while not spark.sparkContext.statusTracker().getActiveJobsIds():
            time.sleep(0.1)
        os.kill(os.getpid(), number)

    def work() -> None:
        if what == "toPandas":
            slow.toPandas()  # in the place of an interruption it tells an error of its own
        with ThreadPoolExecutor(1) as beside:
            if what == "collect in a thread":
                beside.submit(slow.collect).result()
            slow.collect()

    def main() -> None:
        progress.start_logging()
        threading.Thread(target=end).start()
        try:
            work()
        except Exception:  # noqa: BLE001  as of a classifier, when the others go on
            jobs.raise_if_ended()
            done.append("went on after it")
        finally:
            done.append(f"cleared up with {spark.range(7).count()} rows")

    usual: dict[int, Any] = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    before = {each: signal.signal(each, how) for each, how in usual.items()}  # a task of Airflow's leaves its own
    begun = time.monotonic()
    try:
        with pytest.raises(SystemExit) as ended:
            jobs.run(main)
        assert {each: signal.getsignal(each) for each in usual} == usual
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    code, told = ENDS[number]
    assert (ended.value.code, done) == (code, ["cleared up with 7 rows"])
    assert time.monotonic() - begun < 10
    assert capsys.readouterr().err == f"{Path(sys.argv[0]).name}: {told}\n"
    assert caplog.records == []


@pytest.mark.spark
def test_a_session_leaves_interruptions_to_the_job(spark: SparkSession) -> None:
    assert spark.version
    assert not getattr(signal.getsignal(signal.SIGINT), "__module__", "").startswith("pyspark")


@pytest.mark.spark
def test_a_signal_while_spark_starts_leaves_no_jvm(tmp_path: Path) -> None:
    code = "from sentiment import jobs, session; jobs.run(lambda: session.session('starts'))"
    kept = {key: given for key, given in os.environ.items() if not key.startswith(("PYSPARK_GATEWAY", "SPARK_ENV"))}
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**kept, "PYTHONPATH": str(package.CODE)},
        stderr=subprocess.PIPE,
    )
    begun: list[psutil.Process] = []
    while not begun and process.poll() is None:
        begun = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.endswith(b"-c: interrupted\n")
    assert begun
    assert psutil.wait_procs(begun, timeout=20)[1] == []
