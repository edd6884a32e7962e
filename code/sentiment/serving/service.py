"""The life of a stream: take the lease, load a model, run the query, end it the way it was asked to."""

import signal
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from mlflow.tracking import MlflowClient
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from sentiment import signals, storage, tracking
from sentiment.jobs import ArgumentsError, DataError
from sentiment.pausing import pause
from sentiment.progress import log
from sentiment.serving import kafka_topics, metrics, parsing, sources
from sentiment.serving.batch import BatchProcessor, output_topics
from sentiment.serving.checkpoint import INTENTS, MANIFESTS, Checkpoint
from sentiment.serving.lease import Lease, LeaseLostError
from sentiment.serving.models import Copies, Registry
from sentiment.serving.settings import FILE, KAFKA, Serving
from sentiment.serving.swap import Keeper
from sentiment.tracking import java_line

LOOK_SECONDS = 0.5
COMMIT_SECONDS = 5.0
LOCAL_FILES = "org.apache.spark.sql.execution.streaming.FileSystemBasedCheckpointFileManager"
"""Spark's usual one starts a process (`readlink`) for each of several questions about a local file: with it a stream
started 33 processes a second, with this one 5."""

DATA_LOSS = "data may have been lost"
"""So Spark says of Kafka's, among other words, whatever its version."""


def serve(spark: SparkSession, serving: Serving) -> None:
    """Run the stream until it is drained, told to end, out of input (--available-now), or broken.

    Raises:
        DataError: something that was wanted is not there, or a batch failed for longer than --batch-retry-seconds.
        signals.EndedBySignalError: SIGTERM or SIGINT; the batch in work is complete.
    """
    spark.conf.set("spark.sql.inMemoryColumnarStorage.compressed", "false")  # a batch is held for a moment only
    if storage.is_local(spark, serving.checkpoint):
        spark.conf.set("spark.sql.streaming.checkpointFileManagerClass", LOCAL_FILES)
    with signals.remembered() as asked:
        checkpoint = Checkpoint(spark, serving.checkpoint)
        _check_source(spark, serving)
        if serving.metrics_port:
            metrics.check_port(serving.metrics_port, serving.checkpoint)
        topics = output_topics(serving.sinks)  # before the checkpoint is bound to them, or an older driver displaced
        topic = _input_topic(serving)
        checkpoint.check_settings(serving)
        if topic:
            checkpoint.check_topic(serving.source.topic, topic)
        lease = Lease(spark, serving.checkpoint)
        client = tracking.client(serving.model.uri)
        copies = Copies(spark, serving.checkpoint, serving.model)

        def drop_unwanted() -> None:
            lease.check()
            copies.keep_only(_wanted_copies(checkpoint, keeper))

        keeper = Keeper(Registry(client, serving.model), copies, serving.reload_seconds, pause, drop_unwanted)
        try:
            keeper.choose()  # who wants a model that is not there displaces nobody
            lease.claim()
            keeper.start()  # beside the wait for an older driver: a copy of a model is nobody's alone
            lease.wait(log.info)
            checkpoint.forget_drain()
            storage.remove_orphaned_checksums(spark, checkpoint.path("commits"))
            drop_unwanted()
            _run(spark, serving, topics, checkpoint, lease, keeper, client, asked)
        finally:
            keeper.stop()
            lease.release()


def _run(
    spark: SparkSession,
    serving: Serving,
    topics: dict[str, kafka_topics.Topic],
    checkpoint: Checkpoint,
    lease: Lease,
    keeper: Keeper,
    client: MlflowClient,
    asked: signals.Remembered,
) -> None:
    figures = metrics.Metrics(lambda: _state(serving.checkpoint, keeper, processor))
    processor = BatchProcessor(serving, topics, checkpoint, lease, keeper, figures.report, pause)
    if serving.metrics_port:
        figures.serve(serving.metrics_port)
    tags = {"checkpoint": serving.checkpoint, "model_name": serving.model.name}
    figures.log_to_mlflow(client, tags)
    query = _started(spark, serving, processor)
    log.info("the stream runs: query %s, checkpoint %s", query.id, serving.checkpoint)
    try:
        _watch(query, processor, checkpoint, lease, asked)
    finally:
        processor.stopping.set()
        figures.stop()


def _started(spark: SparkSession, serving: Serving, processor: BatchProcessor) -> StreamingQuery:
    arriving = sources.stream(spark, serving.source)
    rows = parsing.of_stream(arriving, serving.source, serving.max_text_chars, processor.tokens)
    writer = rows.writeStream.foreachBatch(processor)
    writer = writer.option("checkpointLocation", serving.checkpoint).queryName("sentiment-serving")
    if serving.available_now:
        return writer.trigger(availableNow=True).start()
    return writer.trigger(processingTime=f"{serving.interval_seconds} seconds").start()


