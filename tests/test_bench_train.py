"""The training benchmark's arithmetic and its way with processes; no Spark."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

psutil = pytest.importorskip("psutil")  # not in the environment of the Spark 3.5 tests

from benchmarks import figures, processes, train  # noqa: E402
from benchmarks.figures import DONE, FAILED, OURS, PLAIN_SPARK, SCIKIT, STOPPED, Row  # noqa: E402

STEPS = [
    {"name": "starting Spark", "seconds": 5.0},
    {"name": "features", "seconds": 10.0},
    {"name": "logisticregression", "seconds": 2.0},
    {"name": "logisticregression: scoring dev and test", "seconds": 3.0},
    {"name": "linearsvc", "seconds": 4.0},
    {"name": "logistic regression for the trees", "seconds": 1.0},
    {"name": "out-of-fold linear scores", "seconds": 6.0},
    {"name": "randomforest", "seconds": 7.0},
    {"name": "gbt", "seconds": 8.0},
    {"name": "gbt: logging", "seconds": 9.0},
]


def said(*events: dict[str, object]) -> list[str]:
    return ["not an event", *(json.dumps(event) for event in events)]


def seconds(rows: list[Row]) -> dict[str, float]:
    return {row.step: row.seconds for row in rows}


def run(tmp_path: Path, code: str, silence: float | None = None) -> processes.Measured:
    command = [sys.executable, "-c", code]
    return processes.run(command, tmp_path / "child.log", folder=tmp_path, env={"MARK": "seen"}, silence=silence)


@pytest.mark.parametrize(("grown", "wanted"), [(0, 1), (200, 3)])
def test_a_child_that_is_still_its_parent_is_not_counted_twice(tmp_path: Path, grown: int, wanted: int) -> None:
    script = tmp_path / "forks.py"
    lines = ["import os", "held = b'x' * 200_000_000", "child = os.fork() == 0"]
    lines += [f"own = b'y' * ({grown} * child * 1_000_000)", "print('ready' * child, flush=True)", "input()"]
    script.write_text("\n".join(lines))
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as parent:
        try:
            assert parent.stdout
            assert b"ready" in parent.stdout.readline() + parent.stdout.readline()
            assert len(processes.tree(parent.pid)) == 2
            assert round(processes.resident_bytes(parent.pid) / 200e6) == wanted
        finally:
            processes.kill(parent)


def test_our_steps_are_grouped_and_summed_with_all_that_the_fits_need() -> None:
    rows = figures.our_rows(STEPS, {"gbt": {"accuracy": 0.8, "dev_accuracy": 0.9}})
    found = seconds(rows)
    assert found["features, LR and SVC"] == 10 + 2 + 4
    assert found["features and four fits"] == 10 + 2 + 4 + 1 + 6 + 7 + 8
    assert found["linear scores for the trees"] == 1 + 6
    assert found["scoring, logging, registering"] == 3 + 9
    assert {row.step: row.accuracy for row in rows if row.accuracy} == {"gbt": 0.8}


def test_fits_side_by_side_count_with_the_step_of_both_and_not_with_the_seconds_of_each() -> None:
    steps = [step for step in STEPS if step["name"] not in figures.LINEAR]
    steps.insert(2, {"name": "logisticregression and linearsvc", "seconds": 5.0})
    metrics = {"logisticregression": {"accuracy": 0.8, "fit_seconds": 3.0}, "linearsvc": {"fit_seconds": 5.0}}
    found = seconds(figures.our_rows(steps, metrics))
    assert found["features, LR and SVC"] == 10 + 5
    assert found["features and four fits"] == 10 + 5 + 1 + 6 + 7 + 8
    assert (found["logisticregression"], found["linearsvc"]) == (3, 5)
    assert "features and four fits" not in seconds(figures.our_rows(steps[:4], metrics))


def test_there_is_no_total_of_fits_that_were_not_all_made() -> None:
    assert "features and four fits" not in seconds(figures.our_rows(STEPS[:5], {}))


def test_a_stopped_fit_counts_with_the_limit_and_marks_the_total() -> None:
    lines = said(
        {"event": "ready"},
        {"event": "fitting", "step": "logisticregression"},
        {"event": "fitted", "step": "logisticregression", "seconds": 28.0},
        {"event": "scored", "step": "logisticregression", "accuracy": 0.65},
        {"event": "fitting", "step": "gbt"},
    )
    rows = figures.peer_rows(PLAIN_SPARK, lines, 600, stopped=True, failed=False)
    assert rows == [
        Row(PLAIN_SPARK, "logisticregression", 28.0, accuracy=0.65),
        Row(PLAIN_SPARK, "gbt", 600, outcome=STOPPED),
    ]
    rows += [Row(PLAIN_SPARK, "linearsvc", 11.0), Row(PLAIN_SPARK, "randomforest", 371.0)]
    total = figures.sums(rows)[-1]
    assert (total.seconds, total.outcome) == (28 + 11 + 371 + 600, STOPPED)


def test_a_fit_that_ends_just_after_the_limit_counts_with_the_limit_too() -> None:
    lines = said({"event": "fitting", "step": "gbt"}, {"event": "fitted", "step": "gbt", "seconds": 600.1})
    assert figures.peer_rows(PLAIN_SPARK, lines, 600, stopped=False, failed=False) == [
        Row(PLAIN_SPARK, "gbt", 600, outcome=STOPPED)
    ]


def test_a_fit_that_breaks_off_counts_with_the_limit_and_says_so() -> None:
    lines = said({"event": "fitting", "step": "gbt"})
    [row] = figures.peer_rows(PLAIN_SPARK, lines, 600, stopped=False, failed=True)
    assert (row.seconds, row.outcome) == (600, FAILED)


def test_ratios_compare_the_same_step_and_never_a_fit_with_features_to_one_without() -> None:
    rows = [
        Row(OURS, "gbt", 10.0),
        Row(OURS, "features and four fits", 50.0),
        Row(PLAIN_SPARK, "gbt", 600.0),
        Row(PLAIN_SPARK, "features and four fits", 300.0),
        Row(SCIKIT, "unheard of", 1.0),
    ]
    assert [figures.ratio(row, rows) for row in rows] == [None, None, None, 6.0, None]


def test_repeated_runs_give_medians_the_highest_memory_and_the_worst_outcome() -> None:
    runs = [
        [Row(OURS, "gbt", 1.0, 0.7, 10)],
        [Row(OURS, "gbt", 9.0, 0.9, 30, STOPPED)],
        [Row(OURS, "gbt", 2.0, 0.8, 20)],
    ]
    assert figures.medians(runs) == [Row(OURS, "gbt", 2.0, 0.8, 30, STOPPED)]
    assert figures.medians(runs[:1])[0].outcome == DONE


def test_the_table_shows_limits_ratios_and_gaps() -> None:
    rows = [
        Row(OURS, "features and four fits", 50.0),
        Row(OURS, "whole process", 90.0, peak_bytes=3 * 2**30),
        Row(PLAIN_SPARK, "features and four fits", 1000.0, outcome=STOPPED),
        Row(SCIKIT, "linearsvc", 1.0, accuracy=0.788),
    ]
    assert figures.comparison_table(rows).splitlines() == [
        "what          step                    wall seconds  ratio to ours  peak memory  accuracy",
        "------------  ----------------------  ------------  -------------  -----------  --------",
        "ours          features and four fits          50.0",
        "ours          whole process                   90.0                    3.00 GiB",
        "plain Spark   features and four fits       >1000.0         >20.00",
        "scikit-learn  linearsvc                        1.0                                0.7880",
    ]


def test_the_scaling_table_shows_seconds_per_million_rows() -> None:
    lines = figures.scaling_table({100_000: [Row(OURS, "features", 5.0)]}).splitlines()
    assert lines[-1].split() == ["100,000", "features", "5.0", "50.0"]


def test_the_paired_comparison_counts_only_rows_on_which_the_two_differ() -> None:
    ours = [True] * 80 + [True] * 15 + [False] * 5
    theirs = [True] * 80 + [False] * 15 + [True] * 5
    pair = figures.paired(ours, theirs)
    assert (pair["rows"], pair["only_ours"], pair["only_theirs"]) == (100, 15, 5)
    assert pair["difference"] == pytest.approx(0.10)
    assert [pair["low"], pair["high"]] == pytest.approx([0.0146, 0.1854], abs=1e-4)
    assert pair["p"] == pytest.approx(0.0414, abs=1e-4)  # a fair coin, 20 throws, at most 5 or at least 15


def test_equal_predictions_are_no_difference() -> None:
    pair = figures.paired([True, False], [True, False])
    assert (pair["difference"], pair["low"], pair["high"], pair["p"]) == (0, 0, 0, 1)


def test_memory_is_that_of_the_whole_tree(tmp_path: Path) -> None:
    child = "import time; held = bytearray(150 << 20); held[::4096] = b'x' * len(held[::4096]); time.sleep(1.5)"
    measured = run(tmp_path, f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])")
    assert measured.exit_code == 0
    assert 150 << 20 < measured.peak_bytes < 400 << 20


def test_lines_environment_time_and_exit_code_come_back(tmp_path: Path) -> None:
    half = "print('half', end='', flush=True); time.sleep(0.8); print(' and half')"
    measured = run(tmp_path, f"import os, sys, time; print(os.environ['MARK']); {half}; sys.exit(3)")
    assert (measured.lines, measured.exit_code, measured.stopped) == (["seen", "half and half"], 3, False)
    assert 0.8 < measured.seconds < 20


def test_what_is_silent_for_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    """The child leaves the process group, as Spark's Python workers do."""
    child = "import os, time; os.setsid(); open('child.pid', 'w').write(str(os.getpid())); time.sleep(60)"
    code = f"import subprocess, sys; print('on'); sys.stdout.flush(); subprocess.run([sys.executable, '-c', {child!r}])"
    measured = run(tmp_path, code, silence=2.0)
    assert (measured.lines, measured.stopped, measured.exit_code) == (["on"], True, -9)
    assert measured.seconds < 20
    pid = int((tmp_path / "child.pid").read_text())
    deadline = time.monotonic() + 5
    with contextlib.suppress(psutil.NoSuchProcess):
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, f"process {pid} lives on"
            time.sleep(0.05)


