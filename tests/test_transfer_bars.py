"""Progress of a transfer where nobody watches a terminal: a line now and then."""

import logging

import pytest

from sentiment.transfer import bars
from sentiment.transfer.bars import Bar


class Lines(logging.Handler):
    """Keeps what is logged. (caplog hears it twice where Airflow has set up the root logger before.)"""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def test_off_a_terminal_a_line_tells_how_far_it_is_and_not_more_often_than_the_heartbeat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard, log = Lines(), logging.getLogger("sentiment")
    monkeypatch.setattr(log, "handlers", [heard])
    before = log.level
    log.setLevel(logging.INFO)  # setLevel also forgets what it has decided before
    with Bar("download it.zip", 4_000_000) as bar:
        for _ in range(2):
            bar.add(500_000)
        assert heard.lines == []
        monkeypatch.setattr(bars, "HEARTBEAT_SECONDS", 0.0)
        bar.add(1_000_000)
    log.setLevel(before)
    [line] = heard.lines
    assert line.startswith("download it.zip: 2.0 MB of 4.0 MB (50%), ")
    assert line.endswith(" a second")
