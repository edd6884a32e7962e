"""What a run tells people at its end: always the task's log, a webhook and mail where Variables name them.

A notice that cannot be sent is a warning in the log, never a failure. The webhook's address stays out of logs and
XCom: for Slack and its like it is a secret.
"""

import dataclasses
import html
import json
import logging
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import Any
from urllib.parse import quote, urlsplit

from sentiment_dags.settings import airflow_variable
from sentiment_dags.variables import as_text

log = logging.getLogger(__name__)

SECONDS = 10.0
"""How long a webhook is waited for; the mail server's patience is the connection's."""

MAIL_CONNECTION = "smtp_default"
FAILED = ("failed", "upstream_failed")
SKIPPED = "skipped"


@dataclasses.dataclass(frozen=True)
class Notice:
    """A subject of one line, and the lines below it."""

    subject: str
    lines: Sequence[str] = ()

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join([self.subject, *self.lines])


def tell(context: Mapping[str, Any], lines: Sequence[str] = ()) -> Notice:
    """The last task of a DAG calls this: tell how the run went, by whatever ways the Variables name.

    Of a run whose first task has skipped it only the log tells.

    Args:
        context: of the task.
        lines: what came of the run, for people.

    Returns:
        What was told. Nothing is raised for a notice that could not be sent.
    """
    states = _states(context)
    notice = of_run(context, states, lines)
    log.info("%s", notice.text)
    if set(states.values()) == {SKIPPED}:
        log.info("the run was skipped: nobody is told")
        return notice
    for name, send in (("notify_webhook", post), ("notify_email", mail)):
        try:
            where = as_text(context["params"].get(name)) or as_text(airflow_variable(name))
            if where:
                send(where, notice)
                log.info("%s: told", name)
        except Exception as error:  # noqa: BLE001  whatever it is, the run went as it went
            log.warning("%s: the notice could not be sent: %s", name, reason(error))
    return notice


def of_run(context: Mapping[str, Any], states: Mapping[str, str], lines: Sequence[str]) -> Notice:
    """The notice about the run that `context` belongs to: which tasks failed, what came of it, where its page is."""
    from airflow.sdk.configuration import conf

    dag_id, run_id = context["dag"].dag_id, str(context["run_id"])
    failed = sorted(name for name, state in states.items() if state == FAILED[0])
    stopped = any(state in FAILED for state in states.values())
    told = [f"failed: {', '.join(failed)}"] if failed else []
    base = conf.get("api", "base_url", fallback="")
    page = [f"{base.rstrip('/')}/dags/{dag_id}/runs/{quote(run_id, safe='')}"] if base else []
    return Notice(f"{dag_id} {'failed' if stopped else 'succeeded'} ({run_id})", [*told, *lines, *page])


def _states(context: Mapping[str, Any]) -> dict[str, str]:
    """The state of each of the run's tasks but the one that asks."""
    task, run_id = context["ti"], str(context["run_id"])
    found = task.get_task_states(dag_id=context["dag"].dag_id, run_ids=[run_id]).get(run_id, {})
    return {name: str(state) for name, state in found.items() if name != task.task_id}


def post(url: str, notice: Notice) -> None:
    """POST the notice as Slack's incoming webhooks take it: {"text": ...}. OSError or ValueError: it was not taken."""
    body = json.dumps({"text": notice.text}).encode()
    try:
        if urlsplit(url).scheme in ("http", "https"):
            request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310  checked above
            with urllib.request.urlopen(request, timeout=SECONDS):  # noqa: S310
                return
    except (ValueError, HTTPException) as error:  # these quote the address, or a part of it
        raise ValueError(type(error).__name__) from None
    raise ValueError("want an http or https URL, found another scheme")


def mail(address: str, notice: Notice) -> None:
    """Mail the notice through the connection smtp_default; whatever the SMTP provider raises: it was not taken."""
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    with SmtpHook(MAIL_CONNECTION) as hook:
        hook.send_email_smtp(
            to=address,
            subject=notice.subject,
            html_content=f"<pre>{html.escape(notice.text)}</pre>",
            from_email=hook.from_email or address,
        )


def reason(error: Exception) -> str:
    """An error in a line that holds no address."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    said = str(cause if isinstance(cause, Exception) else "").partition("\n")[0][:200]
    return type(error).__name__ if not said or "://" in said else said
