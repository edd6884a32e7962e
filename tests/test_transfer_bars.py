"""Progress of a transfer where nobody watches a terminal: a line now and then."""

import logging

import pytest

from sentiment.transfer import bars
from sentiment.transfer.bars import Bar


def test_off_a_terminal_a_line_tells_how_far_it_is_and_not_more_often_than_the_heartbeat(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("sentiment"), "propagate", True)
    caplog.set_level(logging.INFO, "sentiment")
    with Bar("download it.zip", 4_000_000) as bar:
        for _ in range(2):
            bar.add(500_000)
        assert caplog.messages == []
        monkeypatch.setattr(bars, "HEARTBEAT_SECONDS", 0.0)
        bar.add(1_000_000)
    [line] = caplog.messages
    assert line.startswith("download it.zip: 2.0 MB of 4.0 MB (50%), ")
    assert line.endswith(" a second")
