"""Short forms of what the benchmarks do, on the run's own Spark session and broker."""

import json
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from broker import Broker
from pyspark.sql import DataFrame

pytest.importorskip("psutil")  # not in every environment of the Spark 3.5 tests

from benchmarks import crossvalidation, latency, serve, serving
from sentiment import models


@pytest.mark.spark
def test_a_search_is_taken_apart_into_its_fits_and_scores(
    clean_tweets: Callable[[list[tuple[str, float]]], DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = models.spec

    def small(*of: Any, **named: Any) -> models.Spec:
        spec = known(*of, **named)
        spec.estimator.setMaxIter(2)
        return replace(spec, grid={name: values[:2] for name, values in spec.grid.items()})

    monkeypatch.setattr(models, "spec", small)
    words = [("a good day", 1.0), ("a sad day", 0.0), ("good good luck", 1.0), ("sad sad rain", 0.0)]
    rows = clean_tweets([(f"{text} {number}", label) for number in range(40) for text, label in words]).cache()
    args = Namespace(models=["logisticregression"], cv_folds=2, num_features=50)
    figures = crossvalidation.measured({"train": rows, "dev": rows.limit(4), "test": rows.limit(4)}, args)
    assert figures["train_rows"] == 160
    [found] = figures["classifiers"].values()
    assert found["points"] == 2
    assert min(found[key] for key in ("whole", "plain", "fits", "scores")) > 0
    assert figures["ratio"] == pytest.approx(found["whole"] / found["fits"])


def test_messages_go_into_a_topic_at_their_rate(broker: Broker) -> None:
    broker.make_topics({"bench-feed": 3})
    with latency.Feed(broker.bootstrap, "bench-feed", 200) as feed:
        time.sleep(2)
    assert 300 < feed.count < 600
    from kafka import KafkaConsumer

    consumer = KafkaConsumer("bench-feed", bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
    seen: list[str] = []
    deadline = time.monotonic() + 20
    while len(seen) < feed.count and time.monotonic() < deadline:
        for messages in consumer.poll(500).values():
            seen += [json.loads(message.value)["id"] for message in messages]
    consumer.close()
    assert len(set(seen)) == len(seen) == feed.count


def test_the_peer_without_spark_scores_every_message_and_is_counted_like_all_others(
    broker: Broker, sample_csv: Path, tmp_path: Path
) -> None:
    rows, per_batch = 3300, 300
    bench = serving.Bench(tmp_path, rows, per_batch)
    bench.broker, bench.topic = broker, "bench-tweets"
    broker.make_topics({bench.topic: 3})
    latency.fill(broker.bootstrap, bench.topic, ["a good day", "a sad one"], rows)
    bench.prepared.mkdir()
    assert serve.throughput(bench, serve.SCIKIT, sample_csv) > 100
    log = tmp_path / "kafka-python-and-scikit-learn,-Parquet.log"
    assert "Traceback" not in log.read_text(encoding="utf-8")
    [place] = tmp_path.glob("place-*")
    assert len(list((place / "checkpoint/commits").iterdir())) == 11