def _watch(
    query: StreamingQuery, processor: BatchProcessor, checkpoint: Checkpoint, lease: Lease, asked: signals.Remembered
) -> None:
    """Wait for the end of the query, or bring it about."""
    looked = 0.0
    while True:
        try:
            if query.awaitTermination(LOOK_SECONDS):  # type: ignore[arg-type]
                return
        except Exception as error:
            if asked.number:  # a signal to the whole process group has ended the JVM too, within a batch perhaps
                raise signals.EndedBySignalError(asked.number) from error
            raise _ended_by(error, processor, lease) from error
        if lease.lost:
            lease.check()
        if asked.number:
            log.info("%s: completing the batch in work", signal.Signals(asked.number).name)
            _stop_between_batches(query, processor, checkpoint)
            raise signals.EndedBySignalError(asked.number)
        if time.monotonic() - looked >= 2 * LOOK_SECONDS:
            looked = time.monotonic()
            if _seen(checkpoint.drain_asked):
                log.info("drain: completing the batch in work")
                _stop_between_batches(query, processor, checkpoint)
                log.info("drained")
                return


def _stop_between_batches(query: StreamingQuery, processor: BatchProcessor, checkpoint: Checkpoint) -> None:
    processor.stopping.set()
    with processor.busy:
        last, until = processor.completed, time.monotonic() + COMMIT_SECONDS
        while last >= 0 and not _seen(lambda: checkpoint.has_commit(last)) and time.monotonic() < until:
            time.sleep(0.05)  # a commit that is cut costs nothing: the batch is complete, a replay sees that
    query.stop()  # not under the lock: a batch that wants to begin must get it, to see that it may not
    if processor.failure is not None:
        raise DataError(f"the batch in work could not be completed: {java_line(processor.failure)}")


def _seen(look: Callable[[], bool]) -> bool:
    """What a look at the checkpoint finds; False while its store does not answer: who asks looks again."""
    try:
        return look()
    except DataError as error:
        log.warning("looking again: %s", error)
        return False


def _ended_by(error: Exception, processor: BatchProcessor, lease: Lease) -> Exception:
    """The error that ended the query, as one of ours where it is one."""
    failure, source = processor.failure, processor.serving.source
    if source.kind == KAFKA and DATA_LOSS in str(failure or error):
        return DataError(
            f"--kafka-topic {source.topic}: want all messages since the last batch, found that {source.bootstrap} has "
            "deleted some of them; --on-data-loss continue goes on without them"
        )
    if isinstance(failure, DataError | ArgumentsError):
        return failure
    try:
        lease.check()  # another driver's files in the checkpoint end the query too, in words that help nobody
    except DataError as lost:
        if isinstance(lost, LeaseLostError):
            return lost
    cause = failure or error
    return DataError(f"the query ended: {java_line(cause)}")


def _check_source(spark: SparkSession, serving: Serving) -> None:
    source = serving.source
    if source.kind == FILE:
        if not storage.exists(spark, source.path):
            raise DataError(f"--input-path {source.path}: want a folder to watch, found none")
        storage.check_names(spark, source.path)
        return
    kafka_topics.describe(source.bootstrap, source.topic, "--kafka-topic", for_output=False)


def _input_topic(serving: Serving) -> str:
    """The id of the topic that is read; empty for files. ArgumentsError where it is written to as well."""
    source, sinks = serving.source, serving.sinks
    if source.kind == FILE:
        return ""
    found = kafka_topics.topic_id(source.bootstrap, source.topic, "--kafka-topic")
    for flag, name in (("--kafka-output-topic", sinks.topic), ("--dead-letter-topic", sinks.dead_letter_topic)):
        # A broker has many addresses: other ones than that of the source need not be another broker's.
        if found and name == source.topic and found == kafka_topics.topic_id(sinks.bootstrap, name, flag):
            raise ArgumentsError(f"{flag}: want another topic than --kafka-topic, found the same at {sinks.bootstrap}")
    return found


def _wanted_copies(checkpoint: Checkpoint, keeper: Keeper) -> set[tuple[str, str]]:
    """The keeper's, and those of batches that are not complete."""
    wanted = keeper.wanted
    complete = set(checkpoint.batches(MANIFESTS))
    for number in checkpoint.batches(INTENTS):
        if number not in complete:
            intent = checkpoint.read(INTENTS, number) or {}
            wanted.add((intent["model_name"], intent["model_version"]))
    return wanted


def _state(checkpoint: str, keeper: Keeper, processor: BatchProcessor) -> dict[str, Any]:
    trouble = processor.trouble
    return {
        "checkpoint": checkpoint,
        "model_name": keeper.live.name,
        "model_version": keeper.live.version,
        "staleness": round(keeper.staleness, 1),
        "swaps": keeper.swaps,
        "rejected": keeper.rejected,
        "retrying": asdict(trouble) if trouble else None,
    }
