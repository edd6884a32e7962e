"""What the training DAG decides between its operators: the data contract, the code that is staged, the plan."""

import gzip
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import package
import pytest
from airflow.sdk.exceptions import AirflowFailException
from airflow_run import Airflow
from buckets import Store
from gcs_service import Gcs
from google.api_core.exceptions import Forbidden, NotFound, ServiceUnavailable, TooManyRequests
from google.cloud import dataproc_v1 as dp
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import ErrorCode
from mlflow.tracking import MlflowClient
from sentiment_dags import contract, deploy, jobs, models, on_this_machine, staging, store, training, worker
from sentiment_dags.settings import Settings, read, restored
from sentiment_dags.streams import streams
from sentiment_dags.variables import AwayError, SettingsError
from services import ROOT, free_port

GOOD = '"0","1","","","u","bad"\n"4","2","","","u","good"\n'
SCRIPTS = ["sentiment_multimodel.py", "promote-model.py"]
Write = Callable[[str, bytes], Settings]


def settings(**variables: Any) -> Settings:
    return read({}, {"mlflow_tracking_uri": "http://mlflow:5000", **variables}.get)


@pytest.fixture
def bucket(airflow: Airflow, gcs: Gcs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Write:
    """Write a raw file into a folder of the test's own; the settings that name it."""
    del airflow  # for its connection
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.address())

    def write(name: str, content: bytes) -> Settings:
        if content:
            with Store(gcs.port) as store:
                store.write("sentiment-bucket-data", f"{tmp_path.name}/{name}", content)
        return settings(raw_data_prefix=tmp_path.name)

    return write


def test_tweets_are_counted_plain_and_zipped_in_both_encodings(bucket: Write) -> None:
    bucket("a.csv", GOOD.encode())
    bucket(
        "sub/b.csv.gz", gzip.compress('"2","3","","","u","so so"\n"4","4","","","u","tr\xe8s bien"\n'.encode("latin-1"))
    )
    found = contract.check(bucket("notes.txt", b"no tweets"))
    assert {name: found[name] for name in ("files", "rows", "negative", "neutral", "positive", "unusable")} == {
        **{"files": 2, "rows": 4, "negative": 1, "neutral": 1, "positive": 2, "unusable": 0}
    }


def test_only_the_first_megabytes_are_looked_at(bucket: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "FIRST_BYTES", len(GOOD) + 5)
    assert contract.check(bucket("long.csv", (GOOD + "broken\n" * 100).encode()))["rows"] == 2


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", r"want tweets in files named \*.csv or \*.csv.gz, found none"),
        (b"\n", r"want rows of six columns \(target, id, date, flag, user, text\), found none"),
        (b"target,id,text\n0,1,bad\n", "want six quoted columns .* found other rows: 2 of the first 2"),
        (b'"1","1","","","u","bad"\n', "a target out of 0, 2, 4"),
        (b'"2","1","","","u","so so"\n', "want rows of target 0 or 4, found neutral ones only"),
    ],
)
def test_tweets_that_break_the_contract_are_named_with_their_place(
    bucket: Write, tmp_path: Path, content: bytes, line: str
) -> None:
    with pytest.raises(contract.ContractError, match=f"^gs://sentiment-bucket-data/{tmp_path.name}: .*{line}"):
        contract.check(bucket("a.csv", content))


def test_a_carriage_return_ends_a_row_as_in_the_training() -> None:
    content = GOOD.replace("\n", "\r").encode() + b'"0","1","","","u","bad"\r\nhello\rworld\n'
    blob = SimpleNamespace(name="a.csv", size=len(content), download_as_bytes=lambda **_: content)
    counted = contract.count(contract._lines(blob))
    assert (counted["rows"], counted["negative"], counted["positive"], counted["unusable"]) == (5, 2, 1, 2)
    assert contract.count(["hello\rworld\n"])["unusable"] == 1


def test_a_bucket_that_is_not_there_is_named(bucket: Write) -> None:
    del bucket  # for its store
    with pytest.raises(
        contract.ContractError, match=r"^Variable data_bucket: want a bucket .*, found no-such-bucket: "
    ):
        contract.check(settings(data_bucket="no-such-bucket"))


