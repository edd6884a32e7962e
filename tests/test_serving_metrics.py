"""What operators see of a stream: no digit lost, every step's seconds, and lines that Prometheus can read."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from services import free_port

from sentiment import jobs
from sentiment.serving import metrics, service, sources
from sentiment.serving.attempt import Attempt
from sentiment.serving.batch import BatchProcessor
from sentiment.serving.layout import INTENTS, MANIFESTS, SLOW_SECONDS, WRITTEN
from sentiment.serving.metrics import Metrics
from sentiment.serving.settings import FILE, ModelChoice, Serving, Sinks, Source
from sentiment.serving.sources import FileChangedError


def batch(number: int, **changes: Any) -> dict[str, Any]:
    figures = {"rows_in": 3, "rows_out": 2, "dead_letters": 1, "positive_share": 0.5, "mean_confidence": 0.9}
    seconds = {"score": 0.25, "parquet": 0.5, "kafka": 0.125, "total": 1.0}
    return {"batch_id": number, "model_version": "7", "lag_seconds": 1.5, "seconds": seconds, **figures, **changes}


def state(**changes: Any) -> dict[str, Any]:
    known = {"checkpoint": "ck", "model_name": "m", "model_version": "7", "staleness": 1.0, "swaps": 0}
    return {**known, "rejected": None, "retrying": None, **changes}


def reported(*batches: dict[str, Any], **changes: Any) -> list[str]:
    """The lines of /metrics after these batches."""
    made = Metrics(lambda: state(**changes))
    for each in batches:
        made.report(each)
    return made.prometheus().splitlines()


def test_copies_that_are_wanted_are_the_keeper_s_and_those_of_batches_that_are_not_complete() -> None:
    intents = {number: {"model_name": "m", "model_version": str(number)} for number in range(4)}
    batches = {INTENTS: list(intents), MANIFESTS: [0, 1]}
    checkpoint: Any = SimpleNamespace(batches=batches.get, read=lambda _, number: intents[number])
    keeper: Any = SimpleNamespace(wanted={("m", "7"), ("m", "8")})
    assert service._wanted_copies(checkpoint, keeper) == {("m", version) for version in "7823"}


def test_totals_are_exact_however_large() -> None:
    lines = reported(batch(0, rows_in=1_000_000_000), batch(1))
    assert "sentiment_rows_in_total 1000000003" in lines
    assert "sentiment_batches_total 2" in lines


def test_the_seconds_of_each_step_are_told() -> None:
    lines = reported(batch(0))
    assert [line for line in lines if line.startswith("sentiment_step_seconds")] == [
        'sentiment_step_seconds{step="score"} 0.25',
        'sentiment_step_seconds{step="parquet"} 0.5',
        'sentiment_step_seconds{step="kafka"} 0.125',
    ]
    assert "sentiment_batch_seconds 1.0" in lines


def test_a_model_s_name_and_the_reason_against_one_may_hold_anything() -> None:
    lines = reported(model_name='my "best" \\ model', rejected=("8", 'no "probability"\nat all'))
    assert 'sentiment_model_info{name="my \\"best\\" \\\\ model",version="7"} 1' in lines
    assert 'sentiment_model_rejected{version="8",reason="no \\"probability\\"\\nat all"} 1' in lines


def test_mlflow_has_steps_as_means_and_the_last_version() -> None:
    later = batch(1, model_version="8", seconds={"score": 0.75, "parquet": 0.5, "total": 2.0})
    found = {each.key: each.value for each in metrics._summed([batch(0), later], state())}
    wanted = {"score_seconds": 0.5, "kafka_seconds": 0.0625, "batch_seconds": 1.5, "model_version": 8.0, "rows_in": 6.0}
    assert {name: found[name] for name in wanted} == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("seconds", "code", "status"), [(None, 200, "ok"), (5, 200, "retrying"), (SLOW_SECONDS + 5, 503, "retrying")]
)
def test_health_says_what_is_tried_again_and_is_no_longer_well_after_two_minutes(
    seconds: int | None, code: int, status: str
) -> None:
    trouble = seconds and {"step": "kafka", "reason": "no broker", "since": time.time() - seconds}
    made, port = Metrics(lambda: state(retrying=trouble)), free_port()
    made.serve(port)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            found, content = answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            found, content = error.code, json.load(error)
    finally:
        made.stop()
    assert (found, content["status"]) == (code, status)
    if seconds:
        assert (content["retrying"]["step"], content["retrying"]["reason"]) == ("kafka", "no broker")
        assert content["retrying"]["since"].endswith("+00:00")
        assert content["retrying"]["seconds"] == pytest.approx(seconds, abs=3)
    assert f"sentiment_retrying {int(bool(seconds))}" in made.prometheus().splitlines()


def test_a_port_is_free_or_held_by_an_older_driver_of_the_checkpoint() -> None:
    made, port = Metrics(state), free_port()
    metrics.check_port(port, "ck")
    made.serve(port)
    try:
        metrics.check_port(port, "ck")
        with pytest.raises(jobs.ArgumentsError, match=f"--metrics-port {port}: want a free port, found it in use"):
            metrics.check_port(port, "another")
    finally:
        made.stop()
    metrics.check_port(port, "another")


@pytest.mark.parametrize("is_written", [True, False])
def test_a_replay_asks_for_its_input_only_if_its_files_are_not_complete(
    monkeypatch: pytest.MonkeyPatch, is_written: bool
) -> None:
    def retried(step: str, action: Callable[[], Any]) -> Any:
        steps.append(step)
        return action()

    def changed(*_: Any) -> None:
        raise FileChangedError("a.csv: want the file as it was when its batch began, found none")

    steps: list[str] = []
    intent = dict.fromkeys(("batch_id", "query_id", "model_name", "model_version", "source"), 0)
    found = {INTENTS: intent, WRITTEN: {"rows_in": 3} if is_written else None}
    fake: Any = SimpleNamespace(  # processor, serving and checkpoint
        query="q", retried=retried, on_step=lambda *_: None, sinks=None, source=None, spark=None
    )
    fake.serving = fake.checkpoint = fake
    fake.read, fake.create = lambda kind, _: found[kind], lambda *_: None
    monkeypatch.setattr(sources, "check_files", changed)
    monkeypatch.setattr(sources, "check_unchanged", lambda *_: None)
    monkeypatch.setattr(Attempt, "_from_files", lambda _, written: written)
    monkeypatch.setattr(Attempt, "_send", lambda *_: None)
    batch = Attempt(fake, fake, 0, True)
    if is_written:
        assert batch.run()["rows_in"] == 3
        assert steps == ["intent", "written", "kafka", "manifest"]
    else:
        with pytest.raises(FileChangedError):
            batch.run()
        assert steps == ["intent", "written", "batch"]


def test_a_step_is_told_from_its_first_failure_until_it_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    live = SimpleNamespace(name="m", version="7", linear=None)
    fake: Any = SimpleNamespace(  # checkpoint, lease and keeper
        batches=lambda _: [], check=lambda: None, live=live, staleness=1.0, swaps=0, rejected=None
    )
    serving = Serving(Source(FILE), Sinks("out", "dead"), ModelChoice("uri", "m"), "checkpoint")
    processor = BatchProcessor(serving, {}, fake, fake, fake, print, print)
    monkeypatch.setattr(processor.stopping, "wait", lambda _: None)
    made, told = Metrics(lambda: service._state("checkpoint", fake, processor)), []

    def failing_twice() -> str:
        told.append(made.health())
        if len(told) < 3:
            raise OSError(f"failed {len(told)} times\nat http://me:secret@host/")  # pragma: allowlist secret
        return "done"

    assert processor.retried("intent", lambda: "done") == processor.retried("kafka", failing_twice) == "done"
    assert [each["status"] for each in (*told, made.health())] == ["ok", "retrying", "retrying", "ok"]
    assert told[1]["retrying"]["step"] == "kafka"
    assert [each["retrying"]["reason"] for each in told[1:]] == [
        "failed 1 times at http://host/",
        "failed 2 times at http://host/",
    ]
    assert told[1]["retrying"]["since"] == told[2]["retrying"]["since"]
