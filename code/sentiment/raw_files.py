"""Which files a training reads, by their names; without Spark or the rest of the package, so that others can ask.

`python code/sentiment/raw_files.py FOLDER...` prints the first local folder that holds such a file, else an empty line.
"""

import os
import re
import sys
from pathlib import Path

SUFFIXES = (".csv", ".csv.gz")
HIDDEN = (".", "_")
"""How the names begin that Hadoop leaves out."""

_STRAY = re.compile(r"/sentiment140/sample_[^/]*$")


def is_csv(file: str) -> bool:
    """Whether a file is raw tweets by its suffix."""
    return file.lower().endswith(SUFFIXES)


def is_stray(file: str) -> bool:
    """Whether a generated sample lies among real tweets: it is input for a stream, unless it is asked for by name."""
    return _STRAY.search(file) is not None


def has_tweets(folder: Path) -> bool:
    """Whether a training finds files below a local folder, as raw_tweets.find_files does, for which it takes Spark."""
    seen = set()
    for place, folders, names in os.walk(folder.absolute(), followlinks=True):
        files = [Path(place, name) for name in names if not name.startswith(HIDDEN)]
        if any(is_csv(str(file)) and not is_stray(str(file)) and file.is_file() for file in files):
            return True
        seen.add(os.path.realpath(place))  # links may lead in a circle
        folders[:] = [
            name for name in folders if not name.startswith(HIDDEN) and os.path.realpath(Path(place, name)) not in seen
        ]
    return False


if __name__ == "__main__":
    print(next((folder for folder in sys.argv[1:] if has_tweets(Path(folder))), ""))
