"""Jobs on gs:// paths, through Google's connector and the local object store: written, read, streamed, killed."""

import io

import pyarrow.parquet as pq
import pytest
from buckets import Store
from chaos.zoo import Zoo
from gcs_service import Gcs
from gs_lives import BUCKET, FILES, LINES, TWEETS, Lives, lived

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def lives(gcs: Gcs, zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Lives:
    return lived(gcs, zoo.copied(tmp_path_factory.mktemp("registry")), tmp_path_factory.mktemp("gs"))


def named(names: list[str], lives: Lives, part: str, ending: str) -> list[str]:
    """The objects under a folder of the place whose names end so."""
    folder = f"{lives.place.removeprefix(f'gs://{BUCKET}/')}/{part}/"
    return [name for name in names if name.startswith(folder) and name.endswith(ending)]


def test_the_jobs_read_and_replace_on_gs(lives: Lives) -> None:
    rows = [int(word) for word in lives.said.splitlines()[-1].removeprefix("rows ").split()]
    assert rows[0] == sum(rows[1:]) == TWEETS
    assert [path.name for path in lives.folder.iterdir() if path.name != "artifacts"] == []


def test_the_serving_job_on_gs_is_killed_in_mid_batch(lives: Lives) -> None:
    written = named(lives.after_kill, lives, "predictions", ".parquet")
    assert len(written) == 3, "batch 2 was to be in the files when it was killed"
    manifests = [name.rpartition("/")[2] for name in named(lives.after_kill, lives, "checkpoint/manifests", ".json")]
    assert sorted(manifests) == ["0.json", "1.json"]


def test_the_serving_job_on_gs_that_is_started_again_has_every_message_once(gcs: Gcs, lives: Lives) -> None:
    lines = lives.said.splitlines()
    assert "every message once" in lines
    counts = {words[0]: words[1].replace(",", "") for words in map(str.split, lines) if len(words) == 2}
    wanted = {
        "batches": FILES,
        "rows_in": FILES * (LINES + 1),
        "predictions": len(lives.ids),
        "dead_letters": FILES,
    }
    assert {name: counts[name] for name in wanted} == {name: str(count) for name, count in wanted.items()}
    found: list[str] = []
    with Store(gcs.port) as store:
        names = [str(found["name"]) for found in store.objects(BUCKET)]
        for name in named(names, lives, "predictions", ".parquet"):
            content = store.read(BUCKET, name)
            found += pq.read_table(io.BytesIO(content), columns=["id"])["id"].to_pylist()
    assert sorted(found) == sorted(lives.ids)
