"""What the tasks of the drift DAG do, between Airflow's context and drift.py."""

import logging
from collections.abc import Sequence
from typing import Any

from sentiment_dags import drift, jobs, staging
from sentiment_dags.settings import described, read, restored
from sentiment_dags.streams import streams
from sentiment_dags.variables import SettingsError

log = logging.getLogger(__name__)
LINES = "lines"


def settings(context: Any) -> dict[str, Any]:
    """The settings, region and project, and the end of the last window, `until`. AirflowFailException: one is wrong."""
    from airflow.sdk.exceptions import AirflowFailException

    try:
        found = read(context["params"])
        streams(found)
        until = drift.moment(context["params"], context["dag_run"].run_after)
        return {**described(found), "region": found.region, "project_id": found.project_id, "until": until}
    except SettingsError as error:
        raise AirflowFailException(str(error)) from None


def stage_code(found: dict[str, Any]) -> str:
    """The revision of the code that lies in the bucket now. AirflowFailException: there is none."""
    from airflow.sdk.exceptions import AirflowFailException

    try:
        return staging.staged(restored(found), [jobs.SCRIPTS[jobs.DRIFT]])
    except SettingsError as error:
        raise AirflowFailException(str(error)) from None


def plan(context: Any, found: dict[str, Any], revision: str) -> list[dict[str, Any]]:
    """stream, report and job of each check."""
    return drift.checks(restored(found), str(context["run_id"]), found["until"], revision)


def decide(context: Any, findings: Sequence[dict[str, Any]] | dict[str, Any] | None) -> list[dict[str, Any]]:
    """The trainings to ask for, none where nothing has drifted; what was found goes to the log, and to `outcome`.

    Checks that failed have left nothing; AirflowSkipException: all have.
    """
    from airflow.sdk.exceptions import AirflowSkipException

    # Of a mapped group of one, Airflow passes on the one result, not a list of it.
    findings = [findings] if isinstance(findings, dict) else [each for each in findings or [] if each]
    if not findings:
        raise AirflowSkipException("no check has come to its end")
    lines = drift.summary(findings)
    for line in lines:
        log.info("%s", line)
    context["ti"].xcom_push(key=LINES, value=lines)
    return drift.retrainings(findings, str(context["run_id"]))


def outcome(context: Any) -> list[str]:
    """The lines of `decide`; none where it did not run."""
    return list(context["ti"].xcom_pull(task_ids="decide", key=LINES) or [])
