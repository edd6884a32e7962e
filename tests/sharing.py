"""Which test files share what is dear to make, so that one worker of `pytest -n` runs them all."""

from functools import cache
from pathlib import Path

SPARK, ZOO = "mark.spark", "zoo"
OWN_PROCESSES = ("test_cluster.py", "test_packaging.py")
"""They start Spark, but do without the session of the tests."""


@cache
def shared(file: Path) -> str | None:
    """What a file shares with others, found in its text: ZOO (made with the session), SPARK (the session), None."""
    text = file.read_text(encoding="utf-8")
    if SPARK not in text or file.name in OWN_PROCESSES:
        return None
    return ZOO if ZOO in text else SPARK
