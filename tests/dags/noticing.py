"""A run that ends with a notice, after a task that fails where the run's conf says so (`fails`)."""

from datetime import datetime
from typing import Any

from airflow.sdk import Param, dag, get_current_context, task


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["tests"],
    doc_md=__doc__,
    params={name: Param("", type="string") for name in ("fails", "notify_webhook", "notify_email")},
)
def noticing() -> None:
    @task
    def work(**context: Any) -> None:
        if context["params"]["fails"]:
            raise ValueError("no such column")

    @task
    def notify() -> None:
        from sentiment_dags import notices

        notices.tell(get_current_context(), ["three rows"])

    work() >> notify().as_teardown()


noticing()
