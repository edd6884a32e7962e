"""What the training DAG does between its operators: the plan of a run, its jobs, and what came of them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sentiment_dags import jobs, models, store
from sentiment_dags.on_this_machine import check_arguments
from sentiment_dags.settings import Settings, described, need, read, restored

INIT_ACTION = "init-conda-spark-nlp-mlflow.sh"
REQUIREMENTS = "requirements-cluster.txt"
SCRIPTS = (jobs.SCRIPTS[jobs.TRAINING], jobs.SCRIPTS[jobs.GATE])
IDLE_SECONDS = 3600
"""After which Dataproc itself deletes a run's cluster that nobody deleted."""


def plan(params: Mapping[str, Any], run_id: str, day: str) -> dict[str, Any]:
    """What a run works with, for its later tasks; nothing was made yet.

    Args:
        params: of the run.
        run_id: Airflow's; two runs never share a job, a cluster or an output.
        day: of the run, YYYYMMDD, for names.

    Returns:
        settings (with the run's own cluster), name, output, create, cluster_name, region, project_id, scripts.

    Raises:
        SettingsError: a Variable or Param does not fit.
        RegistryError: the Variable mlflow_tracking_uri leads to no MLflow.
        AwayError: MLflow does not answer now.
    """
    settings = read(params)
    need(settings, "mlflow_tracking_uri")
    models.client(settings.mlflow_tracking_uri)
    name = f"training-{day}-{hashlib.sha256(run_id.encode()).hexdigest()[:10]}"
    if settings.create_cluster:
        settings = replace(settings, cluster_name=name)
    output = f"gs://{settings.models_bucket}/training/{name}"
    if settings.training_args:
        words = jobs.training_arguments(settings, output)
        check_arguments("Variable training_args", jobs.SCRIPTS[jobs.TRAINING], words)
    if settings.gate_args:
        check_arguments("Variable gate_args", jobs.SCRIPTS[jobs.GATE], jobs.gate_arguments(settings, "1", output))
    return {
        "settings": described(settings),
        "name": name,
        "output": output,
        "create": settings.create_cluster,
        "cluster_name": settings.cluster_name,
        "region": settings.region,
        "project_id": settings.project_id,
        "scripts": [*SCRIPTS, *((INIT_ACTION, REQUIREMENTS) if settings.create_cluster else ())],
    }


def cluster_config(settings: Settings, revision: str) -> dict[str, Any]:
    """A cluster of a run's own, as ci-cd/create-cluster.sh makes one."""
    folder, machine = jobs.code_folder(settings, revision), settings.cluster_machine_type
    workers = {"num_instances": settings.cluster_workers, "machine_type_uri": machine}
    alone = {"dataproc:dataproc.allow.zero.workers": "true"}
    metadata = {"REQUIREMENTS_GCS_URI": f"{folder}/{REQUIREMENTS}", **settings.cluster_metadata}
    zone = {"zone_uri": settings.cluster_zone} if settings.cluster_zone else {}
    return {
        "gce_cluster_config": {"metadata": metadata, **zone},
        "master_config": {"num_instances": 1, "machine_type_uri": machine},
        **({"worker_config": workers} if settings.cluster_workers else {}),
        "software_config": {
            "image_version": settings.cluster_image,
            "properties": {} if settings.cluster_workers else alone,
        },
        "initialization_actions": [
            {"executable_file": f"{folder}/{INIT_ACTION}", "execution_timeout": {"seconds": 600}}
        ],
        "lifecycle_config": {"idle_delete_ttl": {"seconds": IDLE_SECONDS}},
    }


def training_job(plan: Mapping[str, Any], revision: str) -> dict[str, Any]:
    """The job that trains; a number is added to its id."""
    settings = restored(plan["settings"])
    words = jobs.training_arguments(settings, plan["output"])
    return jobs.job(settings, jobs.TRAINING, words, revision, plan["name"])


def gate_job(plan: Mapping[str, Any], revision: str, versions: Mapping[str, str]) -> dict[str, Any]:
    """The job that decides about what was trained."""
    settings = restored(plan["settings"])
    words = jobs.gate_arguments(settings, versions[best(settings)], plan["output"])
    return jobs.job(settings, jobs.GATE, words, revision, f"gate-{plan['name']}")


def best(settings: Settings) -> str:
    """The registered model that goes live."""
    return f"{settings.training_model_name}-best"


def registered(plan: Mapping[str, Any]) -> dict[str, str]:
    """Version by registered model, as the training wrote them down and the registry holds them.

    Raises:
        RegistryError: one is missing.
    """
    settings = restored(plan["settings"])
    run = _read(f"{plan['output']}/run.json")
    return models.verified(models.client(settings.mlflow_tracking_uri), settings.training_model_name, run)


def decision(plan: Mapping[str, Any], versions: Mapping[str, str]) -> dict[str, Any]:
    """What the gate decided, and what is live now.

    Returns:
        model, version (of this training), champion (the version that is live), moved (whether it is this one), lines
        (the gate's own).

    Raises:
        RegistryError: no verdict, or the champion is not what it says.
    """
    settings = restored(plan["settings"])
    model, version = best(settings), versions[best(settings)]
    return chosen(models.client(settings.mlflow_tracking_uri), model, version, _read(jobs.verdict(plan["output"])))


def chosen(registry: Any, model: str, version: str, verdict: Mapping[str, Any]) -> dict[str, Any]:
    """What `decision` gives, of a gate's verdict about a version; RegistryError: the registry says otherwise."""
    champion = models.champion(registry, model)
    if verdict["challenger"] != version or (verdict["promoted"] and champion != version):
        raise models.RegistryError(
            f"{model}: want version {version} decided about and, if promoted, live; found a verdict about version "
            f"{verdict['challenger']} and version {champion or 'none'} live"
        )
    lines = [str(line) for line in verdict["lines"]]
    return {"model": model, "version": version, "champion": champion, "moved": champion == version, "lines": lines}


def told(decided: Mapping[str, Any] | None, reason: str) -> list[str]:
    """The lines of a run's notice."""
    lines = [f"triggered because: {reason}"] if reason else []
    if decided is None:
        return [*lines, "nothing was decided: the champion is what it was"]
    kept = f"is kept as challenger; version {decided['champion'] or 'none'} stays champion"
    what = "is the champion now" if decided["moved"] else kept
    return [*lines, f"{decided['model']}: version {decided['version']} {what}", *decided["lines"]]


def _read(uri: str) -> dict[str, Any]:
    found = store.text(store.client(), uri)
    if found is None:
        raise models.RegistryError(f"want {uri}, found none: the job is DONE and did not write it")
    content: dict[str, Any] = json.loads(found)
    return content
