"""One attempt at one batch: intent, parse, score, Parquet, Kafka, manifest. Every step is safe to repeat."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyspark.sql import Column, DataFrame

from sentiment.progress import log
from sentiment.serving import files, held, kafka, kafka_topics, linear, parsing, scoring, sources, tables
from sentiment.serving.checkpoint import INTENTS, MANIFESTS, WRITTEN, OlderCheckpointError
from sentiment.serving.linear import Linear
from sentiment.serving.rows import PARQUET, Rows, SparkRows
from sentiment.serving.settings import AT_LEAST_ONCE, JSON

if TYPE_CHECKING:
    from sentiment.serving.batch import BatchProcessor

AFTER_OFFSETS, AFTER_PARQUET, AFTER_KAFKA, AFTER_MANIFEST = (
    "after-offsets",
    "after-parquet",
    "after-kafka",
    "after-manifest",
)
PREDICTIONS, DEAD = "predictions", "dead_letters"
"""Roles of the output topics."""


@dataclass(frozen=True)
class _Rows:
    """A batch's predictions and dead letters; None: there are none."""

    alive: Rows | None
    dead: Rows | None


class Attempt:
    """One attempt at one batch."""

    def __init__(self, owner: "BatchProcessor", frame: DataFrame, number: int, replayed: bool) -> None:
        self.owner, self.frame, self.number = owner, frame, number
        self.serving, self.sinks, self.checkpoint = owner.serving, owner.serving.sinks, owner.checkpoint
        self.spark = owner.checkpoint.spark
        self.query = owner.query
        self.replayed = self.files_tried = self.sends_tried = self.collecting_tried = replayed
        self.seconds: dict[str, float] = {}

    def run(self) -> dict[str, Any]:
        """Take the batch through all its steps; gives its manifest."""
        began = time.monotonic()
        with self._timed("intent"):
            self.intent = self.owner.retried("intent", self._intended)
        written = self.owner.retried("written", self._written_before)
        if written is None:
            written = self.owner.retried("batch", self._scored_and_sent)
        else:
            log.info("batch %d: its files are complete; publishing from them", self.number)
            self.owner.retried("kafka", lambda: self._send(self._from_files(written)))
        self.owner.on_step(AFTER_KAFKA, self.number)
        manifest = {
            **{name: self.intent[name] for name in ("batch_id", "query_id", "model_name", "model_version", "source")},
            **written,
            "replayed": self.replayed,
            "seconds": {**self.seconds, "total": round(time.monotonic() - began, 3)},
        }
        self.owner.retried("manifest", lambda: self.checkpoint.create(MANIFESTS, self.number, manifest))
        return manifest

    def _intended(self) -> dict[str, Any]:
        """What this batch is to be, as its first attempt decided."""
        found = self.checkpoint.read(INTENTS, self.number) if self.replayed else None
        if found is not None:
            return found
        self._check_unwritten()  # before the intent: with it the next attempt would be a replay
        model = self.owner.keeper.current()
        intent = {
            "batch_id": self.number,
            "query_id": self.query,
            "model_name": model.name,
            "model_version": model.version,
            "source": sources.source_range(self.checkpoint, self.serving.source, self.number),
            "topics": {role: asdict(topic) for role, topic in self.owner.topics.items()},
            "delivery": self.sinks.delivery,
            "created_ms": int(time.time() * 1000),
        }
        self.owner.lease.check()
        found = self.checkpoint.create(INTENTS, self.number, intent)
        if found is not intent:  # a driver that has lost the checkpoint was quicker, and may have come further
            self.replayed = self.files_tried = self.sends_tried = self.collecting_tried = True
        return found

    def _check_unwritten(self) -> None:
        """OlderCheckpointError where the first batch that this driver plans has been written already."""
        if self.owner.is_latest:
            return
        kinds = {self.sinks.output: PARQUET, self.sinks.dead_letters: PARQUET, self.sinks.json_output: JSON}
        for folder, kind in kinds.items():
            found = files.published(self.spark, folder, self.query, self.number, kind) if folder else []
            if found:
                raise OlderCheckpointError(self.checkpoint.location, self.number, found[0])
        if self.owner.topics and self.sinks.delivery != AT_LEAST_ONCE:
            marker = _marker(self.owner.topics)
            if self.owner.sender().has_sent(self.number, marker):
                raise OlderCheckpointError(self.checkpoint.location, self.number, f"topic {marker.name}")
        self.owner.is_latest = True

    def _written_before(self) -> dict[str, Any] | None:
        """What the batch's files hold, if they are complete already."""
        written = self.checkpoint.read(WRITTEN, self.number) if self.replayed else None
        if written is not None:  # nobody reads the input again: it may be gone, but not say something else
            sources.check_unchanged(self.spark, self.serving.source, self.intent["source"])
        return written

    def _scored_and_sent(self) -> dict[str, Any]:
        """Score the batch, write its files, publish it; gives what the files hold."""
        sources.check_files(self.spark, self.serving.source, self.intent["source"])
        with self._timed("score"):
            scored = self._held()
            figures = scored.figures(datetime.now(UTC))
        try:
            sources.check_files(self.spark, self.serving.source, self.intent["source"])
            rows = _Rows(scored.predictions(), scored.dead_letters())
            written = self._write(rows, figures)
            self.owner.on_step(AFTER_PARQUET, self.number)
            self.owner.retried("kafka", lambda: self._send(rows))
            return written
        finally:
            scored.release()

    def _held(self) -> held.Held:
        """The scored batch: in the driver if it is small, and nothing went wrong with it there before."""
        model = self.owner.keeper.version(self.intent["model_name"], self.intent["model_version"])
        how = (model, self.number, self.query, self._limit(PREDICTIONS), self._limit(DEAD))
        small = held.may_collect(self.serving) and sources.is_small(self.serving.source, self.intent["source"])
        if self.collecting_tried or not small:
            return held.InExecutors(scoring.score(self._parsed(), *how))
        self.collecting_tried = True
        table = tables.score(self._with_tokens(model.linear), model.linear, *how) if model.linear else None
        if table is None:
            table = scoring.score(self._parsed(), *how).toArrow()
        return held.InDriver(self.spark, table)

    def _limit(self, role: str) -> int:
        """What a record of that topic may take; 0: there is no such topic."""
        return int(self.intent["topics"].get(role, {}).get("max_bytes", 0))

    def _parsed(self) -> DataFrame:
        first_lines = sources.headers(self.spark, self.serving.source, list(self.intent["source"]))
        return parsing.of_batch(self.frame, self.serving.source, self.serving.max_text_chars, first_lines)

    def _with_tokens(self, numbers: Linear) -> DataFrame:
        if numbers.tokens == self.owner.tokens:
            return self.frame
        return linear.with_tokens(self._parsed(), numbers.tokens)

    def _write(self, rows: _Rows, figures: dict[str, float]) -> dict[str, Any]:
        """Put the rows into files and say so, in this order."""
        check = self.owner.lease.check
        check()
        place = (self.query, self.number, self.files_tried)
        self.files_tried = True
        with self._timed("parquet"):
            prediction_files = files.publish(self.spark, rows.alive, self.sinks.output, *place, check=check)
            dead_files = files.publish(self.spark, rows.dead, self.sinks.dead_letters, *place, check=check)
        if self.sinks.json_output:
            with self._timed("json"):
                files.publish(self.spark, rows.alive, self.sinks.json_output, *place, kind=JSON, check=check)
        written = {**figures, "files": prediction_files, "dead_letter_files": dead_files}
        return self.checkpoint.create(WRITTEN, self.number, written)

    def _from_files(self, written: dict[str, Any]) -> _Rows:
        """The batch as its files have it."""

        def read(folder: str, names: str, record: Column, count: str) -> SparkRows | None:
            frame = files.read(self.spark, folder, written[names])
            return None if frame is None else SparkRows(frame.withColumn(scoring.VALUE, record), int(written[count]))

        return _Rows(
            read(self.sinks.output, "files", scoring.record(), "rows_out"),
            read(self.sinks.dead_letters, "dead_letter_files", scoring.dead_record(self._limit(DEAD)), "dead_letters"),
        )

    def _send(self, rows: _Rows) -> None:
        """Publish predictions, and dead letters where they have a topic."""
        planned = {role: kafka_topics.Topic(**each) for role, each in self.intent["topics"].items()}
        bootstrap = self.sinks.bootstrap  # today's address; none where no topic is asked for any more
        topics = {role: replace(topic, bootstrap=bootstrap or topic.bootstrap) for role, topic in planned.items()}
        records = []
        if PREDICTIONS in topics and rows.alive is not None:
            records.append(kafka.Records(topics[PREDICTIONS], rows.alive, "id"))
        if DEAD in topics and rows.dead is not None:
            records.append(kafka.Records(topics[DEAD], rows.dead, sources.COORDINATES))
        if not records:
            return
        self.owner.lease.check()
        with self._timed("kafka"):
            try:
                self._publish(records, _marker(topics))
            except BaseException:
                self.sends_tried = True
                raise

    def _publish(self, records: list[kafka.Records], marker: kafka_topics.Topic) -> None:
        headers = {name: str(self.intent[name]) for name in ("model_version", "query_id", "batch_id")}
        # A part of it may have been sent that way; intents did not always say so.
        if self.intent.get("delivery", self.sinks.delivery) == AT_LEAST_ONCE:
            for each in records:
                kafka.publish_at_least_once(each, headers)
            return
        since = self.intent["created_ms"] if self.sends_tried else None
        if not self.owner.sender().send(self.number, records, marker, headers, since):
            if not self.sends_tried:
                raise OlderCheckpointError(self.checkpoint.location, self.number, f"topic {marker.name}")
            log.info("batch %d: its records were in Kafka already", self.number)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - began, 3)


def _marker(topics: dict[str, kafka_topics.Topic]) -> kafka_topics.Topic:
    """The topic at which the stream's marker stands."""
    return topics.get(PREDICTIONS) or topics[DEAD]
