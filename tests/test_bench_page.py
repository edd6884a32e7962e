"""docs/performance.md: what is missed stands there as missed, and a page that does not fit its figures is found."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import performance_page, pictures
from benchmarks.figures import DONE, LINEAR_FITS, OURS, SCIKIT, WHOLE
from benchmarks.wanted import CLAIMS

MACHINE = {"cores": 2, "cpu": "a CPU", "load_at_start": 0.1}


def entry(figures: dict[str, Any], **other: Any) -> dict[str, Any]:
    known = {"began": "2026-01-02T03:04:05+00:00", "revision": "abc1234", "load_before": 0.3, "short": False}
    return {**known, "outcome": "done", "figures": figures, **other}


def steps(what: str, seconds: float) -> list[dict[str, Any]]:
    fits = {"what": what, "step": LINEAR_FITS, "seconds": seconds, "accuracy": None, "peak_bytes": None}
    whole = {"what": what, "step": WHOLE, "seconds": 2 * seconds, "accuracy": None, "peak_bytes": 2**30}
    return [{**fits, "outcome": DONE}, {**whole, "outcome": DONE}]


@pytest.fixture
def kept() -> dict[str, Any]:
    """Figures of a run in which a few sections were done."""
    flat = {"middle": 1.0, "last": 1.0, "ratio": 1.0, "slope_per_hour": 3.0, "peak": 1.0, "slope_per_100_batches": 0.0}
    memory = {"memory": {"jvm_mib": flat, "python_mib": flat}, "batch_seconds": flat}
    samples = [{"seconds": float(second), "jvm_mib": 1.0, "python_mib": 1.0} for second in range(5)]
    linear = {"rows": 1000, "steps": steps(OURS, 10) + steps(SCIKIT, 20), "arguments": {"heap": "6g"}}
    return {
        "machine": MACHINE,
        "sections": {
            "throughput": entry(
                {
                    "rows_per_second": {
                        "no model, Parquet": 100.0,
                        "ours: Parquet": 80.0,
                        "ours: Parquet and Kafka": 50.0,
                    },
                    "runs": {
                        "no model, Parquet": [90.0, 110.0],
                        "ours: Parquet": [80.0],
                        "ours: Parquet and Kafka": [50.0],
                    },
                    "cores": 2,
                    "arguments": {"rows": 1000, "per_batch": 10},
                }
            ),
            "linear-1600k": entry({**linear, "paired_with_scikit_learn": {}}),
            "soak": entry(
                {
                    **memory,
                    "samples": samples,
                    "batch_curve": [1.0, 1.0],
                    "minutes": 10,
                    "interval_seconds": 10,
                    "sent": 5,
                    "rows": 5,
                    "batches": 2,
                    "files": 2,
                    "files_per_hour": 12.0,
                    "live_mib": {"warm": 60.0, "end": 61.0, "ratio": 1.02},
                    "arguments": {"rate": 2000, "heap": "2g"},
                }
            ),
            "swaps": entry({}, outcome="failed"),
            "latency-500": entry({"latency_seconds": {"p50": 0.1, "p99": 0.2}}, short=True),
        },
    }


def line(page: str, start: str) -> str:
    [found] = [each for each in page.splitlines() if each.startswith(f"| {start}")]
    return found


def test_each_figure_stands_beside_what_is_wanted_and_says_in_words_whether_it_is_reached(kept: dict[str, Any]) -> None:
    page = performance_page.page(kept)
    assert line(page, "this stream with Parquet over the limit").endswith("| at least 0.75 | 0.80 | reached |")
    assert line(page, "this stream with Parquet and Kafka over").endswith(
        "| at least 0.60 | 0.50 | **missed**: below what is wanted |"
    )
    assert line(page, "1.6 million rows, features").endswith("| at least 1.50 | 2.00 | reached |")
    assert line(page, "slope of the JVM").endswith("| to be stated | +3 MiB per hour | stated |")
    assert "| no model, Parquet | 100 | 90 to 110 | 1.00 | 50 |" in page


def test_what_failed_was_short_or_never_ran_is_not_run_and_no_figure(kept: dict[str, Any]) -> None:
    page = performance_page.page(kept)
    for start in ("median of batches with a model swap", "latency at 500 messages per second, p50", "the environment"):
        assert line(page, start).endswith("|  | not run |")
    assert "_swaps: not run._" in page
    assert "_latency-500: not run; latency-5000: not run._" in page


def test_a_section_from_another_machine_says_so_and_one_from_this_machine_does_not(kept: dict[str, Any]) -> None:
    kept["sections"]["soak"]["figures"]["machine"] = {**MACHINE, "cpu": "another CPU"}
    kept["sections"]["throughput"]["figures"]["machine"] = MACHINE
    page = performance_page.page(kept)
    assert "_soak: 2026-01-02 03:04 UTC, revision abc1234, load before 0.3, on another machine (another CPU)._" in page
    assert "throughput: 2026-01-02 03:04 UTC, revision abc1234, load before 0.3." in page
    assert page.count("on another machine") == 1


def test_figures_of_two_machines_are_not_held_against_a_limit(kept: dict[str, Any]) -> None:
    kept["sections"]["backlog"] = entry({"rows_per_second": 60.0, "machine": MACHINE})
    [claim] = [each for each in CLAIMS if each.what.startswith("rows per second of the backlog over")]
    for cpu, verdict in (("a CPU", "reached"), ("another CPU", "not comparable: of two machines")):
        kept["sections"]["throughput"]["figures"]["machine"] = {**MACHINE, "cpu": cpu}
        assert claim.verdict(performance_page.done(kept)) == verdict


def test_a_figure_above_its_limit_is_missed(kept: dict[str, Any]) -> None:
    kept["sections"]["soak"]["figures"]["memory"]["jvm_mib"]["ratio"] = 1.3
    found = line(performance_page.page(kept), "soak: JVM's memory")
    assert found.endswith("| at most 1.10 | 1.30 | **missed**: above what is wanted |")


def test_a_run_s_figures_are_shown_beside_the_published_ones(kept: dict[str, Any]) -> None:
    published = copy.deepcopy(kept)
    published["sections"]["throughput"]["figures"]["rows_per_second"]["ours: Parquet"] = 60.0
    del published["sections"]["soak"]
    shown = performance_page.compared(kept, ["throughput", "soak", "swaps"], published).splitlines()
    assert shown[0].split() == ["figure", "here", "published"]
    told = {tuple(each.rsplit(maxsplit=2)) for each in shown[1:]}
    assert ("this stream with Parquet over the limit", "0.80", "0.60") in told
    assert any(each.startswith("files per hour") and each.endswith("12      not run") for each in shown)
    assert not any("swap" in each or "1.6 million" in each for each in shown)
    assert performance_page.compared(kept, ["swaps"], published) == ""


def test_rows_that_scikit_learn_was_left_out_at_are_drawn_without_it(kept: dict[str, Any]) -> None:
    figures = kept["sections"]["linear-1600k"]["figures"]
    kept["sections"]["linear-3200k"] = entry({**figures, "rows": 2000, "steps": steps(OURS, 30)})
    _, data = pictures.linear(performance_page.done(kept))
    assert data == {OURS: [[1000, 10, 1.0], [2000, 30, 1.0]], SCIKIT: [[1000, 20, 1.0]]}


@pytest.fixture
def published(kept: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page and its pictures, made in a folder of the test's own."""
    monkeypatch.setattr(performance_page, "ROOT", tmp_path)
    monkeypatch.setattr(performance_page, "PUBLISHED", tmp_path / "published.json")
    monkeypatch.setattr(performance_page, "PAGE", tmp_path / "performance.md")
    monkeypatch.setattr(performance_page, "PICTURES", tmp_path / "performance")
    (tmp_path / "run.json").write_text(json.dumps(kept), encoding="utf-8")
    performance_page.publish(tmp_path / "run.json")
    return tmp_path