def test_a_file_that_is_no_gzip_is_named(bucket: Write) -> None:
    with pytest.raises(contract.ContractError, match=r"a\.csv\.gz: want gzip, found something else"):
        contract.check(bucket("a.csv.gz", GOOD.encode()))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with one commit, of the files that are staged."""
    made = tmp_path / "checkout"
    shutil.copytree(ROOT / "code", made / "code", ignore=shutil.ignore_patterns("__pycache__"))
    for name in (package.GATE, "ci-cd/package.py", *package.FOR_CLUSTERS):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, made / name)
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", str(made), *words], check=True)
    return made


def test_code_is_staged_once_under_its_commit_and_changed_code_under_another_name(
    bucket: Write, gcs: Gcs, checkout: Path
) -> None:
    found = bucket("none", b"")
    revision = staging.staged(found, SCRIPTS, checkout)
    head = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout
    assert revision == head[:12]
    with Store(gcs.port) as store:
        first = {str(item["name"]): item["generation"] for item in store.objects("sentiment-bucket-code")}
        text = store.read("sentiment-bucket-code", f"code/{revision}/promote-model.py").decode()
    assert {f"code/{revision}/{name}" for name in ("sentiment.zip", *SCRIPTS)} <= first.keys()
    assert "_unpack_sentiment(" in text
    assert staging.staged(found, SCRIPTS, checkout) == revision
    assert staging.staged(settings(code_revision=revision), SCRIPTS, Path("/nowhere")) == revision
    with Store(gcs.port) as store:
        again = {str(item["name"]): item["generation"] for item in store.objects("sentiment-bucket-code")}
    assert again == first
    with (checkout / "code" / "sentiment" / "text.py").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    changed = staging.staged(found, SCRIPTS, checkout)
    assert changed.startswith(f"{revision}-dirty-")
    assert staging.staged(found, SCRIPTS, checkout) == changed


def test_a_revision_that_nobody_staged_is_named(bucket: Write) -> None:
    del bucket  # for its connection
    with pytest.raises(SettingsError, match=r"^Variable code_revision: want a revision that is staged in gs://.*none"):
        staging.staged(settings(code_revision="0123456789ab"), SCRIPTS, ROOT)
    with pytest.raises(SettingsError, match=r"^Variable code_revision: .* lie in no checkout, found nothing"):
        staging.staged(settings(), SCRIPTS, Path("/nowhere"))


def test_a_worker_in_no_checkout_fetches_the_package_of_a_revision_once(
    bucket: Write, checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    revision = staging.staged(bucket("none", b""), SCRIPTS, checkout)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delitem(sys.modules, "sentiment")
    monkeypatch.setattr(sys, "path", sys.path.copy())
    with pytest.raises(SettingsError, match=r"^Variable code_revision: want a staged revision, found none at gs://"):
        worker.package(settings(code_revision="0123456789ab"), Path("/nowhere"))
    worker.package(settings(code_revision=revision), Path("/nowhere"))
    place = Path(sys.path.pop(0))
    assert place.is_relative_to(tmp_path / "home")
    assert "sentiment/__init__.py" in zipfile.ZipFile(place).namelist()
    assert [path.name for path in place.parent.iterdir()] == [staging.PACKAGE]
    monkeypatch.setattr(store, "client", lambda *_: pytest.fail("the store was asked again"))
    worker.package(settings(code_revision=revision), Path("/nowhere"))
    assert sys.path[0] == str(place)


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that answers, for plans that do not ask it anything."""
    monkeypatch.setattr(models, "client", lambda uri: uri)


@pytest.mark.usefixtures("answering")
def test_every_run_has_its_own_names_and_every_try_of_it_the_same() -> None:
    given = {"mlflow_tracking_uri": "http://m:1", **dict.fromkeys(("create_cluster", "cluster_name"), "")}
    params = {**given, "code_bucket": "b-code"}
    first, again = (training.plan(params, "manual__2026-11-21T10:00:00+00:00", "20261121") for _ in range(2))
    other = training.plan(params, "manual__2026-11-21T10:00:01+00:00", "20261121")
    assert first == again
    assert {first[key] for key in ("name", "output")}.isdisjoint({other[key] for key in ("name", "output")})
    assert first["cluster_name"] == first["name"] == restored(first["settings"]).cluster_name
    json.dumps(first)
    named = training.plan({**params, "create_cluster": False}, "r", "20261121")
    assert (named["create"], named["cluster_name"]) == (False, "sentiment-cluster")
    job = dp.Job(training.training_job(first, "0" * 12))
    assert (job.reference.job_id, job.placement.cluster_name) == (first["name"], first["name"])
    gate = dp.Job(training.gate_job(first, "0" * 12, {"twitter-sentiment-model-best": "7"}))
    assert list(gate.pyspark_job.args)[4:6] == ["--model-version", "7"]
    assert gate.reference.job_id == f"gate-{first['name']}"
    assert gate.labels["job"] == jobs.GATE


