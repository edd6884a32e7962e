"""Arguments: bounds, and errors that name the flag, what was wanted and what was found."""

from pathlib import Path
from types import ModuleType

import audit_predictions
import create_splits
import drift_report
import preprocess
import produce_tweets
import pytest
import report
import score_batch
import sentiment_multimodel
import train_and_log

from sentiment import arguments, progress
from sentiment import report as training_report
from sentiment.jobs import ArgumentsError

MULTIMODEL = ["--input", "x", "--output", "y"]


@pytest.mark.parametrize(
    ("extra", "flag", "found"),
    [
        (["--train-ratio", "1"], "--train-ratio", "'1'"),
        (["--val-ratio", "nan"], "--val-ratio", "'nan'"),
        (["--cv-folds", "1"], "--cv-folds", "'1'"),
        (["--cv-folds", str(2**31 - 1)], "--cv-folds", "want a whole number from 2 to 100"),
        (["--models", "gbt,perceptron"], "--models", "perceptron"),
        (["--models", " , "], "--models", "nothing"),
        (["--sample-fraction", "0"], "--sample-fraction", "'0'"),
        (["--max-rows", "-5"], "--max-rows", "'-5'"),
        (["--num-features", "0"], "--num-features", "'0'"),
        (["--max-rejected", "2"], "--max-rejected", "'2'"),
        (["--registered-model-name", "a/b"], "--registered-model-name", "'a/b'"),
        (["--registered-model-name", "bob's"], "--registered-model-name", "want a name without / : ? ' and \""),
        (["--registered-model-name", 'the "best"'], "--registered-model-name", "'the \"best\"'"),
        (["--registered-model-name", "a\tb"], "--registered-model-name", "'a\\tb'"),
        (["--seed", "x"], "--seed", "'x'"),
        (["--seed", str(2**63)], "--seed", "from 0 to 9223372036854775807"),
        (["--max-rows", str(2**31)], "--max-rows", "from 0 to 2147483647"),
        (["--num-features", "5000000000"], "--num-features", "from 1 to 2147483647"),
        (["--seed", "9" * 5000], "--seed", "want a whole number from 0 to 9223372036854775807, got '9"),
        (["--input", ""], "--input", "want a path or a URI, got ''"),
        (["--output", " "], "--output", "want a path or a URI"),
    ],
)
def test_an_argument_out_of_bounds_is_named_and_ends_with_2(
    capsys: pytest.CaptureFixture[str], extra: list[str], flag: str, found: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        sentiment_multimodel.parse_args([*MULTIMODEL, *extra])
    assert ended.value.code == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert flag in last
    assert found in last


@pytest.mark.parametrize("ratios", [("0.9", "0.1"), ("0.7", "0.4"), ("0.99995", "0.00004")])
def test_ratios_that_leave_no_test_rows_are_refused(ratios: tuple[str, str]) -> None:
    args = create_splits.parse_args(
        ["--input", "x", "--output", "y", "--train-ratio", ratios[0], "--val-ratio", ratios[1]]
    )
    with pytest.raises(ArgumentsError, match=r"--train-ratio and --val-ratio: want a sum of at most 0\.9999"):
        arguments.splitting(args)


@pytest.mark.parametrize(
    ("script", "flag"),
    [
        (score_batch, "--input"),
        (drift_report, "--input"),
        (drift_report, "--output"),
        (audit_predictions, "--output-path"),
        (produce_tweets, "--input"),
        (report, "--predictions"),
        (report, "--output"),
    ],
)
def test_an_empty_text_is_no_path(capsys: pytest.CaptureFixture[str], script: ModuleType, flag: str) -> None:
    with pytest.raises(SystemExit) as ended:
        script.parse_args([flag, ""])
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(f"argument {flag}: want a path or a URI, got ''\n")


def test_abbreviated_flags_are_refused() -> None:
    with pytest.raises(SystemExit):
        preprocess.parse_args(["--inp", "x", "--output", "y"])


def test_the_command_that_opens_mlflow_can_be_pasted() -> None:
    assert "--backend-store-uri 'sqlite:////a b/mlflow.db', then" in training_report._how_to_open(
        "sqlite:////a b/mlflow.db"
    )


def test_the_documented_defaults_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    args = sentiment_multimodel.parse_args(MULTIMODEL)
    assert (args.mlflow_uri, args.mlflow_experiment) == ("sqlite:///mlflow.db", "default")
    assert (args.train_ratio, args.val_ratio, args.sample_fraction, args.seed) == (0.8, 0.1, 1.0, 42)
    assert (args.enable_cv, args.cv_folds, args.enable_caching, args.max_rows) == (False, 2, False, 0)
    assert args.models == ["logisticregression", "linearsvc", "randomforest", "gbt"]
    assert args.registered_model_name == "twitter-sentiment-model"


def test_the_tracking_server_of_the_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5001")
    assert train_and_log.parse_args(["--data", "x"]).mlflow_uri == "http://127.0.0.1:5001"


def test_where_ci_cd_env_names_a_registry_it_is_said_which_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_URI", "SENTIMENT_LOCAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    said: list[str] = []
    monkeypatch.setattr(progress.log, "info", lambda text, *words: said.append(text % words))
    env, here = tmp_path / "env", "sqlite:///mlflow.db"
    assert arguments.registry(None, env) == here
    env.write_text("PROJECT_ID=acme\n#MLFLOW_TRACKING_URI=http://none\n", encoding="utf-8")
    assert arguments.registry(None, env) == here
    env.write_text("PROJECT_ID=acme\r\nMLFLOW_TRACKING_URI=http://me:hu/s@h@mlflow.internal:5000\r\n", encoding="utf-8")
    line = r"^--mlflow-uri: want it or MLFLOW_TRACKING_URI, as ci-cd/env names http://mlflow\.internal:5000 and make"
    with pytest.raises(ArgumentsError, match=line):
        arguments.registry(None, env)
    assert arguments.registry(here, env) == here
    monkeypatch.setenv("SENTIMENT_LOCAL_ENV", "1")  # its settings lead nowhere else
    assert arguments.registry(None, env) == here
    monkeypatch.delenv("SENTIMENT_LOCAL_ENV")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hu/s@h@mlflow.internal:5000")
    assert arguments.registry(None, env) == "http://me:hu/s@h@mlflow.internal:5000"
    assert said[-2:] == [f"registry: {here}", "registry: http://mlflow.internal:5000"]
