"""The operator that reads a drift report out of the bucket."""

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator
from sentiment_dags import store
from sentiment_dags.drift import finding, said
from sentiment_dags.report_link import PAGE, ReportLink, browser_address

JSON = "report.json"


class ReadDriftReport(BaseOperator):
    """Reads report.json of a stream's drift check; gives what it says (`finding`).

    Args:
        stream: its name.
        report: gs:// folder of the report.
    """

    template_fields: Sequence[str] = ("stream", "report")
    operator_extra_links = (ReportLink(),)

    def __init__(self, *, stream: str, report: str, gcp_conn_id: str = store.CONNECTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stream = stream
        self.report = report
        self.gcp_conn_id = gcp_conn_id

    def execute(self, context: Any) -> dict[str, Any]:  # noqa: ARG002  the operator's interface
        """Read it. AirflowFailException: there is none, or it is none of ours."""
        from airflow.sdk.exceptions import AirflowFailException

        text = store.text(store.client(self.gcp_conn_id), f"{self.report}/{JSON}")
        if text is None:
            raise AirflowFailException(f"{self.report}/{JSON}: want what the job wrote, found nothing")
        try:
            found = finding(self.stream, self.report, text)
        except ValueError as error:
            raise AirflowFailException(str(error)) from error
        self.log.info("%s (%s)", said(found), browser_address(f"{self.report}/{PAGE}"))
        return found
