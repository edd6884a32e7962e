"""What holds for every DAG in airflow/dags, whatever it does."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow_run import BUNDLES, Airflow
from document_variables import PAGE, example, table
from sentiment_dags.settings import Settings, defaults
from services import ROOT

FILES = sorted(BUNDLES["dags-folder"].glob("*.py"))
TRAINING = "sentiment_ml_training_pipeline"
IMPORT_SECONDS = 1.0
TRIES = 3

# What the DAG files import besides the suite's own modules; heavier things belong into functions.
OPERATORS = """
import airflow.sdk
import airflow.providers.google.cloud.operators.dataproc
import airflow.providers.standard.operators.trigger_dagrun
import airflow.providers.standard.operators.empty
"""
LOAD = """
import importlib.util, sys, time
sys.path.insert(0, sys.argv[1])
began = time.perf_counter()
for place, path in enumerate(sys.argv[2:]):
    spec = importlib.util.spec_from_file_location(f"dag_file_{place}", path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
print("seconds", time.perf_counter() - began)
"""
# Whoever asks for a Variable, by whatever way, is told no.
NO_VARIABLES = """
import airflow.models.variable, airflow.sdk, airflow.sdk.execution_time.context as context
def refuse(*_args, **_kwargs):
    raise RuntimeError("a Variable is read at parse time")
airflow.sdk.Variable.get = airflow.models.variable.Variable.get = refuse
airflow.models.variable.Variable.get_variable_from_secrets = context._get_variable = refuse
"""
READS = """
import airflow.models, airflow.sdk
from sentiment_dags.settings import airflow_variable
for ask in (airflow.sdk.Variable.get, airflow.models.Variable.get, airflow_variable):
    try:
        ask("region")
    except RuntimeError as error:
        print("caught" if "at parse time" in str(error) else error)
"""


def loaded(before: str, *files: str) -> str:
    """Import the DAG files in a fresh process after `before`; its output, which must end well."""
    command = [sys.executable, "-c", before + LOAD, str(BUNDLES["dags-folder"]), *(files or map(str, FILES))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ), timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def dags(airflow: Airflow) -> dict[str, Any]:
    """Every DAG of airflow/dags by its id; one that cannot be imported fails here, with its trace."""
    found: dict[str, Any] = airflow.bag("dags-folder").dags
    assert len(found) >= len(FILES) > 0
    return found


def each(dags: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from sorted(dags.items())


def test_every_dag_says_what_it_is_whose_it_is_and_where_it_belongs(dags: dict[str, Any]) -> None:
    for name, dag in each(dags):
        assert dag.doc_md, f"{name}: want doc_md=__doc__"
        assert len(dag.doc_md.strip()) > 200, f"{name}: want its docstring to tell purpose, rerun and health"
        assert "sentiment" in dag.tags, f"{name}: want the tag sentiment"
        for task in dag.tasks:
            assert task.owner not in ("", "airflow"), f"{name}.{task.task_id}: want an owner of its own"


def test_every_dag_catches_nothing_up_and_runs_once_at_a_time(dags: dict[str, Any]) -> None:
    for name, dag in each(dags):
        assert dag.catchup is False, f"{name}: want catchup=False"
        assert dag.max_active_runs == 1, f"{name}: want max_active_runs=1"


def test_every_task_is_retried_a_few_times_and_ever_more_slowly(dags: dict[str, Any]) -> None:
    for name, dag in each(dags):
        assert any(task.retries for task in dag.tasks), f"{name}: want retries in default_args"
        for task in dag.tasks:
            assert 0 <= task.retries <= 3, f"{name}.{task.task_id}: want at most 3 retries, found {task.retries}"
            assert task.retry_exponential_backoff, f"{name}.{task.task_id}: want retry_exponential_backoff"


def test_the_training_pipeline_deletes_its_cluster_whatever_happens(dags: dict[str, Any]) -> None:
    deleting = [task for task in dags[TRAINING].tasks if task.is_teardown and "cluster" in task.task_id]
    assert deleting, f"{TRAINING}: want a teardown task that deletes the cluster"
    for task in deleting:
        setups = {before.task_id for before in task.upstream_list if before.is_setup}
        assert setups == {"cluster_due", "create_cluster"}, f"{task.task_id}: want a setup that cannot fail before it"


def test_the_first_task_is_the_one_that_reads_the_settings(dags: dict[str, Any]) -> None:
    """Before anything is created: what comes before it is nothing, and nothing else is first."""
    for name, dag in each(dags):
        first = [task.task_id for task in dag.roots]
        assert len(first) == 1, f"{name}: want one first task, found {first}"
        if set(dag.params) & set(defaults()):
            assert first == ["settings"], f"{name}: want the first task to be settings, found {first[0]}"


def test_every_param_says_what_it_is_and_stands_in_the_docs(dags: dict[str, Any]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name, dag in each(dags):
        for param in dag.params:
            description = dag.params.get_param(param).description
            assert description, f"{name}: want a description of Param {param}"
            assert f"`{param}`" in page, f"docs/operate.md: want Param {param} of {name} to be told"


def test_the_docs_hold_every_variable_as_the_code_has_it() -> None:
    assert table() in PAGE.read_text(encoding="utf-8"), "docs/operate.md is out of date: run `make docs`"
    assert set(re.findall(r"^\| `(\w+)` \|", table(), re.MULTILINE)) == set(defaults())
    assert all(field.metadata["meaning"] for field in Settings.__dataclass_fields__.values())
    assert (ROOT / "airflow" / "variables.example.json").read_text(encoding="utf-8") == example()


def test_no_variable_is_read_when_the_files_are_parsed() -> None:
    assert "seconds" in loaded(NO_VARIABLES)


def test_the_trap_for_variables_catches(tmp_path: Path) -> None:
    file = tmp_path / "reads.py"
    file.write_text(READS, encoding="utf-8")
    assert loaded(NO_VARIABLES, str(file)).count("caught") == 3


def test_the_dags_take_at_most_a_second_to_import_once_the_operators_are_there() -> None:
    """In fresh processes; the best of three, as other tests may be at work on this machine."""
    seconds = []
    for _ in range(TRIES):
        seconds.append(float(loaded(OPERATORS).split()[-1]))
        if seconds[-1] <= IMPORT_SECONDS:
            return
    pytest.fail(f"importing the DAG files took {seconds} s, want at most {IMPORT_SECONDS} s: import inside functions")
