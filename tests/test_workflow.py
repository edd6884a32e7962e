"""The workflow on GitHub: valid, pinned, without keys, and nothing in it that a shell could not do by itself."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from services import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "ml-pipeline.yml"
TEXT = WORKFLOW.read_text(encoding="utf-8")
JOBS: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["jobs"]
STEPS = [step for job in JOBS.values() for step in job["steps"]]


def check(path: Path) -> int:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
    return subprocess.run(command, capture_output=True, check=False).returncode


def test_the_schema_takes_it_and_refuses_a_damaged_one(tmp_path: Path) -> None:
    assert check(WORKFLOW) == 0
    damaged = tmp_path / "ml-pipeline.yml"
    damaged.write_text(TEXT.replace("runs-on:", "run-on:", 1), encoding="utf-8")
    assert check(damaged) == 1


def test_every_setting_of_the_scripts_comes_from_the_repository_s_variables() -> None:
    example = (ROOT / "ci-cd" / "env.example").read_text(encoding="utf-8")
    names = re.findall(r"^#?([A-Z][A-Z0-9_]+)=", example, re.MULTILINE)
    assert yaml.safe_load(TEXT)["env"] == {name: f"${{{{ vars.{name} }}}}" for name in names}


def test_the_stages_follow_each_other() -> None:
    assert list(JOBS) == ["test", "train", "validate", "deploy", "monitor"]
    assert [job.get("needs") for job in JOBS.values()] == [None, "test", "train", "validate", "deploy"]
    assert JOBS["train"]["if"] == "github.ref == 'refs/heads/main' && vars.PROJECT_ID != ''"


def test_nothing_that_is_live_changes_before_the_environment_production_lets_the_stage_begin() -> None:
    changing = re.compile(r"make (promote|rollback)(?!.*--dry-run)|ci-cd/(deploy-serving|promote|rollback)")
    changes = [name for name, job in JOBS.items() if any(changing.match(step.get("run", "")) for step in job["steps"])]
    assert changes == [name for name, job in JOBS.items() if job.get("environment")] == ["deploy"]
    looks, promotes = ([step.get("run", "") for step in JOBS[name]["steps"]] for name in ("validate", "deploy"))
    assert looks[-1].startswith('make promote ARGS="--dry-run ')
    assert promotes.index(looks[-1].replace("--dry-run ", "")) < promotes.index("ci-cd/deploy-serving.sh --drain")


def test_the_last_stage_asks_the_stream_and_keeps_the_report_of_its_predictions() -> None:
    *looks, kept = JOBS["monitor"]["steps"][-4:]
    assert [step["run"].split()[:2] for step in looks] == [
        ["make", "history"],
        ["ci-cd/smoke-test.sh"],
        ["make", "report"],
    ]
    assert "PREDICTIONS_BUCKET" in looks[-1]["run"]
    assert kept["with"]["path"] == ".local/report/"
    assert kept["with"]["include-hidden-files"]


def test_each_step_calls_one_script_or_target_that_is_there() -> None:
    commands = [step["run"] for step in STEPS if "run" in step]
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    absent = []
    for command in commands:
        assert re.fullmatch(r"(make [a-z-]+|ci-cd/[a-z-]+\.sh)( [^;|&\n]*)?", command), command
        called = command.split()
        there = called[1] in targets if called[0] == "make" else (ROOT / called[0]).exists()
        absent += [] if there else [command]
    if not (ROOT / "ci-cd" / "train-model.sh").exists():
        pytest.skip("want the scripts that submit jobs")
    assert absent == []


def test_actions_are_pinned_by_commit_and_no_key_is_kept() -> None:
    used = [step["uses"] for step in STEPS if "uses" in step]
    assert used
    assert not [action for action in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)]
    assert "secrets." not in TEXT
    assert "credentials_json" not in TEXT
    assert not [step["run"] for step in STEPS if "${{" in step.get("run", "")]  # no value becomes part of a command
    for name, job in JOBS.items():
        assert (job.get("permissions", {}).get("id-token") == "write") == (name != "test")