def test_lines_that_keep_coming_keep_a_process_alive(tmp_path: Path) -> None:
    measured = run(tmp_path, "import time\nfor i in range(6): print(i, flush=True); time.sleep(0.5)", silence=2.0)
    assert (len(measured.lines), measured.stopped) == (6, False)


def test_the_machine_is_described() -> None:
    machine = processes.machine()
    assert machine["cores"] in range(1, (os.cpu_count() or 1) + 1)
    assert {"memory_gib", "cpu", "python", "java", "pyspark", "scikit-learn"} <= machine.keys()


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["--data", "no/such/file.csv"], "--data"),
        (["--skip-peers", "weka"], "--skip-peers"),
        (["--repeat", "0"], "--repeat"),
        (["--scaling", "100000,many"], "--scaling"),
        (["--scaling", "100000", "--bulk-tool", "no/such/tool.py"], "--bulk-tool"),
        (["--scaling-only"], "--scaling-only"),
        (["--work", "/dev/null/below"], "--work"),
    ],
)
def test_bad_arguments_are_named(
    args: list[str], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "tweets.csv"
    data.touch()
    monkeypatch.setenv("DATA", str(data))
    with pytest.raises(SystemExit) as ended:
        train.parse_args(args)
    assert ended.value.code == 2
    assert f"{named}: want" in capsys.readouterr().err.splitlines()[-1]
