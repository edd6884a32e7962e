"""The Variables of all DAGs: names, defaults and what they may hold, here and nowhere else.

`read` belongs into a DAG's first task: a Param of the same name that is not empty comes before the Variable, an empty
Variable stands for the default. Nothing is read when a DAG file is parsed. What it gives can go through XCom
(`described`, `restored`), so that later tasks see what the first one saw.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

from sentiment_dags.variables import (
    BUCKET,
    SettingsError,
    arguments,
    as_text,
    boolean,
    fitting,
    names,
    one_of,
    positive,
    properties,
    text,
    variable,
    whole,
)

FILE, KAFKA = "file", "kafka"
HIDDEN = "secret_settings"
"""Logs and Rendered Templates hide what has such a name, XCom pages do not: an address should hold no password."""

TEST, PRODUCTION = "test", "production"
BUCKET_NAME = ("the name of a bucket", fitting(BUCKET))
TOPIC = ("a topic's name", fitting(re.compile(r"[a-zA-Z0-9._-]{1,249}")))
BROKERS = re.compile(r"[^\s,]+:[0-9]{1,5}(?:,[^\s,]+:[0-9]{1,5})*")
MODEL_NAME = ("a name without / : ? ' and \"", fitting(re.compile(r"[^/:?'\"\x00-\x1f]+")))
ALL_MODELS = "logisticregression,linearsvc,randomforest,gbt"


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a run works with. Texts may be empty where the default is; buckets are names without gs://."""

    project_id: str = variable("", "a project id", text, "Google Cloud project (default: the connection's)")
    region: str = variable("us-central1", "a region", fitting(re.compile(r"[a-z0-9-]+")), "region of the cluster")
    cluster_name: str = variable(
        "sentiment-cluster",
        "a cluster's name (at most 52 of a-z, 0-9 and -)",
        fitting(re.compile(r"[a-z](?:[a-z0-9-]{0,50}[a-z0-9])?")),
        "cluster that jobs run on",
    )
    create_cluster: bool = variable(
        "true", "true or false", boolean, "make a cluster for each training and delete it afterwards"
    )
    cluster_image: str = variable(
        "3.0-debian12", "an image version", fitting(re.compile(r"[0-9a-z.-]+")), "Dataproc image of such a cluster"
    )
    cluster_machine_type: str = variable(
        "n2-standard-4", "a machine type", fitting(re.compile(r"[a-z0-9-]+")), "machines of such a cluster"
    )
    cluster_workers: int = variable(
        "2", "0 (one machine) or a whole number, at least 2", whole(0, never=1), "its primary workers"
    )
    cluster_zone: str = variable(
        "", "a zone", fitting(re.compile(r"[a-z0-9-]+")), "zone of such a cluster (default: Dataproc chooses)"
    )
    cluster_metadata: dict[str, str] = variable(  # noqa: RUF009
        "{}",
        'a JSON object such as {"WHEELS_GCS_URI": "gs://BUCKET/wheels"}',
        properties,
        "more metadata of its machines, as ci-cd/init-actions/ reads it where they cannot reach the internet",
    )
    code_revision: str = variable(
        "",
        "a revision such as 0123456789ab",
        fitting(re.compile(r"[a-z0-9_-]{1,63}")),
        "staged revision that jobs run (default: that of the checkout the DAGs lie in, staged by the run)",
    )
    code_bucket: str = variable("sentiment-bucket-code", *BUCKET_NAME, "bucket for staged code")
    data_bucket: str = variable("sentiment-bucket-data", *BUCKET_NAME, "bucket of the raw tweets")
    raw_data_prefix: str = variable(
        "data_raw/sentiment140", "a folder in data_bucket", fitting(re.compile(r"(?!.*//).+")), "where in it they lie"
    )
    models_bucket: str = variable("sentiment-bucket-models", *BUCKET_NAME, "bucket for what trainings write")
    checkpoint_bucket: str = variable("sentiment-bucket-checkpoint", *BUCKET_NAME, "bucket for checkpoints of streams")
    predictions_bucket: str = variable("sentiment-bucket-predictions", *BUCKET_NAME, "bucket for predictions")
    streaming_input_bucket: str = variable(
        "sentiment-bucket-streaming-input", *BUCKET_NAME, "bucket that file streams watch, a folder per stream"
    )
    mlflow_tracking_uri: str = variable(
        "", "an MLflow server", text, "MLflow tracking server, as the cluster reaches it"
    )
    ledger_uri: str = variable(
        "",
        "gs://BUCKET/FOLDER",
        fitting(re.compile(r"gs://[^/\s]+/\S+")),
        "record of what was live (default: beside the artifacts)",
    )
    dataproc_properties: dict[str, str] = variable(  # noqa: RUF009  a field
        "{}", 'a JSON object such as {"spark.executor.memory": "4g"}', properties, "Spark properties of every job"
    )
    training_model_name: str = variable(
        "twitter-sentiment-model", *MODEL_NAME, "prefix of the trained models in the registry"
    )
    training_models: str = variable(
        ALL_MODELS,
        f"names out of {ALL_MODELS}",
        fitting(re.compile(rf"(?:{ALL_MODELS.replace(',', '|')})(?:,(?:{ALL_MODELS.replace(',', '|')}))*")),
        "which classifiers are trained, comma-separated",
    )
    training_args: list[str] = variable(  # noqa: RUF009
        "[]", 'a JSON list such as ["--max-rows", "100000"]', arguments, "more arguments for the training job"
    )
    gate_args: list[str] = variable(  # noqa: RUF009
        "[]", 'a JSON list such as ["--min-accuracy", "0.75"]', arguments, "more arguments for the gate"
    )
    serving_deploy_mode: str = variable(
        TEST, f"{TEST} or {PRODUCTION}", one_of([TEST, PRODUCTION]), "test shows what would be submitted, no more"
    )
    serving_model_name: str = variable("twitter-sentiment-model-best", *MODEL_NAME, "registered model to serve")
    serving_model_stage: str = variable(
        "Production", "Production or Staging", one_of(["Production", "Staging"]), "which of its versions"
    )
    serving_model_alias: str = variable("", "an alias", text, "alias to follow instead of the stage")
    serving_source_type: str = variable(
        KAFKA, f"{FILE} or {KAFKA}", one_of([FILE, KAFKA]), "where the messages come from"
    )
    serving_batch_interval: int = variable("30", "seconds, at least 0", whole(0), "seconds between batches")
    serving_reload_interval: int = variable(
        "300", "seconds, at least 1", whole(1), "seconds between looks at the alias"
    )
    serving_auto_deploy: bool = variable("false", "true or false", boolean, "deploy when the champion has moved")
    serving_management_hourly: bool = variable(
        "false", "true or false", boolean, "report on the streams every hour, not only by hand"
    )
    serving_models: list[Any] = variable(  # noqa: RUF009
        "[]", 'a JSON list such as ["model-a", {"model_name": "b", "stream": "b2"}]', names, "several streams at once"
    )
    kafka_bootstrap_servers: str = variable(
        "", "host:port of a broker", fitting(BROKERS), "broker, as the cluster reaches it; several with commas"
    )
    kafka_input_topic: str = variable("sentiment-input", *TOPIC, "topic of the messages")
    kafka_output_topic: str = variable("sentiment-predictions", *TOPIC, "topic of the predictions")
    drift_psi_threshold: float = variable("0.2", "a number above 0", positive, "index above which a window has drifted")
    drift_windows: int = variable("7", "a whole number, at least 1", whole(1), "windows that are looked at (M)")
    drift_min_windows: int = variable("3", "a whole number, at least 1", whole(1), "drifted windows that count (N)")
    drift_window_hours: int = variable("24", "hours, at least 1", whole(1), "length of a window")
    drift_min_rows: int = variable("500", "a whole number, at least 1", whole(1), "rows that a window must have")
    notify_webhook: str = variable("", "a URL", text, "URL that takes Slack's JSON; none: task log only")
    notify_email: str = variable("", "an address", text, "mail address; none: task log only")


