"""### Train on Dataproc, and let the result go live if it is better

Looks at the raw tweets in the bucket, makes a cluster (or takes the one that is there), stages the code, trains, checks
that the registry holds what was trained, lets the gate decide, deletes the cluster whatever happened, and tells.
Where the champion moved, the asset `sentiment-model` is updated; DAGs that deploy it may follow.

**Rerun** whenever you like: a retry attaches to the job that an earlier try submitted. To train again trigger a new
run; clearing the tasks of an old one gives the same job's result.

**Health**: red means that no decision was taken and the champion is what it was: the log of the red task ends with the
driver's last lines. A skipped `announce` means that the gate kept the champion; `decide` says why.
Settings: Variables, or Params of the same names for one run. Docs: *Operate*.
"""

from datetime import datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import Metadata, Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from sentiment_dags.assets import MODEL
from sentiment_dags.operators import AttachingSubmitJobOperator, ClusterGoneOperator, ClusterOperator
from sentiment_dags.params import params

HEEDS = (
    *("project_id", "region", "create_cluster", "cluster_name", "cluster_image", "cluster_machine_type"),
    *("cluster_workers", "cluster_zone", "cluster_metadata", "code_bucket", "code_revision", "data_bucket"),
    *("raw_data_prefix", "models_bucket", "mlflow_tracking_uri", "ledger_uri", "dataproc_properties"),
    *("training_model_name", "training_models", "training_args", "gate_args", "notify_webhook", "notify_email"),
)
REASON = Param("", type=["string", "null"], title="reason", description="why this run was triggered, for its notice")


@task
def settings() -> dict[str, Any]:
    """Reads and checks every setting; asks MLflow whether it is there."""
    from sentiment_dags import training
    from sentiment_dags.models import RegistryError
    from sentiment_dags.variables import SettingsError

    context = get_current_context()
    run = context["dag_run"]
    try:
        return training.plan(context["params"], run.run_id, f"{run.run_after:%Y%m%d}")
    except (RegistryError, SettingsError) as error:
        raise AirflowFailException(str(error)) from None


@task
def check_data(plan: dict[str, Any]) -> dict[str, int]:
    """Columns, labels and rows of the first megabytes of the raw tweets."""
    from sentiment_dags import contract
    from sentiment_dags.settings import restored

    try:
        return contract.check(restored(plan["settings"]))
    except contract.ContractError as error:
        raise AirflowFailException(str(error)) from None


@task
def stage_code(plan: dict[str, Any]) -> str:
    """Package and scripts under the revision's path; the revision."""
    from sentiment_dags import staging
    from sentiment_dags.settings import restored
    from sentiment_dags.variables import SettingsError

    try:
        return staging.staged(restored(plan["settings"]), plan["scripts"])
    except SettingsError as error:
        raise AirflowFailException(str(error)) from None


@task
def cluster_config(plan: dict[str, Any], revision: str) -> Any:
    """The cluster of this run, should it make one."""
    from sentiment_dags import training
    from sentiment_dags.settings import restored

    return training.cluster_config(restored(plan["settings"]), revision)


@task
def training_job(plan: dict[str, Any], revision: str) -> Any:
    """The job that trains, as Dataproc takes it."""
    from sentiment_dags import training

    return training.training_job(plan, revision)


@task
def verify(plan: dict[str, Any]) -> Any:
    """That the registry holds every version of this training, whole."""
    from sentiment_dags import training

    return training.registered(plan)


@task
def gate_job(plan: dict[str, Any], revision: str, versions: Any) -> Any:
    """The job that decides, as Dataproc takes it."""
    from sentiment_dags import training

    return training.gate_job(plan, revision, versions)


@task
def decide(plan: dict[str, Any], versions: Any) -> Any:
    """What the gate decided, and what is live now."""
    from sentiment_dags import training

    decided = training.decision(plan, versions)
    print("\n".join(training.told(decided, "")))
    return decided


@task(outlets=[MODEL])
def announce(decided: Any) -> Any:
    """Updates the asset where the champion moved; skipped where it did not."""
    if not decided["moved"]:
        raise AirflowSkipException(f"version {decided['champion'] or 'none'} stays champion")
    yield Metadata(MODEL, {"model": decided["model"], "version": decided["version"]})


@task(retries=0)
def notify() -> None:
    """Tells how the run went; never fails it."""
    from sentiment_dags import notices, training

    context = get_current_context()
    decided = context["ti"].xcom_pull(task_ids="decide")
    notices.tell(context, training.told(decided, str(context["params"].get("reason") or "")))


@dag(
    dag_id="sentiment_ml_training_pipeline",
    schedule="@weekly",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["sentiment", "training", "dataproc"],
    doc_md=__doc__,
    params={"reason": REASON, **params(*HEEDS)},
    default_args={
        "owner": "sentiment",
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=10),
    },
)
def training_pipeline() -> None:
    plan: Any = settings()
    place = {"region": plan["region"], "project_id": plan["project_id"]}
    revision: Any = stage_code(plan)
    cluster = {"cluster_name": plan["cluster_name"], "wanted": plan["create"], **place}
    # Whoever gets here is followed by delete_cluster, even if create_cluster fails: it may have left half a cluster.
    cluster_due = EmptyOperator(task_id="cluster_due")
    create_cluster = ClusterOperator(
        task_id="create_cluster",
        cluster_config=cluster_config(plan, revision),
        labels={"suite": "sentiment"},
        **cluster,
    )
    to_train: Any = training_job(plan, revision)
    train = AttachingSubmitJobOperator(task_id="train", job=to_train, deferrable=True, **place)
    versions: Any = verify(plan)
    to_judge: Any = gate_job(plan, revision, versions)
    gate = AttachingSubmitJobOperator(task_id="gate", job=to_judge, deferrable=True, **place)
    decided = decide(plan, versions)
    delete_cluster = ClusterGoneOperator(task_id="delete_cluster", **cluster).as_teardown(
        setups=[cluster_due, create_cluster], on_failure_fail_dagrun=True
    )
    check_data(plan) >> cluster_due >> create_cluster >> train >> versions >> gate >> [decided, delete_cluster]
    [announce(decided), delete_cluster] >> notify().as_teardown()


training_pipeline()
