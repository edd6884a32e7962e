"""Notices: in the log always, by webhook and mail where asked for, and never a reason to fail."""

import email
import email.policy
import json
from urllib.error import URLError

import pytest
from airflow_run import Airflow
from notice_servers import mail_server, webhook
from sentiment_dags import notices
from services import free_port

MAIL = "AIRFLOW_CONN_SMTP_DEFAULT"
SECRET = "T0/B0/secret"  # noqa: S105  # pragma: allowlist secret  (no password: it shall not be shown)


def connection(port: int) -> str:
    extra = {"disable_ssl": True, "disable_tls": True, "from_email": "airflow@example.com", "timeout": 5}
    return json.dumps({"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": extra})


def test_a_run_is_told_in_the_log_to_the_webhook_and_by_mail(
    airflow: Airflow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with webhook() as hook, mail_server() as post:
        monkeypatch.setenv(MAIL, connection(post.port))
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://127.0.0.1:8080")
        monkeypatch.setenv("AIRFLOW_VAR_NOTIFY_WEBHOOK", f"http://127.0.0.1:{hook.port}/{SECRET}")
        states = airflow.run("noticing", {"notify_email": "team@example.com"})
    assert states == {"": "success", "work": "success", "notify": "success"}
    ((body,),) = [hook.got]
    subject, *lines = body["text"].splitlines()
    assert subject.startswith("noticing succeeded (manual__")
    assert lines[0] == "three rows"
    assert "/dags/noticing/runs/manual__" in lines[1]
    (mail,) = (email.message_from_string(text, policy=email.policy.default) for text in post.got)
    assert (mail["To"], mail["From"], mail["Subject"]) == ("team@example.com", "airflow@example.com", subject)
    content = mail.get_body()
    assert content is not None
    assert "three rows" in content.get_content()
    assert "three rows" in caplog.text
    assert SECRET not in caplog.text


def test_a_failed_run_is_told_with_the_task_that_failed_and_stays_failed(airflow: Airflow) -> None:
    with webhook() as hook:
        url = f"http://127.0.0.1:{hook.port}/"
        states = airflow.run("noticing", {"fails": "yes", "notify_webhook": url})
    assert states == {"": "failed", "work": "failed", "notify": "success"}
    subject, failed, *_ = hook.got[0]["text"].splitlines()
    assert subject.startswith("noticing failed (")
    assert failed == "failed: work"


def test_a_run_that_was_skipped_is_told_to_nobody(airflow: Airflow) -> None:
    with webhook() as hook:
        states = airflow.run("noticing", {"skips": "yes", "notify_webhook": f"http://127.0.0.1:{hook.port}/"})
    assert (states["work"], states["notify"], hook.got) == ("skipped", "success", [])


def test_a_notice_that_nobody_takes_fails_nothing_and_is_named_without_the_address(
    airflow: Airflow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with webhook(status=500) as hook, mail_server("no such user") as post:
        monkeypatch.setenv(MAIL, connection(post.port))
        url = f"http://127.0.0.1:{hook.port}/{SECRET}"
        states = airflow.run("noticing", {"notify_webhook": url, "notify_email": "nobody@example.com"})
        assert states[""] == "success"
    assert "notify_webhook: the notice could not be sent: HTTP 500" in caplog.text
    assert "notify_email: the notice could not be sent: {" in caplog.text
    assert "no such user" in caplog.text
    monkeypatch.delenv(MAIL)
    gone = f"http://127.0.0.1:{free_port()}/{SECRET}"
    assert airflow.run("noticing", {"notify_webhook": gone, "notify_email": "a@example.com"})[""] == "success"
    assert airflow.run("noticing", {"notify_webhook": f"ftp://example.com/{SECRET}"})[""] == "success"
    assert SECRET not in caplog.text
    assert "could not be sent: [Errno 111] Connection refused" in caplog.text
    assert "SMTP connection is not found" in caplog.text
    assert "want an http or https URL" in caplog.text


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (f"http://127.0.0.1:9/{SECRET} token", "InvalidURL"),
        (f"http://127.0.0.1:9x/{SECRET}", "InvalidURL"),
        (f"http://{SECRET.replace('/', '')}\u2100@127.0.0.1/", "ValueError"),
        (f"file:///{SECRET}", "want an http or https URL, found another scheme"),
    ],
)
def test_of_an_address_that_is_none_no_part_is_told(url: str, told: str) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011  whatever it is: how it is told counts
        notices.post(url, notices.Notice("s"))
    assert notices.reason(caught.value) == told
    assert notices.reason(URLError(f"unknown url type: {SECRET}")) == "URLError"
