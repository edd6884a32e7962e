"""Linear models scored in the driver say what Spark says, row by row, and only those that are known to."""

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chaos.zoo import NAME, PROBE_LIKE, Zoo
from pyspark.ml import PipelineModel, Transformer
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from sentiment import features, models
from sentiment.registry import ODD_TEXTS
from sentiment.sample import sample_rows
from sentiment.serving import held, linear, parsing, scoring, tables
from sentiment.serving.linear import Linear
from sentiment.serving.models import Copies, Registry
from sentiment.serving.models import check as model_check
from sentiment.serving.parsing import REASON
from sentiment.serving.scoring import Loaded
from sentiment.serving.settings import KAFKA, ModelChoice, Source
from sentiment.text import tokens as in_tokens

pytestmark = [
    pytest.mark.spark,
    pytest.mark.skipif(not held.CAN_COLLECT, reason="Spark 3.5 holds every batch in the executors"),
]
TWEETS = [row[5] for row in sample_rows(600, 7) if len(row) == 6 and row[5]]
ODD = [text for text in ODD_TEXTS if text] + [
    "",
    " ",
    "a\u2028b\u00a0c",
    "\U0001f600 \U0001f600",
    "so so so so good good",
]


@pytest.fixture(scope="module")
def front(spark: SparkSession) -> list[Transformer]:
    """Stages from text to features, whose vocabulary comes from the tweets."""
    frame = spark.createDataFrame([(text,) for text in [*TWEETS, *PROBE_LIKE]], "text string")
    tokens = linear.with_tokens(frame, in_tokens("text")).select(features.TOKENS)
    vectorising = features.vectorisers(spark, features.vocabulary(tokens, 500), len(TWEETS))
    return [*features.tokenising(), *vectorising]


def pipeline(spark: SparkSession, front: list[Transformer], name: str, **changes: Any) -> PipelineModel:
    """The suite's LR, or its SVC with a calibrator, on a few rows."""
    rows = [(text, float("love" in text or place % 3 == 0)) for place, text in enumerate(TWEETS)]
    frame = spark.createDataFrame(rows, "text string, label double").coalesce(1)
    vectors = PipelineModel(front).transform(frame).select("inner_input.label", features.FEATURES).persist()
    estimator: Any = models.spec(name, len(rows), 42).estimator
    tail = [estimator.fit(vectors)]
    if name == models.LINEAR_SVC:
        tail.append(models.calibrator().fit(tail[0].transform(vectors)))
    tail[-1].set(tail[-1].threshold, changes.get("threshold", 0.5))
    vectors.unpersist()
    return PipelineModel([*front, *tail, features.finishing(models.PREDICTION, models.PROBABILITY)])


def numbers_of(model: PipelineModel) -> Linear:
    found = linear.of(model)
    assert found is not None
    return found


@pytest.mark.parametrize("name", models.LINEAR)
def test_every_row_gets_the_score_that_spark_gives_it(spark: SparkSession, front: list[Transformer], name: str) -> None:
    model = pipeline(spark, front, name)
    frame = spark.createDataFrame([(text,) for text in [*TWEETS, *ODD, None]], "text string").coalesce(1)
    sparks = np.array([(row.prediction, row.probability[1]) for row in model.transform(frame).collect()])
    numbers = numbers_of(model)
    tokens: Any = linear.with_tokens(frame, numbers.tokens).select(features.TOKENS).toArrow()
    prediction, score = numbers.scores(tokens[features.TOKENS])
    assert len(score) == len(TWEETS) + len(ODD) + 1
    assert 0 < prediction.sum() < len(prediction)
    np.testing.assert_array_equal(prediction, sparks[:, 0])
    np.testing.assert_allclose(score, sparks[:, 1], rtol=0, atol=1e-14)
    assert len(np.unique(score.round(6))) > 300


def test_only_pipelines_of_the_suite_s_own_make_are_taken(spark: SparkSession, front: list[Transformer]) -> None:
    whole = pipeline(spark, front, models.LOGISTIC_REGRESSION)
    stages: list[Any] = list(whole.stages)
    assert linear.of(whole)
    assert linear.of(PipelineModel(stages[:-1])) is None
    assert linear.of(PipelineModel([*stages[:2], *stages[3:]])) is None
    assert linear.of(PipelineModel([*stages[:-1], features.finishing(models.PREDICTION, "inner_raw")])) is None
    assert linear.of(pipeline(spark, front, models.LOGISTIC_REGRESSION, threshold=0.6)) is None
    counting = stages[1].copy().setBinary(True)
    assert linear.of(PipelineModel([stages[0], counting, *stages[2:]])) is None
    other = stages[0].copy().setStatement(stages[0].getStatement().replace("concat(words", "concat(reverse(words)"))
    assert linear.of(PipelineModel([other, *stages[1:]])) is None


