"""The Dataproc jobs of all DAGs, built here from settings; ci-cd/ submits the same ones.

Arguments that a setting leaves at the job script's own default are left out: with the same settings a DAG and
ci-cd/deploy-serving.sh come to the same arguments, and so to the same label `settings`.
"""

import hashlib
from typing import Any

from sentiment_dags.settings import Settings
from sentiment_dags.streams import KAFKA, Stream

TRAINING, GATE, SERVING, DRIFT, AUDIT = "training", "gate", "serving", "drift", "audit"
SCRIPTS = {
    TRAINING: "sentiment_multimodel.py",
    GATE: "promote-model.py",
    SERVING: "streaming_serving_mlflow_hdfs_kafka.py",
    DRIFT: "drift_report.py",
    AUDIT: "audit_predictions.py",
}
FAILURES_PER_HOUR = 10
"""How often Dataproc starts a failed stream again; the service allows no more."""


def code_folder(settings: Settings, revision: str) -> str:
    """Where the scripts of a revision are staged, as gs://."""
    return f"gs://{settings.code_bucket}/code/{revision}"


def training_arguments(settings: Settings, output: str) -> list[str]:
    """For code/sentiment_multimodel.py; `output` is a folder that it replaces."""
    return [
        *("--input", f"gs://{settings.data_bucket}/{settings.raw_data_prefix.strip('/')}"),
        *("--output", output),
        *("--mlflow-uri", settings.mlflow_tracking_uri),
        *("--registered-model-name", settings.training_model_name),
        *_ledger(settings),
        *("--models", settings.training_models),
        *settings.training_args,
    ]


def verdict(output: str) -> str:
    """Where the gate writes its decision about the training with that output."""
    return f"{output}-gate/verdict.json"


def gate_arguments(settings: Settings, version: str, output: str) -> list[str]:
    """For ci-cd/promote-model.py: whether a version of the trained model's best goes live.

    Args:
        settings: of the run.
        version: that the training has registered.
        output: of the training.
    """
    return [
        *("--mlflow-uri", settings.mlflow_tracking_uri),
        *("--model-name", f"{settings.training_model_name}-best"),
        *("--model-version", version),
        *("--verdict", verdict(output)),
        *_ledger(settings),
        *settings.gate_args,
    ]


def serving_arguments(settings: Settings, stream: Stream) -> list[str]:
    """For code/streaming_serving_mlflow_hdfs_kafka.py."""
    words = [
        *("--checkpoint", stream.checkpoint(settings)),
        *("--output-path", stream.output(settings)),
        *("--mlflow-uri", settings.mlflow_tracking_uri),
        *("--model-name", stream.model_name),
        *("--source-type", stream.source_type),
    ]
    if stream.source_type == KAFKA:
        words += ["--kafka-bootstrap", settings.kafka_bootstrap_servers, "--kafka-topic", stream.kafka_input_topic]
        words += ["--write-kafka", "--kafka-output-topic", stream.kafka_output_topic]
    else:
        words += ["--input-path", stream.input(settings)]
    if stream.model_alias:
        words += ["--model-alias", stream.model_alias]
    elif stream.model_stage != "Production":
        words += ["--model-stage", stream.model_stage]
    if stream.batch_interval != 30:
        words += ["--batch-interval-seconds", str(stream.batch_interval)]
    if stream.reload_interval != 300:
        words += ["--reload-interval-seconds", str(stream.reload_interval)]
    return words


def drift_arguments(settings: Settings, stream: Stream, report: str, until: str) -> list[str]:
    """For code/drift_report.py; `report` is the folder for its pages, `until` the end of the last window (ISO 8601)."""
    return [
        *("--input", stream.output(settings)),
        *("--output", report),
        *("--mlflow-uri", settings.mlflow_tracking_uri),
        *("--model-name", stream.model_name),
        *("--windows", str(settings.drift_windows)),
        *("--min-windows", str(settings.drift_min_windows)),
        *("--window-hours", str(settings.drift_window_hours)),
        *("--min-rows", str(settings.drift_min_rows)),
        *("--psi-threshold", f"{settings.drift_psi_threshold:g}"),
        *("--until", until),
        "--may-be-empty",  # a stream that has not begun yet
    ]


def audit_arguments(checkpoint: str, output: str, report: str, bootstrap: str, output_bootstrap: str = "") -> list[str]:
    """For code/audit_predictions.py; `report` is its JSON file, without a bootstrap no topic is looked at."""
    words = ["--checkpoint", checkpoint, "--output-path", output, "--report", report]
    words += ["--kafka-bootstrap", bootstrap] if bootstrap else []
    return words + (["--kafka-output-bootstrap", output_bootstrap] if output_bootstrap else [])


def digest(words: list[str]) -> str:
    """Twelve hex digits that tell one list of words from another; ci-cd/jobs.sh comes to the same."""
    return hashlib.sha256("".join(f"{word}\n" for word in words).encode()).hexdigest()[:12]


def job(settings: Settings, kind: str, words: list[str], revision: str, job_id: str) -> dict[str, Any]:
    """A job for DataprocSubmitJobOperator.

    Args:
        settings: of the run; its dataproc_properties go into the job.
        kind: training, gate, serving or drift.
        words: the script's arguments.
        revision: of the staged code, 12 hex digits.
        job_id: unique in the project: of two jobs with one id the second is refused.
    """
    reference = {"job_id": job_id, **({"project_id": settings.project_id} if settings.project_id else {})}
    return {
        "reference": reference,
        "placement": {"cluster_name": settings.cluster_name},
        "labels": {"suite": "sentiment", "job": kind, "revision": revision},
        "pyspark_job": {
            "main_python_file_uri": f"{code_folder(settings, revision)}/{SCRIPTS[kind]}",
            "args": words,
            "properties": settings.dataproc_properties,
        },
    }


def serving_job(settings: Settings, stream: Stream, revision: str, suffix: str) -> dict[str, Any]:
    """A stream's job: started again by the cluster when it fails, found again by its labels."""
    words = serving_arguments(settings, stream)
    properties = sorted(f"{name}={value}" for name, value in settings.dataproc_properties.items())
    hashed = digest([*words, *properties])
    made = job(settings, SERVING, words, revision, f"serving-{stream.name}-{hashed}-{suffix}")
    made["labels"] |= {"stream": stream.name, "settings": hashed}
    made["scheduling"] = {"max_failures_per_hour": FAILURES_PER_HOUR}
    return made


def _ledger(settings: Settings) -> list[str]:
    return ["--ledger", settings.ledger_uri] if settings.ledger_uri else []
