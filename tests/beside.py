"""Long work of processes that need nothing of the tests' own session: done beside the tests from the run's start.

Most tests wait for something most of the time. Work of this kind is a fixture of the whole run that gives a Future,
made by `under_way` and named in LONG_WORK; the tests about it take its result.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import TypeVar

import pytest

LONG_WORK = ("told_story", "lost_executor", "gcloud_training", "lives_on_gs", "job_starts", "second_way_in")
"""Fixtures, in the order in which they are begun; one at a time is done. Tests about them come last."""

Work = TypeVar("Work")


def is_about_long_work(item: pytest.Item) -> bool:
    """Whether a test takes the result of long work."""
    return isinstance(item, pytest.Function) and not set(LONG_WORK).isdisjoint(item.fixturenames)


@pytest.fixture(scope="session")
def lane() -> Iterator[ThreadPoolExecutor]:
    """Where long work is done, one piece after another."""
    with ThreadPoolExecutor(1, "beside") as made:
        yield made


@contextmanager
def under_way(lane: ThreadPoolExecutor, work: Callable[[], Work]) -> Iterator["Future[Work]"]:
    """Work that is done as soon as the lane is free, over before what it needs is taken down."""
    future = lane.submit(work)
    yield future
    if not future.cancel():
        wait([future])


@pytest.fixture(scope="session", autouse=True)
def begun_long_work(request: pytest.FixtureRequest) -> None:
    """Begin what the chosen tests will ask for; what cannot be begun is told by the test that asks for it."""
    wanted = {name for item in request.session.items if isinstance(item, pytest.Function) for name in item.fixturenames}
    for name in LONG_WORK:
        if name in wanted:
            with suppress(Exception, pytest.skip.Exception):
                request.getfixturevalue(name)
