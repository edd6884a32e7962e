"""Who takes the Spark session or the zoo is in the files that one worker runs together."""

from pathlib import Path

import pytest
from sharing import SPARK, ZOO, shared

TESTS = Path(__file__).parent


@pytest.mark.parametrize(
    ("name", "found"),
    {"test_serving_stream.py": ZOO, "test_text.py": SPARK, "test_cluster.py": None, "test_terms.py": None}.items(),
)
def test_a_file_s_text_tells_what_it_shares(name: str, found: str | None) -> None:
    assert shared(TESTS / name) == found


@pytest.mark.parametrize(("fixture", "places"), [("spark", {SPARK, ZOO}), ("zoo", {ZOO})])
def test_no_other_file_has_them_made_once_more(request: pytest.FixtureRequest, fixture: str, places: set[str]) -> None:
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    assert {
        item.path.name for item in items if fixture in item.fixturenames and shared(item.path) not in places
    } == set()
