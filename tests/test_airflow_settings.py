"""The DAGs' settings: Param before Variable before default; what does not fit is named."""

import json
import re
from typing import Any

import pytest
from sentiment_dags import settings as module
from sentiment_dags.settings import described, need, read, restored
from sentiment_dags.streams import streams
from sentiment_dags.variables import SettingsError
from services import ROOT

LOCAL = {"mlflow_tracking_uri": "http://127.0.0.1:5000", "kafka_bootstrap_servers": "127.0.0.1:9092"}


def settings(params: dict[str, Any] | None = None, **variables: Any) -> module.Settings:
    return read(params or {}, {**LOCAL, **variables}.get)


def test_a_param_comes_before_the_variable_and_an_empty_one_stands_for_the_next() -> None:
    found = settings({"region": "europe-west1", "cluster_name": ""}, region="us-east1", cluster_name="mine")
    assert (found.region, found.cluster_name) == ("europe-west1", "mine")
    assert settings({"region": None}, region="").region == "us-central1"


def test_values_have_their_types_as_text_and_as_params() -> None:
    found = settings({"serving_batch_interval": 0, "create_cluster": False, "dataproc_properties": {"spark.x": 1}})
    assert (found.serving_batch_interval, found.create_cluster) == (0, False)
    assert found.dataproc_properties == {"spark.x": "1"}
    assert settings(training_args='["--max-rows", "10"]').training_args == ["--max-rows", "10"]


def test_what_the_first_task_read_comes_through_xcom_whole() -> None:
    found = settings(serving_models='["a", {"model_name": "b"}]', dataproc_properties='{"spark.x": true}')
    assert restored(json.loads(json.dumps(described(found)))) == found
    assert found.dataproc_properties == {"spark.x": "true"}


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("serving_source_type", "xml", "file or kafka"),
        ("serving_batch_interval", "-1", "seconds, at least 0"),
        ("serving_batch_interval", "1.5", "seconds, at least 0"),
        ("serving_reload_interval", "0", "seconds, at least 1"),
        ("serving_deploy_mode", "prod", "test or production"),
        ("serving_model_stage", "Archived", "Production or Staging"),
        ("serving_model_name", "models:/m", "a name without / : ? ' and \""),
        ("training_model_name", "bob's", "a name without / : ? ' and \""),
        ("create_cluster", "yes", "true or false"),
        ("cluster_name", f"c{'x' * 52}", "a cluster's name"),
        ("cluster_name", "mine-", "a cluster's name"),
        ("raw_data_prefix", "gs://other/bucket", "a folder in data_bucket"),
        ("ledger_uri", "ledger", "gs://BUCKET/FOLDER"),
        ("kafka_bootstrap_servers", "broker", "host:port of a broker"),
        ("kafka_input_topic", "a b", "a topic's name"),
        ("cluster_workers", "1", "0 (one machine) or a whole number, at least 2"),
        ("code_bucket", "gs://code", "the name of a bucket"),
        ("dataproc_properties", "spark.x=1", "a JSON object"),
        ("dataproc_properties", '{"spark.x": [1]}', "a JSON object"),
        ("dataproc_properties", '{"spark.x": null}', "a JSON object"),
        ("training_args", '"--max-rows 10"', "a JSON list"),
        ("training_models", "gbt,xgboost", "names out of logisticregression"),
        ("serving_models", "{}", "a JSON list"),
        ("drift_psi_threshold", "0", "a number above 0"),
        ("drift_psi_threshold", "nan", "a number above 0"),
        ("drift_windows", "many", "a whole number, at least 1"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_what_is_allowed(name: str, value: str, wanted: str) -> None:
    with pytest.raises(SettingsError) as variable:
        read({}, {**LOCAL, name: value}.get)
    assert str(variable.value).startswith(f"Variable {name}: want {wanted}")
    assert str(variable.value).endswith(f"found {value!r}")
    with pytest.raises(SettingsError, match=f"^Param {name}: want {re.escape(wanted)}"):
        settings({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cluster_name", f"c{'x' * 51}"),
        ("raw_data_prefix", "/raw data/"),
        ("kafka_bootstrap_servers", "b-1.example.com:9092,[::1]:9092"),
        ("kafka_output_topic", "a.b_c-1"),
    ],
)
def test_a_value_that_just_fits_is_taken(name: str, value: str) -> None:
    assert getattr(settings({name: value}), name) == value


def test_more_drifted_windows_than_windows_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"^Variable drift_min_windows: want at most drift_windows \(2\), found 3"):
        settings(drift_windows="2")


def test_what_a_dag_needs_and_nobody_set_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^Variable mlflow_tracking_uri: want an MLflow server, found nothing"):
        need(settings(mlflow_tracking_uri=""), "region", "mlflow_tracking_uri")


def test_kafka_wants_a_broker_and_files_do_not() -> None:
    with pytest.raises(SettingsError, match=r"^Variable kafka_bootstrap_servers: want host:port of a broker, found no"):
        streams(settings(kafka_bootstrap_servers=""))
    (stream,) = streams(settings(kafka_bootstrap_servers="", serving_source_type="file"))
    assert stream.input(settings()) == "gs://sentiment-bucket-streaming-input/twitter-sentiment-model-best"


def test_each_of_several_streams_has_its_own_places_and_what_it_does_not_say_from_the_variables() -> None:
    models = ["first", {"model_name": "Second", "stream": "two", "model_alias": "challenger", "batch_interval": 5}]
    found = settings(serving_models=json.dumps(models), serving_batch_interval="60")
    first, second = streams(found)
    assert (first.name, first.model_alias, first.batch_interval) == ("first", "", 60)
    assert (second.name, second.model_name) == ("two", "Second")
    assert (second.model_alias, second.batch_interval) == ("challenger", 5)
    assert second.checkpoint(found) == "gs://sentiment-bucket-checkpoint/checkpoint/two"
    assert second.output(found) == "gs://sentiment-bucket-predictions/predictions/two"


@pytest.mark.parametrize(
    ("models", "line"),
    [
        (["a", "a"], "want each stream once, found a again"),
        (["Upper"], "want a stream's name .* found 'Upper'"),
        ([{"model_name": "a", "topic": "t"}], "want keys out of stream, .* found topic"),
        ([{"model_name": "a", "source_type": "xml"}], "want source_type to be file or kafka, found 'xml'"),
    ],
)
def test_a_stream_that_does_not_fit_is_named(models: list[Any], line: str) -> None:
    with pytest.raises(SettingsError, match=f"^Variable serving_models: {line}"):
        streams(settings(serving_models=json.dumps(models)))


def test_a_topic_is_not_read_and_written() -> None:
    with pytest.raises(SettingsError, match=r"^Variable kafka_output_topic: want another topic than kafka_input_topic"):
        streams(settings(kafka_output_topic="sentiment-input"))


def test_the_example_holds_every_variable_with_its_default() -> None:
    example = json.loads((ROOT / "airflow" / "variables.example.json").read_text(encoding="utf-8"))
    assert example == module.defaults()
    assert read({}, example.get) == read({}, lambda _: None)


def test_variables_are_read_from_airflow(airflow: object, monkeypatch: pytest.MonkeyPatch) -> None:
    del airflow
    monkeypatch.setenv("AIRFLOW_VAR_REGION", "asia-east1")
    assert (read({}).region, read({}).cluster_name) == ("asia-east1", "sentiment-cluster")
