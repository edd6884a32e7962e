"""`make bench`: its sections' commands, what is kept when one fails or all is stopped, and its arithmetic; no Spark."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from broker import Broker

psutil = pytest.importorskip("psutil")  # not in every environment of the Spark 3.5 tests

from benchmarks import all as bench_all  # noqa: E402
from benchmarks import cluster, endurance, fresh_clone, processes, record, serve, trees  # noqa: E402
from benchmarks.figures import DONE, FEATURES, OURS, TREE_INPUTS, Row  # noqa: E402
from benchmarks.sections import SECTIONS, Section, linear  # noqa: E402
from sentiment.jobs import DataError  # noqa: E402
from sentiment.signals import EndedBySignalError  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "tweets.csv"
    path.touch()
    monkeypatch.setenv("DATA", str(path))
    monkeypatch.setenv("BULK_TOOL", str(path))
    return path


@pytest.mark.parametrize("short", [[], ["--short"]])
@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_a_sections_command_is_one_that_its_script_takes(section: Section, short: list[str], data: Path) -> None:
    args = bench_all.parse_args(["--soak-minutes", "7", *short])
    command = bench_all.command(section, args, data.parent / "figures.json", data.parent / "model")
    script = Path(command[1])
    assert script.is_file()
    parsed = importlib.import_module(f"benchmarks.{script.stem}").parse_args(command[2:])
    assert parsed.json == data.parent / "figures.json"
    if section.name == "soak" and not short:
        assert parsed.minutes == 7
        assert bench_all.minutes(section, args) == section.minutes + 7


def test_scikit_learn_is_left_out_only_where_it_would_not_fit() -> None:
    assert [("--skip-scikit" in linear(rows, 1).full) for rows in (0, 1_600_000, 3_200_000)] == [False, False, True]


@pytest.fixture
def sections(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two sections in place of the real ones: one that works, one that fails until a file is there."""
    mended = data.parent / "mended"
    work = "import json, sys; json.dump({'figure': 1}, open(sys.argv[1], 'w'))"
    fail = f"import os, sys\nif not os.path.exists({str(mended)!r}): sys.exit('no broker')\n"
    code = {"good": work, "bad": fail + work}
    made = [Section(name, name, "", (), (), 1) for name in code]
    monkeypatch.setattr(bench_all, "SECTIONS", made)
    monkeypatch.setattr(bench_all, "NAMES", tuple(code))
    monkeypatch.setattr(
        bench_all, "command", lambda section, _args, path, _model: [sys.executable, "-c", code[section.name], str(path)]
    )
    monkeypatch.setattr(record, "RESULTS", data.parent / "results")
    return mended


def kept(folder: Path) -> tuple[Path, dict[str, Any]]:
    [path] = (folder / "results").glob("*.json")
    return path, json.loads(path.read_text(encoding="utf-8"))


def test_a_section_that_fails_stops_no_other_and_is_the_only_one_tried_again(
    sections: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match="sections without figures: bad; --resume"):
        bench_all.main(["--no-page"])
    path, found = kept(sections.parent)
    assert {name: entry["outcome"] for name, entry in found["sections"].items()} == {"good": "done", "bad": "failed"}
    assert found["sections"]["good"]["figures"] == {"figure": 1}
    assert found["machine"]["cores"]
    assert "no broker" in capfd.readouterr().err
    sections.touch()
    bench_all.main(["--no-page", "--resume", str(path)])
    out = capfd.readouterr().out
    assert "1 sections, about 1 minutes" in out
    assert "== bad" in out
    assert "== good" not in out
    assert kept(sections.parent)[1]["sections"]["bad"]["outcome"] == "done"


