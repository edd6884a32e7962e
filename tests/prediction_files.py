"""Predictions and dead letters in the writer's columns, without Spark; and their figures, counted by pandas."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.stats import binomtest

from sentiment.serving.scoring import DEAD_COLUMNS, PREDICTION_COLUMNS

Row = dict[str, Any]
START = datetime(2026, 3, 1, 22, 10, tzinfo=UTC)
_TIME = pa.timestamp("us", tz="UTC")
_TYPES = {
    **dict.fromkeys(("prediction", "score", "label"), pa.float64()),
    **dict.fromkeys(("event_time", "ingest_time"), _TIME),
    **dict.fromkeys(("batch_id", "payload_length"), pa.int64()),
    "payload": pa.binary(),
}


def prediction(number: int, **changes: Any) -> Row:
    """A prediction with every column that the stream writes."""
    row = {
        "id": f"m{number}",
        "text": f"tweet {number}",
        "prediction": 1.0,
        "sentiment": "positive",
        "score": 0.75,
        "label": None,
        "model_name": "best",
        "model_version": "1",
        "event_time": None,
        "ingest_time": START,
        "batch_id": 0,
        "query_id": "0123abcd-rest",
        "source": f"kafka:tweets/0/{number}",
    }
    return row | changes


def dead_letter(number: int, **changes: Any) -> Row:
    """A dead letter with every column that the stream writes."""
    row = {
        "payload": b"{",
        "payload_length": 1,
        "payload_sha256": "021fb596",
        "reason": "the message is broken JSON",
        "source": f"kafka:tweets/1/{number}",
        "ingest_time": START,
        "batch_id": 0,
        "query_id": "0123abcd-rest",
    }
    return row | changes


def some(count: int, seed: int = 7) -> tuple[list[Row], list[Row]]:
    """Predictions and dead letters of some days: gaps, two versions, few labels, scores on the edges of bins."""
    drawn = random.Random(seed)  # noqa: S311
    alive, dead = [], []
    for number in range(count):
        time = START + timedelta(seconds=drawn.randrange(3 * 86_400))
        if 4 <= time.hour < 9:
            time += timedelta(hours=5)
        moment = {"ingest_time": time, "batch_id": number // 20, "query_id": drawn.choice(["0123abcd", "4567abcd"])}
        if drawn.random() < 0.05:
            reason = drawn.choice(["there is no text", "the text is blank"])
            dead.append(dead_letter(number, reason=reason, payload_length=drawn.randrange(9), **moment))
            continue
        score = drawn.choice([drawn.random(), drawn.randrange(11) / 10])
        says = {"prediction": float(score > 0.5), "sentiment": "positive" if score > 0.5 else "negative"}
        # One day without labels.
        label = float(drawn.random() < score) if drawn.random() < 0.2 and time.day != 3 else None
        version = drawn.choice(["9", "10"])
        alive.append(prediction(number, score=score, label=label, model_version=version, **says, **moment))
    return alive, dead


def write(folder: Path, rows: list[Row], columns: list[str] = PREDICTION_COLUMNS) -> Path:
    """Rows under date=YYYY-MM-DD/ of their ingest_time, one file a day."""
    schema = pa.schema([(name, _TYPES.get(name, pa.string())) for name in columns if name != "date"])
    days: dict[str, list[Row]] = {}
    for row in rows:
        assert {*row, "date"} == set(columns)
        days.setdefault(f"date={row['ingest_time'].date()}", []).append(row)
    for day, of_day in days.items():
        (folder / day).mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(of_day, schema), folder / day / "0123abcd-00000000-0.parquet")
    return folder


def damage(file: Path) -> None:
    """Make zeros of a Parquet file but for its end, which is all that Spark reads at first."""
    content = file.read_bytes()
    rows = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    file.write_bytes(content[:4] + bytes(rows - 4) + content[rows:])
    file.with_name(f".{file.name}.crc").unlink(missing_ok=True)


def write_both(folder: Path, count: int = 3_000) -> Path:
    """`some` predictions, and their dead letters beside them."""
    alive, dead = some(count)
    write(folder.with_name(f"{folder.name}-dead-letters"), dead, DEAD_COLUMNS)
    return write(folder, alive)


def frame(folder: Path) -> pd.DataFrame:
    """All rows of a dataset, with their `date`."""
    parts = [
        pq.read_table(file, partitioning=None).to_pandas().assign(date=file.parent.name.removeprefix("date="))
        for file in sorted(folder.glob("date=*/*.parquet"))
    ]
    found: pd.DataFrame = pd.concat(parts, ignore_index=True)
    found["date"] = pd.to_datetime(found["date"]).dt.date
    return found


def figures(rows: pd.DataFrame, dead: pd.DataFrame, now: datetime, limit: int) -> dict[str, list[list[Any]]]:
    """What each query should give, by its name."""
    return {
        "staleness": [_staleness(rows, now, limit)],
        "throughput_per_hour": _throughput(rows),
        "accuracy_per_day": [
            [day, len(of_day), *_accuracy(of_day)] for day, of_day in rows.groupby("date") if of_day["label"].count()
        ],
        "prediction_distribution": [[day, *_distribution(of_day)] for day, of_day in rows.groupby("date")],
        "score_histogram": _histogram(rows),
        "model_versions": _versions(rows),
        "dead_letters": _dead(rows, dead),
    }


def _staleness(rows: pd.DataFrame, now: datetime, limit: int) -> list[Any]:
    newest = rows["ingest_time"].max()
    age = int(now.timestamp()) - int(newest.timestamp())
    return [len(rows), newest, age, age > limit]


def _throughput(rows: pd.DataFrame) -> list[list[Any]]:
    hours = rows["ingest_time"].dt.floor("h")
    every = pd.date_range(hours.min(), hours.max(), freq="h")
    counts = hours.value_counts().reindex(every, fill_value=0)
    batches = rows.assign(hour=hours).drop_duplicates(["hour", "query_id", "batch_id"])["hour"].value_counts()
    return [[hour, counts[hour], counts[hour] / 3600, batches.get(hour, 0)] for hour in every]


def _accuracy(rows: pd.DataFrame) -> list[Any]:
    known = rows.dropna(subset=["label"])
    right = int((known["label"] == known["prediction"]).sum())
    interval = binomtest(right, len(known)).proportion_ci(method="wilson")
    said, true = known["prediction"] == 1, known["label"] == 1
    return [
        len(known),
        right / len(known),
        interval.low,
        interval.high,
        true[said].mean() if said.any() else None,
        said[true].mean() if true.any() else None,
    ]


def _distribution(rows: pd.DataFrame) -> list[Any]:
    counts = rows["sentiment"].value_counts()
    unsure = ((rows["score"] >= 0.4) & (rows["score"] <= 0.6)).mean()
    positive = counts.get("positive", 0)
    return [len(rows), counts.get("negative", 0), positive, positive / len(rows), rows["score"].mean(), unsure]


def _histogram(rows: pd.DataFrame) -> list[list[Any]]:
    found = []
    for (name, version), of_version in rows.groupby(["model_name", "model_version"]):
        bins = pd.cut(of_version["score"], [*(place / 10 for place in range(10)), 1.01], right=False, labels=False)
        for place in sorted(bins.unique()):
            count = int((bins == place).sum())
            found.append([name, version, place / 10, count, count / len(of_version)])
    return sorted(found, key=lambda row: (row[0], int(row[1]), row[2]))


def _versions(rows: pd.DataFrame) -> list[list[Any]]:
    found = []
    for (name, version), part in rows.groupby(["model_name", "model_version"]):
        times, known = part["ingest_time"], part.dropna(subset=["label"])
        positive, right = (part["sentiment"] == "positive").mean(), (known["label"] == known["prediction"]).mean()
        row = [name, version, times.min(), times.max(), len(part), len(part) / len(rows), positive]
        found.append([*row, part["score"].mean(), len(known), right if len(known) else None])
    return sorted(found, key=lambda row: (row[2], row[0], row[1]))


def _dead(rows: pd.DataFrame, dead: pd.DataFrame) -> list[list[Any]]:
    messages = pd.concat([rows["date"], dead["date"]]).value_counts()
    found = [
        [day, reason, len(part), len(part) / messages[day], part["payload_length"].max(), part["source"].min()]
        for (day, reason), part in dead.groupby(["date", "reason"])
    ]
    return sorted(found, key=lambda row: (row[0], -row[2], row[1]))
