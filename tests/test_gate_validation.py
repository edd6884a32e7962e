"""The gate's rows out of raw tweets are those of the splits that the jobs write from them."""

from pathlib import Path

import create_splits
import preprocess
import pytest
from pyspark.sql import SparkSession

from sentiment.gate import validation
from sentiment.jobs import DataError
from sentiment.splits import Splitting

RUN = {name: str(value) for name, value in Splitting(0.6, 0.2, 7).described().items()}

pytestmark = pytest.mark.spark


def test_raw_tweets_give_the_test_rows_that_the_splits_of_the_same_tweets_have(
    spark: SparkSession, sample_csv: Path, tmp_path: Path
) -> None:
    clean, divided = str(tmp_path / "clean"), str(tmp_path / "splits")
    preprocess.main(["--input", str(sample_csv), "--output", clean])
    ratios = ["--train-ratio", RUN["train_ratio"], "--val-ratio", RUN["val_ratio"], "--seed", RUN["seed"]]
    create_splits.main(["--input", clean, "--output", divided, *ratios])
    written = validation.read(spark, divided, {})
    raw = validation.read(spark, str(sample_csv), RUN)
    assert (raw.digest, raw.counts, raw.splitting) == (written.digest, written.counts, written.splitting)
    assert sum(raw.counts.values()) == len(raw.rows) > 300
    other = validation.read(spark, str(sample_csv.parent), {**RUN, "seed": "8"})
    assert other.digest != raw.digest


def test_raw_tweets_want_a_run_that_says_how_it_divided(spark: SparkSession, sample_csv: Path) -> None:
    with pytest.raises(DataError, match="want raw tweets to be divided as the version's training did it"):
        validation.read(spark, str(sample_csv), {})