def test_figures_are_written_down_after_each_section(sections: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measure = bench_all.measure

    def interrupted(section: Section, *rest: Any) -> dict[str, Any]:
        if section.name == "bad":
            raise KeyboardInterrupt
        return measure(section, *rest)

    monkeypatch.setattr(bench_all, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench_all.main(["--no-page"])
    assert list(kept(sections.parent)[1]["sections"]) == ["good"]


def test_a_revision_is_marked_where_what_is_measured_differs_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "code").mkdir()
    published, job = tmp_path / "benchmarks" / "published.json", tmp_path / "code" / "job.py"
    for path in (published, job):
        path.write_text("1")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@127.0.0.1"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "first"]):
        subprocess.run([*git, *command], check=True)
    monkeypatch.setattr(bench_all, "ROOT", tmp_path)
    head = subprocess.check_output([*git, "rev-parse", "--short", "HEAD"], text=True).strip()
    published.write_text("2")
    assert bench_all.revision() == head
    job.write_text("2")
    assert bench_all.revision() == f"{head}+"


def test_a_section_ends_with_the_run_that_started_it() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    before = signal.signal(signal.SIGALRM, record.end_cleanly)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(EndedBySignalError):
            bench_all.ended(process)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert process.returncode == -signal.SIGTERM


def test_more_arguments_are_for_a_single_section(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = bench_all.parse_args(["--only", "throughput", "--more", "--repeat 1"])
    [section] = [section for section in SECTIONS if section.name == "throughput"]
    assert serve.parse_args(bench_all.command(section, args, data, data)[2:]).repeat == 1
    with pytest.raises(SystemExit):
        bench_all.parse_args(["--only", "throughput,swaps", "--more", "--repeat 1"])
    assert "--more: want a single section in --only, got 2" in capsys.readouterr().err


@pytest.mark.usefixtures("data")
def test_no_path_of_the_machine_stands_among_the_figures(tmp_path: Path) -> None:
    args = bench_all.parse_args([])
    args.json = None
    shown = record.described(args)
    assert shown["data"] == "tweets.csv"
    assert str(tmp_path) not in json.dumps(shown)


def test_flat_memory_has_a_ratio_of_one_and_a_leak_has_its_slope() -> None:
    warm = [{"seconds": float(second), "jvm_mib": 1000.0, "python_mib": 100.0} for second in range(3600)]
    flat = endurance.flatness(warm)["jvm_mib"]
    assert (flat["ratio"], flat["slope_per_hour"], flat["peak"]) == (1.0, 0.0, 1000.0)
    leak = [{**sample, "python_mib": 100 + sample["seconds"] / 36} for sample in warm]
    found = endurance.flatness(leak)["python_mib"]
    assert found["slope_per_hour"] == pytest.approx(100)
    assert found["ratio"] > 1.1


def test_the_start_of_a_stream_does_not_count_as_a_leak() -> None:
    rising = [{"seconds": float(s), "jvm_mib": min(1000.0, 10.0 * s), "python_mib": 1.0} for s in range(300)]
    assert endurance.flatness(rising)["jvm_mib"]["slope_per_hour"] == 0


def test_a_watched_stream_is_looked_at_until_its_end_and_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ending:
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(2.5)"])

    commits = tmp_path / "checkpoint/commits"
    commits.mkdir(parents=True)
    (commits / "0").touch()
    (commits / ".0.crc").touch()
    monkeypatch.setattr(endurance, "TOLD_SECONDS", 1.0)
    said: list[str] = []
    samples = endurance.watch(Ending(), tmp_path, said.append, time.monotonic())  # type: ignore[arg-type]
    assert len(samples) in (2, 3)
    assert samples[0]["batches"] == 1
    assert samples[-1]["python_mib"] > 1
    assert said[0] in ("after 1 s: 1 batches, JVM 0 MiB", "after 2 s: 1 batches, JVM 0 MiB")


def test_the_live_heap_is_that_of_the_one_jvm_under_a_process(broker: Broker) -> None:
    def background(pid: int | None) -> Any:
        return SimpleNamespace(process=SimpleNamespace(pid=pid))

    assert 5 < endurance.live_mib(background(broker.daemon.pid())) < 256
    idle = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with pytest.raises(DataError, match=f"want one JVM under process {idle.pid}, found 0"):
        endurance.live_mib(background(idle.pid))
    idle.communicate()


def test_a_process_that_ended_during_the_look_is_no_jvm(monkeypatch: pytest.MonkeyPatch) -> None:
    ending = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    listed = [psutil.Process(ending.pid)]
    ending.communicate()
    monkeypatch.setattr(processes, "tree", lambda _pid: listed)
    assert endurance.jvms(SimpleNamespace(process=ending)) == set()  # type: ignore[arg-type]


def test_the_event_log_tells_who_did_how_much_of_a_stage() -> None:
    def task(stage: int, executor: str, milliseconds: int) -> dict[str, Any]:
        metrics = {"Executor Run Time": milliseconds}
        return {
            "Event": "SparkListenerTaskEnd",
            "Stage ID": stage,
            "Task Info": {"Executor ID": executor},
            "Task Metrics": metrics,
        }

    ended = {"Stage ID": 7, "Stage Name": "count at X.java:0", "Submission Time": 1000, "Completion Time": 3500}
    events = [task(7, "0", 2000), task(7, "1", 1500), task(7, "1", 500), task(3, "0", 100)]
    events += [{"Event": "SparkListenerStageCompleted", "Stage Info": ended}, {"Event": "SparkListenerJobEnd"}]
    found = cluster.stages(map(json.dumps, events))
    assert found["executors"] == {"executor 0": 2.1, "executor 1": 2.0}
    assert found["tasks"] == {"executor 0": 2, "executor 1": 2}
    assert found["stages"][0] == {
        "stage": 7,
        "name": "count",
        "wall_seconds": 2.5,
        "tasks": {"executor 0": 1, "executor 1": 2},
        "seconds": {"executor 0": 2.0, "executor 1": 2.0},
    }


def test_trees_are_compared_at_their_own_seconds_and_at_their_own_accuracy() -> None:
    rows = [Row(OURS, FEATURES, 10), Row(OURS, TREE_INPUTS, 5), Row(OURS, "gbt", 15, accuracy=0.78, outcome=DONE)]
    [point] = trees.points(rows).values()
    assert point == {"seconds": 30, "accuracy": 0.78}
    curve = [[5.0, 0.70], [29.0, 0.77], [40.0, 0.79]]
    assert trees.beside(point, curve) == {"peer_accuracy_by_then": 0.77, "peer_seconds_to_reach": 40.0}
    assert trees.beside(point, [[31.0, 0.7]]) == {"peer_accuracy_by_then": None, "peer_seconds_to_reach": None}


def test_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(os.urandom(3 << 20))
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    assert fresh_clone.mebibytes(tmp_path) == pytest.approx(3, abs=0.1)


def test_a_clone_s_make_gets_nothing_of_the_make_that_runs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGS", "--only set-up")
    monkeypatch.setenv("MAKEFLAGS", "j")
    monkeypatch.setenv("JAVA_HOME", "/java")
    env = fresh_clone.environment(tmp_path, "--models gbt")
    assert not {"ARGS", "MAKEFLAGS"} & set(env)
    assert (env["JAVA_HOME"], env["TRAIN_ARGS"], env["UV_CACHE_DIR"]) == ("/java", "--models gbt", str(tmp_path))
