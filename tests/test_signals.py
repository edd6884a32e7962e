"""The end of a job by SIGTERM or SIGINT: in the midst of Spark's work, in its threads, and while Spark starts."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import package
import psutil
import pytest
from pyspark.sql import DataFrame, SparkSession

from sentiment import jobs, progress, signals
from sentiment.session import session

pytestmark = pytest.mark.spark

ENDS = {signal.SIGTERM: (143, "ended by SIGTERM"), signal.SIGINT: (130, "interrupted")}


@pytest.fixture
def usual_handlers() -> Iterator[None]:
    """Those of a process that has set none; a task of Airflow's leaves its own behind."""
    before = {number: signal.signal(number, how) for number, how in signals.USUAL.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def slow(spark: SparkSession) -> DataFrame:
    """Rows that two cores make in 120 s."""
    return spark.range(0, 480, 1, 480).selectExpr("java_method('java.lang.Thread', 'sleep', id * 0 + 500L) AS slept")


def in_threads(spark: SparkSession) -> None:
    """A fit, which most of the time runs no job, beside a long one."""

    def fit() -> None:
        for _ in range(400):
            time.sleep(0.3)
            spark.range(1).count()

    with signals.spark_threads(2) as beside:
        fitting = beside.submit(fit)
        beside.submit(slow(spark).collect)
        fitting.result()


WORK: dict[str, Callable[[SparkSession], object]] = {
    "collect": lambda spark: slow(spark).collect(),
    "toPandas": lambda spark: slow(spark).toPandas(),  # it tells an error of its own in the place of an interruption
    "threads": in_threads,
}


@pytest.mark.usefixtures("usual_handlers")
@pytest.mark.parametrize("work", list(WORK))
@pytest.mark.parametrize("number", list(ENDS), ids=lambda number: number.name)
def test_a_signal_ends_a_job_at_once_and_it_can_clear_up(
    spark: SparkSession,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder,
    number: signal.Signals,
    work: str,
) -> None:
    done: list[str] = []

    def end() -> None:
        while not spark.sparkContext.statusTracker().getActiveJobsIds():
            time.sleep(0.1)
        os.kill(os.getpid(), number)

    def main() -> None:
        progress.start_logging()
        threading.Thread(target=end).start()
        try:
            WORK[work](spark)
        except Exception:  # noqa: BLE001  as of a classifier, when the others go on
            signals.raise_if_ended()
            done.append("went on after it")
        finally:
            done.append(f"cleared up with {spark.range(7).count()} rows")

    session("job")  # it silences warnings, which pytest has turned on
    begun = time.monotonic()
    with pytest.raises(SystemExit) as ended:
        jobs.run(main)
    code, told = ENDS[number]
    assert (ended.value.code, done) == (code, ["cleared up with 7 rows"])
    assert time.monotonic() - begun < 30  # of 120; a busy machine has taken 12
    assert {each: signal.getsignal(each) for each in signals.USUAL} == signals.USUAL
    assert capsys.readouterr().err == f"{Path(sys.argv[0]).name}: {told}\n"
    assert caplog.records == []
    assert [str(warning.message) for warning in recwarn if "Arrow" in str(warning.message)] == []


def test_a_session_leaves_interruptions_to_the_job(spark: SparkSession) -> None:
    assert spark.version
    assert not getattr(signal.getsignal(signal.SIGINT), "__module__", "").startswith("pyspark")


def job(main: str, folder: Path) -> "subprocess.Popen[bytes]":
    """A process with a JVM of its own that runs an expression as a job."""
    code = f"from sentiment import jobs, session; jobs.run(lambda: {main})"
    env = {key: given for key, given in os.environ.items() if not key.startswith(("PYSPARK_GATEWAY", "SPARK_ENV"))}
    env["PYTHONPATH"] = str(package.CODE)
    return subprocess.Popen([sys.executable, "-c", code], cwd=folder, env=env, stderr=subprocess.PIPE)


def test_a_signal_while_spark_starts_leaves_no_jvm(tmp_path: Path) -> None:
    process = job("session.session('starts')", tmp_path)
    begun: list[psutil.Process] = []
    while not begun and process.poll() is None:
        begun = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.endswith(b"-c: interrupted\n")
    assert begun
    assert psutil.wait_procs(begun, timeout=20)[1] == []