def defaults() -> dict[str, str]:
    """Every Variable with its default, as airflow/variables.example.json holds them."""
    return {found.name: found.metadata["default"] for found in dataclasses.fields(Settings)}


def airflow_variable(name: str) -> Any:
    """The Variable's value, None where there is none."""
    from airflow.sdk import Variable

    return Variable.get(name, default=None)


def read(params: Mapping[str, Any], lookup: Callable[[str], Any] = airflow_variable) -> Settings:
    """The settings of a run: Param, else Variable, else default. SettingsError names the first that does not fit."""
    found: dict[str, Any] = {}
    for each in dataclasses.fields(Settings):
        source, value = f"Param {each.name}", as_text(params.get(each.name))
        if not value:
            source, value = f"Variable {each.name}", as_text(lookup(each.name))
        value = value or each.metadata["default"]
        try:
            found[each.name] = each.metadata["parse"](value) if value else ""
        except ValueError:
            raise SettingsError(f"{source}: want {each.metadata['wanted']}, found {value!r}") from None
    if found["drift_min_windows"] > found["drift_windows"]:
        raise SettingsError(
            f"Variable drift_min_windows: want at most drift_windows ({found['drift_windows']}), "
            f"found {found['drift_min_windows']}"
        )
    return Settings(**found)


def need(settings: Settings, *wanted: str) -> None:
    """SettingsError names the first of these Variables that is empty."""
    for each in dataclasses.fields(Settings):
        if each.name in wanted and not getattr(settings, each.name):
            raise SettingsError(f"Variable {each.name}: want {each.metadata['wanted']}, found nothing")


def described(settings: Settings) -> dict[str, Any]:
    """The settings for XCom, without the webhook's address, which is a secret: notices.py reads it for itself."""
    return {HIDDEN: {**dataclasses.asdict(settings), "notify_webhook": ""}}


def restored(described: Mapping[str, Any]) -> Settings:
    """The settings out of XCom."""
    return Settings(**described[HIDDEN])