def test_of_a_model_of_another_release_it_is_told_that_spark_scores_it(
    spark: SparkSession, front: list[Transformer], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first, *rest = pipeline(spark, front, models.LOGISTIC_REGRESSION).stages
    other: Any = first.copy()
    other.setStatement(other.getStatement().replace("concat(words", "concat(reverse(words)"))
    monkeypatch.setattr(logging.getLogger("sentiment"), "propagate", True)
    with caplog.at_level(logging.INFO):
        for version, stages in (("7", [other, *rest]), ("8", [other, *rest[1:]]), ("9", [first, *rest[:-1]])):
            assert linear.checked(PipelineModel(stages), version, pytest.fail) is None
    told = "version 7 is scored by Spark's stages, which take longer: another release made it, train again"
    assert {record.message for record in caplog.records if "version" in record.message} == {told}


def test_a_model_whose_sums_differ_from_spark_s_is_scored_by_spark(
    spark: SparkSession, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    choice = ModelChoice(zoo.uri, NAME)
    copies = Copies(spark, str(tmp_path), choice)
    copies.add(Registry(zoo.client, choice), "1")
    copies.add(Registry(zoo.client, choice), "3")
    assert copies.load(NAME, "1", "spark").linear
    assert copies.load(NAME, "3", "spark").linear is None
    right = Linear.scores
    monkeypatch.setattr(Linear, "scores", lambda self, tokens: (right(self, tokens)[0], right(self, tokens)[1] + 1e-9))
    monkeypatch.setattr(logging.getLogger("sentiment"), "propagate", True)
    with caplog.at_level(logging.WARNING):
        assert copies.load(NAME, "1", "spark").linear is None
    assert "version 1 is scored by Spark alone: sums in the driver differ" in caplog.text


def test_a_model_that_cannot_be_made_numbers_is_scored_by_spark(
    spark: SparkSession, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = ModelChoice(zoo.uri, NAME)
    copies = Copies(spark, str(tmp_path), choice)
    copies.add(Registry(zoo.client, choice), "1")

    def fail(_: PipelineModel) -> Linear:
        raise RuntimeError("multinomial models contain a matrix of coefficients")

    monkeypatch.setattr(linear, "of", fail)
    loaded = copies.load(NAME, "1", "spark")
    assert loaded.linear is None
    model_check(spark, loaded)


def messages(spark: SparkSession, values: list[str]) -> DataFrame:
    """Parsed messages of two days."""
    times = [datetime(2026, 3, 1 + n % 2, 23, 59, 59, 999_999, tzinfo=UTC) for n in range(len(values))]
    sent = [(bytearray(each.encode()), f"kafka:t/0/{n}", times[n]) for n, each in enumerate(values)]
    frame = spark.createDataFrame(sent, "payload binary, source string, ingest_time timestamp").coalesce(1)
    return parsing.parse(frame, Source(KAFKA), 1000)


GOOD = [
    {"id": "a", "text": 'I love "this" \u2665 \\ / \t\u0001', "timestamp": "2026-03-01T10:00:00.5Z", "label": 4},
    {"text": "no id, no time"},
    {"id": '\u4f60 "c"', "text": "na\u00efve \u4f60\u597d so sad", "label": "0"},
]
SAID = ("prediction", "score", "sentiment")
BAD = ['{"id": "d", "text": 5}', "broken \u2665", ""]


@pytest.fixture(scope="module")
def loaded(spark: SparkSession, front: list[Transformer]) -> Loaded:
    model = pipeline(spark, front, models.LOGISTIC_REGRESSION)

    def apply(rows: DataFrame) -> DataFrame:
        found = model.transform(rows)
        return found.select(*rows.columns, "prediction", vector_to_array(F.col("probability"))[1].alias("score"))

    return Loaded("m", "7", apply, linear.of(model))


def both(parsed: DataFrame, loaded: Loaded, max_bytes: int, max_dead_bytes: int) -> tuple[Any, Any]:
    """A batch's table as it is made here, and as Spark makes it."""
    how = (loaded, 3, "0123abcd-rest", max_bytes, max_dead_bytes)
    assert loaded.linear is not None
    here = tables.score(linear.with_tokens(parsed, loaded.linear.tokens), loaded.linear, *how)
    return here, scoring.score(parsed, *how).toArrow()


@pytest.mark.parametrize(("max_bytes", "max_dead_bytes"), [(0, 0), (10_000, 0), (10_000, 10_000), (0, 1_080)])
@pytest.mark.parametrize(
    "values", [[*map(json.dumps, GOOD), *BAD], [json.dumps(GOOD[0])], BAD, []], ids=["all", "good", "bad", "none"]
)
def test_the_table_is_the_one_that_spark_makes(
    spark: SparkSession, loaded: Loaded, values: list[str], max_bytes: int, max_dead_bytes: int
) -> None:
    here, sparks = both(messages(spark, values), loaded, max_bytes, max_dead_bytes)
    assert here.num_rows == len(values)
    assert set(here.column_names) == set(sparks.column_names)
    for name in sparks.column_names:
        assert here[name].type == sparks[name].type, name
    for ours, theirs in zip(here.to_pylist(), sparks.to_pylist(), strict=True):
        record, expected = (row.pop("inner_value", None) for row in (ours, theirs))
        said, sparks_say = ({name: row.pop(name) for name in SAID} for row in (ours, theirs))
        assert ours == theirs
        if ours[REASON] is None:  # of what is refused Spark's model says something too, which nobody reads
            assert said == pytest.approx(sparks_say, abs=1e-14)
            assert (record is not None) == (expected is not None) == bool(max_bytes)
        if record is None or ours[REASON] is not None:
            assert record == expected
        else:
            assert list(json.loads(record)) == list(json.loads(expected))
            assert json.loads(record) == pytest.approx(json.loads(expected), abs=1e-14)


@pytest.mark.parametrize("year", ["0001", "9999", "12000"])
def test_times_that_only_spark_writes_are_left_to_it(spark: SparkSession, loaded: Loaded, year: str) -> None:
    value = json.dumps(
        {"id": "a", "text": "good day", "timestamp": f"{'+' if len(year) > 4 else ''}{year}-06-01T00:00:00Z"}
    )
    here, sparks = both(messages(spark, [value]), loaded, 10_000, 0)
    assert (here is None) == (year == "12000")
    if here is not None:
        assert json.loads(here["inner_value"][0].as_py()) == json.loads(sparks["inner_value"][0].as_py())


def test_a_record_that_its_topic_would_refuse_is_left_to_spark(spark: SparkSession, loaded: Loaded) -> None:
    parsed = messages(spark, [json.dumps({"id": "a", "text": "x" * 900})])
    sparks = both(parsed, loaded, 10_000, 0)[1]
    size = len(sparks["inner_value"][0].as_py()) + len("a") + len("kafka:t/0/0") + scoring.HEADER_BYTES
    assert both(parsed, loaded, size + 5, 0)[0] is not None
    here, sparks = both(parsed, loaded, size - 5, 0)
    assert here is None
    assert "larger than the topic" in sparks[REASON][0].as_py()


def test_a_dead_letter_s_payload_is_cut_to_what_its_topic_takes(spark: SparkSession, loaded: Loaded) -> None:
    for table in both(messages(spark, ["x" * 5_000]), loaded, 0, 3_000):
        (row,) = table.to_pylist()
        assert 2_700 < len(row["inner_value"]) + 2 * len(row["source"]) + scoring.HEADER_BYTES <= 3_000
        assert len(row["payload"]) == json.loads(row["inner_value"])["payload_length"] == 5_000


def test_times_are_kept_to_the_microsecond(spark: SparkSession, loaded: Loaded) -> None:
    here, _ = both(messages(spark, [json.dumps(GOOD[1])]), loaded, 10_000, 0)
    arrived = datetime(2026, 3, 2, tzinfo=UTC) - timedelta(microseconds=1)
    assert here["ingest_time"][0].as_py() == arrived
    assert json.loads(here["inner_value"][0].as_py())["ingest_time"] == "2026-03-01T23:59:59.999999Z"


def test_a_model_that_cuts_texts_in_another_way_than_the_query_is_given_its_own_tokens(
    spark: SparkSession, loaded: Loaded
) -> None:
    assert loaded.linear is not None
    sent = [
        (bytearray(b'{"id": "a", "text": "Good day"}'), "t", 0, 5, datetime(2026, 3, 1, tzinfo=UTC)),
        (None, "t", 0, 6, None),
    ]
    kinds = "value binary, topic string, partition int, offset long, timestamp timestamp"
    arriving, source = spark.createDataFrame(sent, kinds).coalesce(1), Source(KAFKA)
    of_query = parsing.of_stream(arriving, source, 1000, loaded.linear.tokens)
    of_another = parsing.of_stream(arriving, source, 1000, "split('something else', ' ')")
    assert parsing.of_batch(of_another, source, 1000, {}).columns == parsing.COLUMNS
    anew = linear.with_tokens(parsing.of_batch(of_another, source, 1000, {}), loaded.linear.tokens)
    expected, *others = (
        tables.score(rows, loaded.linear, loaded, 3, "0123abcd-rest") for rows in (of_query, anew, of_another)
    )
    assert expected is not None
    assert expected.num_rows == 2
    assert [expected.equals(other) for other in others] == [True, False]
