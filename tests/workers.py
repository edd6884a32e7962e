"""How `pytest -n` hands out the tests: files that share something to one worker, every other file by itself."""

import pytest
from sharing import shared
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """Two pieces of work on a Spark session, one of them about the zoo; then the other files, most tests first.

    The process that hands out the work has collected nothing: it knows the names of the tests and reads their files.
    """

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        self._root = config.rootpath

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return shared(self._root / file) or file
