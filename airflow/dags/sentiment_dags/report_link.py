"""The button "Report" on the page of a task that has stored a report."""

import os
from typing import Any

from airflow.sdk import BaseOperatorLink

PAGE = "report.html"


def browser_address(uri: str) -> str:
    """Where a browser finds a gs:// object: Google's page for it, or the local store's."""
    store = os.environ.get("STORAGE_EMULATOR_HOST", "").rstrip("/") or "https://storage.cloud.google.com"
    return f"{store}/{uri.removeprefix('gs://')}"


class ReportLink(BaseOperatorLink):
    """Leads to the page in the folder `report` of an operator; empty, where it has stored none."""

    name = "Report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002  the link's interface
        return browser_address(f"{operator.report}/{PAGE}") if operator.report else ""
