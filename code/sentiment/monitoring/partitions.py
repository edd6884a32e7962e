"""The date=YYYY-MM-DD/ folders of a dataset: which there are, and those that are wanted as local files."""

import re
from collections.abc import Iterator
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
_DAY = re.compile(r"(\d{4}|[+-]\d{4,})-\d\d-\d\d")  # as Spark writes it: with a sign outside years 0 to 9999
_NAMED = 3
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


@dataclass(frozen=True)
class Folders:
    """The folders of a dataset: the days that have one, sorted, and the names of those outside years 1 to 9999.

    A message's time may be wrong; what no date can be is passed over, and told.
    """

    days: list[date]
    outside: list[str]

    def left_out(self, what: str, end: date) -> Iterator[str]:
        """A line for the folders outside, and one for the days after `end`: the day from which on times are wrong."""
        if self.outside:
            more = f" and {len(self.outside) - _NAMED:,} more" if len(self.outside) > _NAMED else ""
            yield f"{what} outside years 1 to 9999 are passed over: {', '.join(self.outside[:_NAMED])}{more}"
        if late := [day for day in self.days if day > end]:
            yield f"{what} after tomorrow are left out: {Period(late[0], late[-1])}; --last-date takes them in"


def period(known: list[date], first: date | None, last: date | None, tomorrow: date) -> Period:
    """The days to report on: as asked for, else the last 30 of those `known` (there is one), gaps counted.

    Unless a last day is asked for, days after `tomorrow` count only where there are no others: a single message with
    a wrong time would else be all that is reported.

    Raises:
        DataError: the first day lies after the last one that is there.
    """
    end = last or max([day for day in known if day <= tomorrow] or known)
    if first and first > end:
        later = "; --last-date takes in later ones" if max(known) > end else ""
        raise DataError(f"--first-date: want a day not after {end}, the newest with a folder, found {first}{later}")
    days = min(DEFAULT_DAYS - 1, (end - date.min).days)
    begin = first or min(end, max(min(known), end - timedelta(days=days)))
    return Period(begin, end)


def folders(location: str, argument: str) -> Folders:
    """The folders that a dataset has; none if there is no such dataset.

    Args:
        location: local path or gs:// URI, as `objects.folder_at` gives it.
        argument: what the error names.

    Raises:
        DataError: it cannot be listed, or a folder's name holds no date.
    """
    days, outside = [], []
    for name in objects.folders(location):
        if not name.startswith(PREFIX):
            continue
        text = name.removeprefix(PREFIX)
        try:
            if not (found := _DAY.fullmatch(text)):
                raise ValueError
            if found[1] == "0000" or len(found[1]) > len("YYYY"):
                outside.append(name)
            else:
                days.append(date.fromisoformat(text))
        except ValueError:
            raise DataError(f"{argument} {location}: want folders called date=YYYY-MM-DD, found {name}") from None
    return Folders(sorted(days), outside)


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
