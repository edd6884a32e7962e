"""What must hold, looked at without Spark: Parquet through pyarrow, Kafka through a plain read_committed consumer."""

import hashlib
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from kafka import KafkaConsumer, TopicPartition

from chaos.stream import Broken

HASHED = ["source", "id", "text", "prediction", "score", "model_name", "model_version"]
logging.getLogger("kafka").setLevel(logging.CRITICAL)


def files(folder: Path) -> list[Path]:
    """The published files of a dataset."""
    return sorted(folder.glob("date=*/*.parquet"))


def rows(folder: Path) -> pd.DataFrame:
    """All rows of a dataset."""
    parts = [pq.ParquetFile(path).read().to_pandas() for path in files(folder)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def digest(frame: pd.DataFrame) -> str:
    """A hash of what was predicted, in no order."""
    lines = sorted(
        json.dumps([*(row[name] for name in HASHED if name != "score"), f"{row['score']:.9f}"])
        for row in frame[HASHED].to_dict("records")
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def records(
    bootstrap: str, topic: str, isolation: str = "read_committed", patience: float = 180.0
) -> list[dict[str, Any]]:
    """Every record of a topic, by default every committed one: key, value and headers."""
    consumer = _consumer(bootstrap, isolation)
    try:
        places = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        ends = consumer.end_offsets(places)
        found, until = [], time.monotonic() + patience
        while any(consumer.position(place) < ends[place] for place in places):
            if time.monotonic() > until:
                raise Broken(f"{topic} could not be read to its end within {patience:.0f} s")
            for batch in consumer.poll(500).values():
                found += [
                    {
                        "key": each.key.decode(),
                        "value": json.loads(each.value),
                        **{name: value.decode() for name, value in each.headers},
                    }
                    for each in batch
                ]
        return found
    finally:
        consumer.close()


def length(bootstrap: str, topic: str) -> Callable[[], int]:
    """Gives, whenever it is called, how long the topic is, open and aborted transactions included."""
    consumer = _consumer(bootstrap, "read_uncommitted")
    places = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    return lambda: sum(consumer.end_offsets(places).values())


def _consumer(bootstrap: str, isolation: str) -> KafkaConsumer:
    return KafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level=isolation, enable_auto_commit=False, client_id="chaos-check"
    )


def each_once(wanted: Iterable[str], found: Iterable[str], where: str) -> int:
    """Broken unless both have the same members, each once; gives how many."""
    expected, there = Counter(wanted), Counter(found)
    lost, added = expected - there, there - expected
    if lost or added:
        raise Broken(
            f"{where}: {sum(lost.values())} lost (first {min(lost, default='-')}), "
            f"{sum(added.values())} too many (first {min(added, default='-')}), of {len(expected)}"
        )
    return len(expected)


def one_version_per_batch(frame: pd.DataFrame) -> None:
    """Broken unless every row names a version, and all rows of a batch the same."""
    if frame["model_version"].isna().any() or (frame["model_version"] == "").any():
        raise Broken("rows without a model version")
    versions = frame.groupby(["query_id", "batch_id"])["model_version"].nunique()
    if (versions != 1).any():
        raise Broken(f"batches with more than one model version: {versions[versions != 1].index.tolist()[:3]}")
