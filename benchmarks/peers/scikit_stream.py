"""The peer "kafka-python and scikit-learn": one process that polls, scores and writes Parquet files; no Spark.

At most once or at least once, as its author likes: here the offsets are committed after the file. Each batch leaves an
empty file under checkpoint/commits/, so that its rows per second are counted as everybody's.
"""

import argparse
import csv
import gzip
import json
import os
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from kafka import KafkaConsumer, TopicPartition
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--per-batch", type=int, required=True)
    parser.add_argument(
        "--model", type=Path, required=True, help="file of the model; trained on --data if it is not there"
    )
    parser.add_argument("--data", type=Path, required=True, help="CSV of tweets")
    parser.add_argument("--work", type=Path, required=True, help="folder for output and commits")
    return parser.parse_args(argv)


def trained(data: Path) -> Any:
    """TF-IDF of one and two words and a logistic regression, as in peers/scikit.py."""
    opened = gzip.open if data.suffix == ".gz" else open
    with opened(data, "rt", encoding="utf-8", errors="replace", newline="") as file:
        rows = [(row[5], float(row[0] == "4")) for row in csv.reader(file) if len(row) == 6 and row[0] in "04"]
    texts, labels = zip(*rows, strict=True)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    return make_pipeline(vectorizer, LogisticRegression(C=2, max_iter=1000)).fit(texts, labels)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    if not args.model.is_file():
        joblib.dump(trained(args.data), args.model)
    model = joblib.load(args.model)
    output, commits = args.work / "out", args.work / "checkpoint/commits"
    output.mkdir(parents=True)
    commits.mkdir(parents=True)
    consumer = KafkaConsumer(
        bootstrap_servers=args.bootstrap,
        group_id=f"scikit-{os.getpid()}",
        enable_auto_commit=False,
        max_poll_records=args.per_batch,
    )
    parts = [TopicPartition(args.topic, part) for part in sorted(consumer.partitions_for_topic(args.topic))]
    consumer.assign(parts)
    consumer.seek_to_beginning(*parts)
    left = sum(consumer.end_offsets(parts).values())
    waiting: list[Any] = []
    number = 0
    while left:
        for messages in consumer.poll(1000, max_records=args.per_batch).values():
            waiting += messages
        while len(waiting) >= min(args.per_batch, left) > 0:
            batch, waiting = waiting[: args.per_batch], waiting[args.per_batch :]
            rows = pd.DataFrame([json.loads(message.value) for message in batch])
            rows["score"] = model.predict_proba(rows["text"])[:, 1]
            rows["prediction"] = (rows["score"] > 0.5).astype(float)
            rows.to_parquet(output / f"{number:08d}.parquet", index=False)
            consumer.commit()
            (commits / str(number)).touch()
            number, left = number + 1, left - len(batch)
    consumer.close()


if __name__ == "__main__":
    main()
