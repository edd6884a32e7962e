"""What foreachBatch calls: batches one at a time, failing steps again, complete batches never."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame

from sentiment.progress import log
from sentiment.serving import held, kafka, kafka_topics, sources
from sentiment.serving.attempt import AFTER_MANIFEST, AFTER_OFFSETS, DEAD, PREDICTIONS, Attempt
from sentiment.serving.checkpoint import INTENTS, MANIFESTS, Checkpoint, OlderCheckpointError
from sentiment.serving.lease import Lease, LeaseLostError
from sentiment.serving.settings import Serving, Sinks
from sentiment.serving.sources import FileChangedError
from sentiment.serving.swap import Keeper
from sentiment.tracking import java_line

LONGEST_WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Trouble:
    """A step that has failed and is tried again.

    Attributes:
        step: its name.
        reason: why it failed last, one line without passwords.
        since: when it failed first, seconds since 1970.
    """

    step: str
    reason: str
    since: float


class StoppedError(Exception):
    """The stream was asked to end before this batch began."""


def output_topics(sinks: Sinks) -> dict[str, kafka_topics.Topic]:
    """The topics to write to, by role; DataError if one is not there."""
    wanted = {
        PREDICTIONS: (sinks.topic, "--kafka-output-topic"),
        DEAD: (sinks.dead_letter_topic, "--dead-letter-topic"),
    }
    return {
        role: kafka_topics.describe(sinks.bootstrap, name, flag, for_output=True)
        for role, (name, flag) in wanted.items()
        if name
    }


class BatchProcessor:
    """What foreachBatch calls.

    Attributes:
        topics: the output topics as this driver found them, by role.
        busy: held while a batch is in work; who stops the stream takes it first.
        stopping: set when the stream shall end; a batch that has not begun then does not begin.
        failure: why the last batch failed; None while all is well.
        trouble: the step that is tried again at the moment; None: there is none.
        completed: the last batch that this driver found or made complete; -1: none yet.
        is_latest: whether the checkpoint was seen to know all that its stream has written.
        tokens: the SQL by which the query's rows get their tokens, see linear.with_tokens; empty: they have none.
    """

    def __init__(
        self,
        serving: Serving,
        topics: dict[str, kafka_topics.Topic],
        checkpoint: Checkpoint,
        lease: Lease,
        keeper: Keeper,
        report: Callable[[dict[str, Any]], None],
        on_step: Callable[[str, int], None],
    ) -> None:
        self.serving, self.topics, self.checkpoint, self.lease, self.keeper = serving, topics, checkpoint, lease, keeper
        self.busy = threading.Lock()
        self.stopping = threading.Event()
        self.failure: BaseException | None = None
        self.trouble: Trouble | None = None
        self._report, self.on_step = report, on_step
        self._last_known = max(checkpoint.batches(INTENTS), default=-1)
        self.query, self.completed, self.is_latest = "", -1, False
        numbers = keeper.live.linear
        collects = held.may_collect(serving) and sources.has_small_batches(serving.source)
        self.tokens = numbers.tokens if numbers and collects else ""
        self._sender: kafka.Sender | None = None

    def __call__(self, frame: DataFrame, number: int) -> None:
        """Take one batch through all its steps, or raise; a batch that is complete already is left alone."""
        with self.busy:
            if self.stopping.is_set():
                raise StoppedError
            try:
                self._process(frame, number)
                self.failure = None
            except BaseException as error:
                self.failure = error
                raise

    def _process(self, frame: DataFrame, number: int) -> None:
        self.on_step(AFTER_OFFSETS, number)
        self.query = self.query or self.retried("query", self.checkpoint.query_id)
        replayed = number <= self._last_known
        if replayed and self.retried("manifest", lambda: self.checkpoint.read(MANIFESTS, number)):
            log.info("batch %d is complete already", number)
            self.completed = number
            return
        batch = Attempt(self, frame, number, replayed)
        manifest = batch.run()
        self._last_known, self.completed = max(self._last_known, number), number
        self.on_step(AFTER_MANIFEST, number)
        self._report(manifest)

    def sender(self) -> kafka.Sender:
        """What sends to Kafka; its clients stay open from batch to batch."""
        if self._sender is None:
            self._sender = kafka.Sender(self.query)
        return self._sender

    def retried(self, name: str, action: Callable[[], Any]) -> Any:
        """Try a step again, with pauses that grow to 30 s, for as long as a batch may take to recover."""
        began, pause, again = time.monotonic(), 1.0, False
        while True:
            try:
                if again:
                    self.lease.check()
                found = action()
                if again:
                    self.trouble = None
                return found
            except (LeaseLostError, FileChangedError, OlderCheckpointError):
                raise
            except Exception as error:
                left = self.serving.retry_seconds - (time.monotonic() - began)
                if left <= 0 or self.stopping.is_set():
                    raise
                reason, since = java_line(error), self.trouble.since if self.trouble else time.time()
                self.trouble = Trouble(name, reason, since)
                log.warning("%s failed, trying again for %.0f s more: %s", name, left, reason)
                self.stopping.wait(min(pause, left))
                pause, again = min(2 * pause, LONGEST_WAIT_SECONDS), True
