"""Spark's daemon of Python workers without Spark's own archives on its path; pyspark itself is installed beside it.

A worker calls importlib.invalidate_caches before each task, which reads anew what every archive on the path holds:
25 ms for pyspark.zip and the jar of Spark's core, more than most tasks of a test take.
"""

import sys

if __name__ == "__main__":
    sys.path[:] = [path for path in sys.path if not path.endswith((".jar", "/pyspark.zip"))]
    sys.path_importer_cache.clear()
    from pyspark.daemon import manager

    manager()  # type: ignore[no-untyped-call]
