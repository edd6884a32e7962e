"""The drift DAG whole: real spark-submits on predictions like the training's texts, unlike them, and too few."""

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import prediction_files
import pytest
from airflow_run import Airflow
from dag_world import World, running
from gcs_service import Gcs
from mlflow.tracking import MlflowClient
from prediction_files import prediction

from sentiment import evaluation
from sentiment.evaluation import TokenCounts
from sentiment.scores import Scores

pytestmark = pytest.mark.dags

DAG = "sentiment_drift_retraining"
TRAINING = "sentiment_ml_training_pipeline"
MODEL = "watched-best"
UNTIL = datetime(2026, 11, 8, tzinfo=UTC)
ROWS, FEW = 600, 50
BUCKET = "sentiment-bucket-predictions"
WORDS = ["sun", "rain", "cake", "bus", "late", "happy", "tired", "song", "home", "work", "friend", "movie"]


def text(drawn: random.Random) -> str:
    """Some of WORDS; every word is one token."""
    return " ".join(drawn.sample(WORDS, drawn.randint(3, 9)))


def shifted(drawn: random.Random) -> str:
    """Twice as long."""
    return f"{text(drawn)} {text(drawn)}"


def score(drawn: random.Random) -> float:
    return drawn.betavariate(2, 2)


def profile() -> dict[str, Any]:
    """What a training would have written down about 2,000 such texts."""
    drawn = random.Random(1)  # noqa: S311
    texts = [text(drawn) for _ in range(2_000)]
    scores = np.array([score(drawn) for _ in texts])
    found = [set(each.split()) for each in texts]
    top = {word: sum(word in each for each in found) for word in WORDS}
    said = (scores > 0.5).astype(float)
    rows = Scores([str(place) for place in range(len(texts))], texts, said, scores, said)
    return evaluation.profile(rows, TokenCounts(len(texts), sum(map(len, found)), top))


@pytest.fixture(scope="module")
def world(airflow: Airflow, gcs: Gcs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One champion in the registry, with the profile of its training."""
    with running(airflow, gcs, tmp_path_factory.mktemp("world")) as made:
        client = MlflowClient(made.mlflow_uri, made.mlflow_uri)
        run = client.create_run("0").info
        client.log_dict(run.run_id, profile(), "profile.json")
        client.create_registered_model(MODEL)
        client.create_model_version(MODEL, f"{run.artifact_uri}/model", run.run_id)
        client.set_registered_model_alias(MODEL, "champion", "1")
        yield made


def predict(world: World, stream: str, rows: int, made: Callable[[random.Random], str], folder: Path) -> None:
    """Write predictions of a stream on the day before UNTIL into its bucket."""
    drawn = random.Random(2)  # noqa: S311
    day = {"model_name": MODEL, "ingest_time": UNTIL - timedelta(hours=9)}
    found = [prediction(place, text=made(drawn), score=score(drawn), **day) for place in range(rows)]
    for path in prediction_files.write(folder / stream, found).glob("date=*/*.parquet"):
        world.upload(path, BUCKET, f"predictions/{stream}/{path.parent.name}/{path.name}")


def ran(world: World, *streams: str) -> dict[str, str]:
    """Run the DAG for these streams; the states of its tasks."""
    wanted = [{"model_name": MODEL, "stream": name, "source_type": "file"} for name in streams]
    rule = {"drift_windows": "1", "drift_min_windows": "1", "until": UNTIL.isoformat()}
    return world.run(DAG, serving_models=json.dumps(wanted), **rule)


def report(world: World, stream: str) -> Any:
    """The one report of a stream in the bucket; its page is beside it."""
    (figures,) = [name for name in world.objects(BUCKET, f"reports/drift/{stream}/") if name.endswith(".json")]
    assert figures.replace(".json", ".html") in world.objects(BUCKET, figures.removesuffix(".json"))
    return world.read(BUCKET, figures)


def ended(world: World) -> dict[str, str]:
    """The state of each stream's one job."""
    found = world.jobs("drift")
    states = {job.labels["stream"]: str(job.status.state.name) for job in found}
    assert len(states) == len(found)
    return states


def trainings() -> list[Any]:
    """The runs of the training pipeline that anybody asked for."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = list(session.scalars(select(DagRun).where(DagRun.dag_id == TRAINING)))
        session.expunge_all()
    return found


def test_traffic_like_the_training_and_too_little_of_it_ask_for_no_training(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predict(world, "calm", ROWS, text, tmp_path)
    predict(world, "quiet", FEW, shifted, tmp_path)
    before = len(trainings())
    states = ran(world, "calm", "quiet", "unborn")
    assert states.pop("retrain") == "skipped"
    assert set(states.values()) == {"success"}
    verdicts = {name: report(world, name)["verdict"] for name in ("calm", "quiet", "unborn")}
    assert verdicts == {"calm": "no drift", "quiet": "too few rows", "unborn": "too few rows"}
    assert ended(world) == dict.fromkeys(verdicts, "DONE")
    assert len(trainings()) == before
    found = "0 of the last 1 windows have 500 rows of version 1 or more, 1 are wanted"
    assert f"too few rows in stream quiet ({MODEL} version 1): {found}; gs://" in caplog.text


def test_traffic_unlike_the_training_asks_for_one_and_says_why_though_another_stream_cannot_be_read(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(world, "changed", ROWS, shifted, tmp_path)
    (tmp_path / "broken.parquet").write_text("no Parquet", encoding="utf-8")
    world.upload(tmp_path / "broken.parquet", BUCKET, "predictions/broken/date=2026-11-07/a.parquet")
    monkeypatch.setattr(world.airflow.dag(DAG).get_task("check.compare"), "retries", 0)
    states = ran(world, "changed", "broken")
    red = {"": "failed", "check.compare[1]": "failed", "check.read[1]": "upstream_failed"}
    assert {name: state for name, state in states.items() if state != "success"} == {
        **red,
        "all_checked": "upstream_failed",
    }
    found = report(world, "changed")
    assert (found["verdict"], found["windows"][0]["rows"]) == ("drift", ROWS)
    (asked,) = [run for run in trainings() if "stream changed" in str(run.conf)]
    assert asked.conf["training_model_name"] == "watched"
    why = f"drift in stream changed ({MODEL} version 1): PSI above 0.2: text_length in 1 of "
    assert asked.conf["reason"].startswith(why)
    assert asked.conf["reason"].endswith("/report.html")
    assert asked.state == "queued"
    assert "a training of watched was asked for" in caplog.text
    assert ended(world)["changed"] == "DONE"
