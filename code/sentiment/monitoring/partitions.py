"""The date=YYYY-MM-DD/ folders of a dataset: which there are, and those that are wanted as local files."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from sentiment import gs, objects
from sentiment.jobs import DataError
from sentiment.progress import Progress

DEFAULT_DAYS = 30
PREFIX = "date="
_SUFFIX = ".parquet"
_DOWNLOADS = 16  # at a time: a stream's files are many and small


@dataclass(frozen=True)
class Period:
    """Days from `first` to `last`, both included."""

    first: date
    last: date

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"


def period(known: list[date], first: date | None, last: date | None) -> Period:
    """The days to report on: as asked for, else the last 30 of those `known` (there is one), gaps counted."""
    end = last or max(known)
    begin = first or min(end, max(min(known), end - timedelta(days=DEFAULT_DAYS - 1)))
    return Period(begin, end)


def dates(location: str, argument: str) -> list[date]:
    """The days that a dataset has a folder for, sorted; none if there is no such folder.

    Args:
        location: local path or gs:// URI, as `objects.folder_at` gives it.
        argument: what the error names.

    Raises:
        DataError: it cannot be listed, or a folder's name holds no date.
    """
    found = []
    for name in objects.folders(location):
        if not name.startswith(PREFIX):
            continue
        try:
            found.append(date.fromisoformat(name.removeprefix(PREFIX)))
        except ValueError:
            raise DataError(f"{argument} {location}: want folders called date=YYYY-MM-DD, found {name}") from None
    return sorted(found)


def fetch(location: str, days: list[date], scratch: Path, steps: Progress) -> tuple[Path, list[date]]:
    """The Parquet files of some days as local files.

    Args:
        location: see `dates`; a local folder is read where it is.
        days: the days wanted.
        scratch: local folder for what has to be downloaded.
        steps: says what goes on.

    Returns:
        The local folder that holds date=YYYY-MM-DD/, and those of the days that have files.
    """
    files = {day: _files(f"{location}/{PREFIX}{day}") for day in days}
    filled = [day for day in days if files[day]]
    if not location.startswith(f"{gs.GS}://"):
        return Path(location), filled
    wanted = [f"{PREFIX}{day}/{name}" for day in filled for name in files[day]]
    for day in filled:
        (scratch / f"{PREFIX}{day}").mkdir(parents=True)
    with steps.step(f"downloading {len(wanted):,} files from {location}"), ThreadPoolExecutor(_DOWNLOADS) as pool:
        for _ in pool.map(lambda name: objects.download(f"{location}/{name}", scratch / name), wanted):
            pass
    return scratch, filled


def _files(folder: str) -> list[str]:
    return [name for name in objects.names(folder) if name.endswith(_SUFFIX)]