def test_the_page_and_its_pictures_are_made_again_alike(published: Path) -> None:
    assert performance_page.stale() == []
    first = {path.name: path.read_text(encoding="utf-8") for path in (published / "performance").iterdir()}
    assert set(first) == {"throughput.svg", "soak.svg"}
    assert all(len(text) < 60_000 for text in first.values())
    performance_page.publish(published / "published.json")
    assert {path.name: path.read_text(encoding="utf-8") for path in (published / "performance").iterdir()} == first


def test_a_run_of_some_sections_leaves_the_others_published_and_a_failure_replaces_none(published: Path) -> None:
    before = json.loads((published / "published.json").read_text(encoding="utf-8"))["sections"]
    again = entry({**before["throughput"]["figures"], "cores": 1}, revision="def5678")
    run = {"machine": MACHINE, "sections": {"throughput": again, "soak": {"outcome": "failed", "short": False}}}
    (published / "run.json").write_text(json.dumps(run), encoding="utf-8")
    performance_page.publish(published / "run.json")
    after = json.loads((published / "published.json").read_text(encoding="utf-8"))["sections"]
    assert after == {**before, "throughput": again}
    assert performance_page.stale() == []
    assert {path.name for path in (published / "performance").iterdir()} == {"throughput.svg", "soak.svg"}


def test_a_page_a_picture_or_figures_that_do_not_fit_each_other_are_found(
    published: Path, kept: dict[str, Any]
) -> None:
    other = copy.deepcopy(kept)
    other["sections"]["throughput"]["figures"]["rows_per_second"]["ours: Parquet"] = 81.0
    (published / "published.json").write_text(json.dumps(other), encoding="utf-8")
    assert performance_page.stale() == ["performance.md", "performance/throughput.svg"]
    performance_page.publish(published / "published.json")
    (published / "performance/soak.svg").unlink()
    (published / "performance/trees.svg").write_text("<svg/>", encoding="utf-8")
    assert performance_page.stale() == ["performance/soak.svg", "performance/trees.svg"]
    with pytest.raises(SystemExit, match=r"^out of date: performance/soak.svg, performance/trees.svg; run"):
        performance_page.main(["--check"])


def test_a_pictures_digest_is_that_of_its_data(kept: dict[str, Any]) -> None:
    sections = performance_page.done(kept)
    text = pictures.svg(pictures.throughput(sections))
    assert pictures.is_of(text, pictures.throughput(sections))
    sections["throughput"]["rows_per_second"]["no model, Parquet"] = 101.0
    assert not pictures.is_of(text, pictures.throughput(sections))
