"""The classes that Spark's jobs load, in a file that their JVMs map (Java's class data sharing).

A run of many tests starts some seventy JVMs; with the file each takes two thirds of the CPU until its work begins
(preprocess.py on 2,000 tweets: 8 s instead of 12). It is made beside the first tests of `pytest -n`, once for each Java
and Spark, and kept in .local/. A JVM that finds none, or one of another Java, does without.
"""

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pyspark
from services import LOCAL, ROOT, ServiceError, java

LOG = LOCAL / "tests" / "classes.log"
QUIET = "-Xlog:disable"
"""A file that does not fit shall not be told in the output of a job."""


def options() -> str:
    """What a JVM wants to be told; nothing where there is no Java."""
    place = _place()
    return f"-XX:SharedArchiveFile={place} {QUIET}" if place else ""


def making() -> "subprocess.Popen[bytes] | None":
    """The process that makes the file; None where there is one, or no Java."""
    place = _place()
    if place is None or place.exists():
        return None
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("wb") as log:
        return subprocess.Popen(  # a session of its own: `end` takes its JVM along
            [sys.executable, __file__],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "code"), str(ROOT / "local")])},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def end(process: "subprocess.Popen[bytes]") -> None:
    """Leave it unmade when the tests were over sooner; say so when it could not be made."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
    elif process.returncode:
        print(f"no file of classes for the next run: its making ended with {process.returncode}, see {LOG}")


def _place() -> Path | None:
    """Of the file for this Java and these jars; None without a Java."""
    try:
        binary = Path(java()).resolve()
    except ServiceError:
        return None
    jars = Path(pyspark.__file__).with_name("jars")
    newest = max(path.stat().st_mtime_ns for path in jars.iterdir())  # the JVM compares times too
    about = f"{binary} {binary.stat().st_mtime_ns} {jars} {newest}"
    return LOG.parent / f"classes-{hashlib.sha256(about.encode()).hexdigest()[:12]}.jsa"


def _make() -> None:
    """Clean, divide and train on a few tweets; when the JVM ends, it writes down what it has loaded."""
    import create_splits
    import preprocess
    import sample_tweets
    import train_and_log
    from pyspark import SparkContext

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the folder goes
    place = _place()
    assert place is not None
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        os.chdir(folder)
        os.environ["SPARK_SUBMIT_OPTS"] = f"-XX:TieredStopAtLevel=1 {QUIET} -XX:ArchiveClassesAtExit={folder}/made.jsa"
        sample_tweets.main(["--rows", "2000", "--output", "raw"])
        preprocess.main(["--input", "raw", "--output", "clean"])
        create_splits.main(["--input", "clean", "--output", "splits"])
        train_and_log.main(["--data", "splits", "--output", "models", "--models", "logisticregression"])
        gateway = SparkContext._gateway
        assert gateway is not None
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait()
        for old in place.parent.glob("classes-*.jsa"):  # of another Java or Spark
            old.unlink()
        Path("made.jsa").replace(place)


if __name__ == "__main__":
    _make()