@pytest.mark.usefixtures("answering")
@pytest.mark.parametrize(
    ("name", "words", "script", "found"),
    [
        ("training_args", ["--no-such"], "sentiment_multimodel.py", "unrecognized arguments: --no-such"),
        ("training_args", ["--output", "gs://mine"], "sentiment_multimodel.py", "want --output once, .*"),
        ("gate_args", ["--no-such"], "promote-model.py", "unrecognized arguments: --no-such"),
        ("gate_args", ["--help"], "promote-model.py", "want no --help among the arguments"),
    ],
)
def test_arguments_that_a_script_does_not_take_are_named_before_anything_is_made(
    name: str, words: list[str], script: str, found: str
) -> None:
    params = {"mlflow_tracking_uri": "http://m:1", name: words}
    with pytest.raises(SettingsError, match=f"^Variable {name}: want arguments that {script} takes, .*: {found}$"):
        training.plan(params, "r", "20261121")
    on_this_machine.check_arguments(name, script, ["--no-such"], Path("/nowhere"))


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_run_s_cluster_is_one_that_dataproc_takes(workers: str) -> None:
    more = {"cluster_metadata": '{"WHEELS_GCS_URI": "gs://w"}', "cluster_zone": "us-central1-b"}
    config = dp.ClusterConfig(training.cluster_config(settings(cluster_workers=workers, **more), "0" * 12))
    listed = "gs://sentiment-bucket-code/code/000000000000/requirements-cluster.txt"
    assert dict(config.gce_cluster_config.metadata) == {"REQUIREMENTS_GCS_URI": listed, "WHEELS_GCS_URI": "gs://w"}
    assert config.gce_cluster_config.zone_uri == "us-central1-b"
    assert not dp.ClusterConfig(training.cluster_config(settings(), "0" * 12)).gce_cluster_config.zone_uri
    assert config.lifecycle_config.idle_delete_ttl.seconds == 3600
    assert config.worker_config.num_instances == int(workers)
    place = "gs://sentiment-bucket-code/code/000000000000/init-conda-spark-nlp-mlflow.sh"
    assert config.initialization_actions[0].executable_file == place
    allowed = config.software_config.properties.get("dataproc:dataproc.allow.zero.workers")
    assert allowed == (None if workers == "2" else "true")


def test_a_registry_that_is_away_is_named_without_its_password_and_leaves_the_task_its_other_tries() -> None:
    port = free_port()
    with pytest.raises(AwayError) as error, worker.at_once():
        models.client(f"http://user:hidden@127.0.0.1:{port}")  # pragma: allowlist secret
    line = f"Variable mlflow_tracking_uri: want an MLflow server that answers, found http://***@127.0.0.1:{port}: "
    assert str(error.value).startswith(line)
    assert "hidden" not in str(error.value)


