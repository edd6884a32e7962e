"""Filters of list calls, and when a failed job is started again: no server."""

from datetime import UTC, datetime

import pytest
from dataproc import filters
from dataproc.errors import ApiError
from dataproc.lifecycle import verdict
from google.cloud import dataproc_v1 as dp

STATES = {"ACTIVE": {"RUNNING", "PENDING"}, "RUNNING": {"RUNNING"}}
THING = filters.Filtered(
    "RUNNING", {"env": "staging", "starred": ""}, {"clusterName": "mine"}, datetime(2026, 11, 21, 12, tzinfo=UTC)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("status.state = ACTIVE", True),
        ("status.state=RUNNING", True),
        ("status.state = ACTIVE AND labels.env = staging AND labels.starred = *", True),
        ("status.state = ACTIVE labels.env = prod", False),
        ("labels.env:staging", True),
        ("labels.env = STAGING", False),
        ("labels.absent = *", False),
        ("clusterName = mine AND labels.env", True),
        ("clusterName = 'other'", False),
        ('insertTime >= "2026-11-21T12:00:00Z"', True),
        ('insertTime < "2026-11-21T12:00:00Z" AND status.state = *', False),
    ],
)
def test_a_filter_means_what_the_service_documents(text: str, expected: bool) -> None:
    conditions = filters.parse(text, STATES, ["clusterName"], timed=True)
    assert filters.matches(conditions, STATES, THING) is expected


@pytest.mark.parametrize(
    "text",
    [
        "status.state = ASLEEP",
        "owner = me",
        "labels. = x",
        "AND",
        "status.state = ACTIVE AND",
        "status.state = ACTIVE OR labels.env = staging",
        "status.state != ACTIVE",
        'insertTime > "yesterday"',
        "labels.env = 'open",
    ],
)
def test_what_is_no_filter_is_refused_and_named(text: str) -> None:
    with pytest.raises(ApiError, match=r"^filter: ") as caught:
        filters.parse(text, STATES, ["clusterName"], timed=True)
    assert caught.value.code.name == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("hourly", "total", "ages", "expected"),
    [
        (0, 0, [0], "not restartable"),
        (1, 0, [0], ""),
        (1, 0, [1800, 0], "max_failures_per_hour is 1"),
        (1, 0, [3601, 0], ""),
        (0, 2, [90_000, 50_000], ""),
        (0, 2, [90_000, 50_000, 0], "max_failures_total is 2"),
        (10, 240, [590, 400, 200, 0], ""),
        (10, 240, [590, 400, 200, 100, 0], "thrashes"),
        (10, 240, [3000, 2000, 1500, 700, 0], ""),
    ],
)
def test_a_failed_job_is_restarted_within_its_limits(hourly: int, total: int, ages: list[float], expected: str) -> None:
    scheduling = dp.JobScheduling(max_failures_per_hour=hourly, max_failures_total=total)
    reason = verdict(scheduling, [1e9 - age for age in ages], 1e9)
    assert expected in reason
    assert bool(reason) is bool(expected)
