"""### Train on this machine

The chain of `make run`, task by task, with the tweets of `data_raw/`: clean, divide, train, check that the registry
holds what was trained, let the gate decide. It wants the Java that Spark runs on and no cloud at all: it reads no
Variable and no connection but those for notices, and refuses a Param with `gs://` or another URL in it.

**Rerun** whenever you like: every step replaces what it wrote; a training registers new versions.

**Health**: red means that the champion is what it was: the red task's log ends with the script's own line of error.
`gate` tells whether the new version went live, and why not.
"""

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

PARAMS = {
    "data": Param(
        "",
        type=["string", "null"],
        description="CSV file or folder of raw tweets (default: data_raw/sentiment140, else data_raw/sample)",
    ),
    "folder": Param(
        "", type=["string", "null"], description="folder for everything that is written (default: the checkout's own)"
    ),
    "model_name": Param(
        "twitter-sentiment-model",
        type="string",
        pattern="^[^/:?'\"]+$",
        description="prefix of the models in the registry, without / : ? ' and \"",
    ),
    "training_args": Param([], type="array", description="more arguments for code/train_and_log.py, a list"),
    "gate_args": Param([], type="array", description="more arguments for ci-cd/promote-model.py, a list"),
    "notify_webhook": Param("", type=["string", "null"], description="URL that takes Slack's JSON (else the Variable)"),
    "notify_email": Param("", type=["string", "null"], description="mail address (else the Variable)"),
}


@task
def settings() -> dict[str, Any]:
    """Where everything lies."""
    from sentiment_dags import local_training
    from sentiment_dags.variables import SettingsError

    try:
        return local_training.plan(get_current_context()["params"])
    except SettingsError as error:
        raise AirflowFailException(str(error)) from None


@task
def preprocess(plan: dict[str, Any]) -> None:
    """Cleans the raw tweets, checks their data contract."""
    from sentiment_dags import local_training

    local_training.preprocess(plan)


@task
def create_splits(plan: dict[str, Any]) -> None:
    """Divides them into train, dev and test."""
    from sentiment_dags import local_training

    local_training.create_splits(plan)


@task
def train(plan: dict[str, Any]) -> None:
    """Trains the classifiers and registers them."""
    from sentiment_dags import local_training

    local_training.train(plan)


@task
def verify(plan: dict[str, Any]) -> Any:
    """That the registry holds every version of this training, whole."""
    from sentiment_dags import local_training

    return local_training.verify(plan)


@task
def gate(plan: dict[str, Any], versions: Any) -> Any:
    """Promotes the best one if it is fit, and tells why not."""
    from sentiment_dags import local_training

    return local_training.gate(plan, versions)


@task(retries=0)
def notify() -> None:
    """Tells how the run went; never fails it."""
    from sentiment_dags import notices, training

    context = get_current_context()
    notices.tell(context, training.told(context["ti"].xcom_pull(task_ids="gate"), ""))


@dag(
    dag_id="sentiment_training_local",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["sentiment", "training", "local"],
    doc_md=__doc__,
    params=PARAMS,
    default_args={
        "owner": "sentiment",
        "retries": 1,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": True,
    },
)
def training_local() -> None:
    plan: Any = settings()
    versions = verify(plan)
    decided = gate(plan, versions)
    preprocess(plan) >> create_splits(plan) >> train(plan) >> versions
    decided >> notify().as_teardown()


training_local()