class Failing:
    """A registry, or a store, that answers everything with an error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def get_registered_model(self, _: str) -> None:
        raise self.error

    def list_blobs(self, *_: object, **__: object) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("code", "away"),
    [
        ("INTERNAL_ERROR", True),  # a connection that is refused too
        ("TEMPORARILY_UNAVAILABLE", True),
        ("REQUEST_LIMIT_EXCEEDED", True),
        ("RESOURCE_DOES_NOT_EXIST", False),
        ("UNAUTHENTICATED", False),
    ],
)
def test_only_a_registry_s_answer_that_another_try_would_get_too_fails_a_task_at_once(code: str, away: bool) -> None:
    error = MlflowException("http://u:hidden@m/api\nfailed", ErrorCode.Value(code))  # pragma: allowlist secret
    (stream,) = streams(settings(serving_source_type="file"))
    line = r"^stream (\S+): want the registered model \1, found: http://\*\*\*@m/api failed$"
    with pytest.raises(AwayError if away else AirflowFailException, match=line), worker.at_once():
        models.served(Failing(error), stream)
    if away:  # "no champion" would be wrong
        with pytest.raises(AwayError, match=r"^want the champion of m, found: "):
            models.champion(Failing(error), "m")
    else:
        assert models.champion(Failing(error), "m") == ""


@pytest.mark.parametrize(
    ("error", "away"),
    [(ServiceUnavailable, True), (TooManyRequests, True), (NotFound, False), (Forbidden, False)],
)
def test_only_a_bucket_s_answer_that_another_try_would_get_too_fails_a_task_at_once(
    error: Callable[[str], Exception], away: bool
) -> None:
    line = "^Variable code_bucket: want a bucket that can be read, found b: why not$"
    with pytest.raises(AwayError if away else AirflowFailException, match=line), worker.at_once():
        deploy.check_bucket(Failing(error("why\nnot")), "code_bucket", "b")


def test_a_worker_without_mlflow_says_what_it_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.exceptions", None)
    with pytest.raises(
        models.RegistryError, match=r"^want the package mlflow-skinny on the Airflow worker, found none"
    ):
        models.client("http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("conf", "line"),
    [
        ({"create_cluster": "perhaps"}, "Param create_cluster: want true or false, found 'perhaps'"),
        (
            {"mlflow_tracking_uri": "none://m"},
            "Variable mlflow_tracking_uri: want an MLflow server that answers, found",
        ),
    ],
)
def test_an_impossible_variable_fails_the_first_task_and_nothing_is_made(
    airflow: Airflow,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    conf: dict[str, str],
    line: str,
) -> None:
    states = airflow.run("sentiment_ml_training_pipeline", conf)
    assert (states[""], states["settings"], states["create_cluster"]) == ("failed", "failed", "upstream_failed")
    assert states["notify"] == "success"
    assert line in capsys.readouterr().out
    assert caplog.text.count("starting task_id=settings") == 1  # another try would meet the same
    assert "failed: settings" in caplog.text


@pytest.fixture
def registry(tmp_path: Path) -> MlflowClient:
    """A registry that holds one training."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    made = MlflowClient(uri, uri)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").touch()
    run_id = made.create_run(made.create_experiment("e", artifact_location=str(tmp_path / "runs"))).info.run_id
    for name in ("m-gbt", "m-best"):
        made.create_registered_model(name)
        made.create_model_version(name, str(tmp_path / "model"), run_id)
    return made


def finished(registry: MlflowClient) -> dict[str, Any]:
    """What that training wrote down."""
    run_id = registry.get_model_version("m-gbt", "1").run_id
    models = {"gbt": {"run_id": run_id, "version": "1", "name": "m-gbt"}}
    return {"state": "finished", "models": models, "best": {"classifier": "gbt", "version": "1"}}


def test_every_version_that_a_training_names_has_to_be_there_whole(registry: MlflowClient, tmp_path: Path) -> None:
    run = finished(registry)
    assert models.verified(registry, "m", run) == {"m-gbt": "1", "m-best": "1"}
    other = {**run, "models": {"gbt": {**run["models"]["gbt"], "run_id": "0" * 32}}}
    for wrong, line in (
        ({**run, "state": "running"}, "want a finished training with a best model, found state 'running'"),
        ({**run, "best": {"classifier": "gbt", "version": "2"}}, "m-best version 2: "),
        (other, "m-gbt version 1: want it READY and of run 00000000000000000000000000000000, found READY of run "),
    ):
        with pytest.raises(models.RegistryError, match=line):
            models.verified(registry, "m", wrong)
    (tmp_path / "model" / "MLmodel").unlink()
    with pytest.raises(models.RegistryError, match=r"m-gbt version 1: want an MLmodel at .*model, found none"):
        models.verified(registry, "m", run)


def test_a_decision_is_told_and_held_against_the_registry(registry: MlflowClient) -> None:
    kept = {"challenger": "1", "promoted": False, "champion": "7", "lines": ["kept: accuracy: 0.6, want 0.7"]}
    decided = training.chosen(registry, "m-best", "1", kept)
    assert (decided["moved"], decided["champion"]) == (False, "")
    assert training.told(decided, "drift") == [
        "triggered because: drift",
        "m-best: version 1 is kept as challenger; version none stays champion",
        "kept: accuracy: 0.6, want 0.7",
    ]
    with pytest.raises(models.RegistryError, match="found a verdict about version 1 and version none live"):
        training.chosen(registry, "m-best", "1", {**kept, "promoted": True})
    registry.set_registered_model_alias("m-best", "champion", "1")
    decided = training.chosen(registry, "m-best", "1", {**kept, "promoted": True})
    assert training.told(decided, "")[0] == "m-best: version 1 is the champion now"
    with pytest.raises(models.RegistryError, match="want version 2 decided about"):
        training.chosen(registry, "m-best", "2", kept)
