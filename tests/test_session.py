"""The session that the jobs share."""

import package
import pytest
from pyspark.sql import SparkSession

from sentiment.session import loading, session


@pytest.mark.spark
def test_a_second_session_of_a_process_may_send_the_package_again(spark: SparkSession) -> None:
    session("first", workers_need_package=True)
    cache = package.CODE / "sentiment" / "__pycache__" / "come-since.pyc"
    cache.parent.mkdir(exist_ok=True)
    cache.write_bytes(b"as Python leaves them")
    try:
        assert session("second", workers_need_package=True) is spark
    finally:
        cache.unlink()


def test_what_cannot_be_loaded_beside_is_told() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module"), loading("sentiment.no_such_module"):
        pass
