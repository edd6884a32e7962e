"""A run that ends with a notice, after a task that fails or skips where the run's conf says so (`fails`, `skips`)."""

from datetime import datetime
from typing import Any

from airflow.sdk import Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["tests"],
    doc_md=__doc__,
    params={name: Param("", type="string") for name in ("fails", "skips", "notify_webhook", "notify_email")},
)
def noticing() -> None:
    @task
    def work(**context: Any) -> None:
        if context["params"]["fails"]:
            raise ValueError("no such column")
        if context["params"]["skips"]:
            raise AirflowSkipException("it is the hour, but nothing is to be done")

    @task
    def notify() -> None:
        from sentiment_dags import notices

        notices.tell(get_current_context(), ["three rows"])

    work() >> notify().as_teardown()


noticing()
