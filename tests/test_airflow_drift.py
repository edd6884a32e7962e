"""What the drift DAG asks for, and what it makes of the reports; no task is run."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import drift_report
import pytest
from airflow.configuration import conf
from airflow.sdk.exceptions import AirflowSkipException
from sentiment_dags import drift, drift_tasks
from sentiment_dags.settings import Settings, read
from sentiment_dags.variables import SettingsError

DUE = datetime(2026, 11, 21, 0, 0, 0, 123456, tzinfo=UTC)
RUN = "scheduled__2026-11-21"
MODELS = ["a-best", {"model_name": "a-best", "stream": "b"}, {"model_name": "by-hand", "stream": "c"}]


def settings() -> Settings:
    known = {
        "serving_models": json.dumps(MODELS),
        "serving_source_type": "file",
        "mlflow_tracking_uri": "http://m:5000",
    }
    return read({}, known.get)


def report(verdict: str = drift.DRIFT, **changes: Any) -> str:
    held = {"model_name": "a-best", "model_version": "3", "verdict": verdict, "reason": "why", "windows": [{"rows": 7}]}
    return json.dumps(held | changes)


@pytest.mark.parametrize(
    ("until", "moment"),
    [
        ("", "2026-11-21T00:00:00Z"),
        (None, "2026-11-21T00:00:00Z"),
        ("2026-11-20", "2026-11-20T00:00:00Z"),
        ("2026-11-20T12:00:00+02:00", "2026-11-20T10:00:00Z"),
    ],
)
def test_windows_end_when_the_run_was_due_or_at_the_moment_given(until: str | None, moment: str) -> None:
    assert drift.moment({"until": until}, DUE) == moment


@pytest.mark.parametrize("until", ["yesterday", "9999-12-31T23:00-05:00"])
def test_a_moment_that_is_none_is_named(until: str) -> None:
    with pytest.raises(SettingsError, match=rf"^Param until: want a moment like .*, found '{until}'$"):
        drift.moment({"until": until}, DUE)


def test_each_stream_has_a_job_and_a_report_of_its_own_the_same_in_every_try() -> None:
    asked = drift.checks(settings(), RUN, "2026-11-21T00:00:00Z", "0123456789ab")
    assert asked == drift.checks(settings(), RUN, "2026-11-21T00:00:00Z", "0123456789ab")
    assert [each["stream"] for each in asked] == ["a-best", "b", "c"]
    for each in asked:
        args = drift_report.parse_args(each["job"]["pyspark_job"]["args"])
        assert args.input == f"gs://sentiment-bucket-predictions/predictions/{each['stream']}"
        assert (args.output, args.may_be_empty) == (each["report"], True)
        assert each["report"].startswith(
            f"gs://sentiment-bucket-predictions/reports/drift/{each['stream']}/2026-11-21T000000Z-"
        )
        assert each["job"]["labels"] == {
            "suite": "sentiment",
            "job": "drift",
            "revision": "0123456789ab",
            "stream": each["stream"],
        }
    other = drift.checks(settings(), "manual__1", "2026-11-21T00:00:00Z", "0123456789ab")
    ids = {each["job"]["reference"]["job_id"] for each in (*asked, *other)}
    assert len(ids) == len({each["report"] for each in (*asked, *other)}) == 6


def test_a_model_that_drifted_in_two_streams_is_trained_once_for_both_reasons() -> None:
    findings = [drift.finding(stream, f"gs://p/{stream}", report()) for stream in ("a", "b")]
    (asked,) = drift.retrainings(findings, RUN)
    assert asked["conf"] == {
        "reason": "drift in stream a (a-best version 3): why; gs://p/a/report.html; "
        "drift in stream b (a-best version 3): why; gs://p/b/report.html",
        "training_model_name": "a",
    }
    assert asked["note"] == asked["conf"]["reason"]
    assert drift.retrainings(findings, RUN) == [asked]
    assert drift.retrainings(findings, "manual__1")[0]["trigger_run_id"] != asked["trigger_run_id"]


def test_whatever_a_model_is_called_airflow_takes_the_id_of_its_training() -> None:
    names = ["Tweets DE", "tweets,de", "ツイート", "tweets"]
    found = [drift.finding("s", "gs://p/s", report(model_name=f"{name}-best")) for name in names]
    asked = drift.retrainings(found, RUN)
    assert [each["conf"]["training_model_name"] for each in asked] == names
    ids = {each["trigger_run_id"] for each in asked}
    assert len(ids) == len(names)
    assert [each for each in ids if not re.match(conf.get("scheduler", "allowed_run_id_pattern"), each)] == []


@pytest.mark.parametrize("verdict", [drift.NO_DRIFT, drift.TOO_FEW])
def test_other_verdicts_ask_for_nothing(verdict: str) -> None:
    found = drift.finding("a", "gs://p/a", report(verdict))
    assert drift.retrainings([found], RUN) == []
    assert drift.summary([found]) == [f"{verdict} in stream a (a-best version 3): why; gs://p/a/report.html"]


def test_a_model_that_no_training_makes_is_told_and_not_trained() -> None:
    found = drift.finding("c", "gs://p/c", report(model_name="by-hand"))
    assert drift.retrainings([found], RUN) == []
    assert drift.summary([found])[1] == "  no training makes by-hand (want a name that ends in -best): nothing was done"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"verdict": "drift"}', report("perhaps")])
def test_a_report_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"^gs://p/a/report\.json: want "):
        drift.finding("a", "gs://p/a", text)


class Told:
    """As much of a task instance as a decision wants."""

    def xcom_push(self, **_: Any) -> None:
        """Nothing."""


@pytest.mark.parametrize("came", [json.loads(report()), [json.loads(report()), None]])
def test_what_the_checks_that_were_made_have_found_is_decided_about(came: Any) -> None:
    found = came[0] if isinstance(came, list) else came
    found |= {"stream": "a", "report": "gs://p/a"}
    context = {"ti": Told(), "run_id": RUN}
    assert drift_tasks.decide(context, came) == drift.retrainings([found], RUN)
    nothings: tuple[Any, ...] = (None, [], [None])
    for nothing in nothings:
        with pytest.raises(AirflowSkipException, match="no check has come to its end"):
            drift_tasks.decide(context, nothing)
