"""What a batch's replay owes to the attempt before: the intent says how and where its records go."""

from types import SimpleNamespace
from typing import Any

import pytest

from sentiment.serving import kafka
from sentiment.serving.attempt import DEAD, PREDICTIONS, Attempt, _Rows
from sentiment.serving.settings import AT_LEAST_ONCE, EXACTLY_ONCE, FILE, ModelChoice, Serving, Sinks, Source

ROWS: Any = SimpleNamespace(count=1)


class Sent:
    """Takes what is sent, and remembers how and where."""

    def __init__(self) -> None:
        self.how, self.where = "", [""]

    def send(self, _batch: int, records: list[kafka.Records], *_rest: Any) -> bool:
        self._note(EXACTLY_ONCE, records)
        return True

    def at_least_once(self, record: kafka.Records, _headers: dict[str, str]) -> None:
        self._note(AT_LEAST_ONCE, [record])

    def _note(self, how: str, records: list[kafka.Records]) -> None:
        self.how, self.where = how, [f"{each.topic.bootstrap} {each.topic.name}" for each in records]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    made = Sent()
    monkeypatch.setattr(kafka, "publish_at_least_once", made.at_least_once)
    return made


def replay(sent: Sent, sinks: Sinks, role: str, **intent: str) -> None:
    """Send the rows of a batch whose first attempt wrote to topic t of broker old:1."""
    owner: Any = SimpleNamespace(
        serving=Serving(Source(FILE), sinks, ModelChoice("", "m"), "ck"),
        checkpoint=SimpleNamespace(spark=None, location="ck"),
        query="q",
        lease=SimpleNamespace(check=lambda: None),
        sender=lambda: sent,
    )
    attempt = Attempt(owner, None, 0, replayed=True)  # type: ignore[arg-type]
    topics = {role: {"bootstrap": "old:1", "name": "t", "partitions": 1, "max_bytes": 1}}
    attempt.intent = {"topics": topics, "model_version": "1", "query_id": "q", "batch_id": 0, "created_ms": 0, **intent}
    attempt._send(_Rows(ROWS, None) if role == PREDICTIONS else _Rows(None, ROWS))


@pytest.mark.parametrize(
    ("intent", "now", "how"),
    [
        ({"delivery": AT_LEAST_ONCE}, EXACTLY_ONCE, AT_LEAST_ONCE),
        ({"delivery": EXACTLY_ONCE}, AT_LEAST_ONCE, EXACTLY_ONCE),
        ({}, EXACTLY_ONCE, EXACTLY_ONCE),  # an intent of before
        ({}, AT_LEAST_ONCE, AT_LEAST_ONCE),
    ],
)
def test_a_batch_is_sent_again_the_way_it_was_begun(sent: Sent, intent: dict[str, str], now: str, how: str) -> None:
    replay(sent, Sinks("out", "dead", bootstrap="new:1", topic="t", delivery=now), PREDICTIONS, **intent)
    assert (sent.how, sent.where) == (how, ["new:1 t"])


def test_dead_letters_of_a_batch_in_work_go_to_the_topic_that_is_no_longer_asked_for(sent: Sent) -> None:
    replay(sent, Sinks("out", "dead"), DEAD)
    assert sent.where == ["old:1 t"]
