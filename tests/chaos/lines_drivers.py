"""More drivers than one, other code, other starts: who may write, and what a new life finds."""

import shutil
import time

from chaos import checks
from chaos.place import UNDER_LOAD, Place
from chaos.stream import CODE, RUNS, Broken

FROZEN_SECONDS = 30.0


def frozen(place: Place) -> None:
    """The first driver is frozen in the middle of a batch, a second takes over, the first is thawed."""
    place.feed(500)
    first = place.standing_at("after-parquet:2")
    first.freeze()
    began = time.monotonic()
    second = place.start()
    time.sleep(max(0.0, FROZEN_SECONDS - (time.monotonic() - began)))
    second.wait_for(RUNS)
    first.thaw()
    place.feed(200)
    first.fails("no longer owns the checkpoint", 60)
    place.settle(second)


def frozen_under_load(place: Place) -> None:
    """The same at a moment that nobody chose, with messages arriving."""
    place.feed(100)
    first = place.running(max_offsets_per_trigger=UNDER_LOAD)
    with place.load(100):
        place.await_batch(first, 3)
        first.freeze()
        second = place.start(max_offsets_per_trigger=UNDER_LOAD)
        time.sleep(FROZEN_SECONDS)
        first.thaw()
        first.fails("no longer owns the checkpoint", 60)
        second.wait_for(RUNS)
    place.settle(second)


def two(place: Place) -> None:
    """Two drivers are started at once on one checkpoint."""
    place.feed(600)
    both = [place.start(), place.start()]
    until = time.monotonic() + 120
    while all(each.process.poll() is None for each in both) and time.monotonic() < until:
        time.sleep(0.2)
    ended = [each for each in both if each.process.poll() is not None]
    if len(ended) != 1:
        raise Broken(f"want exactly one driver to end, {len(ended)} did")
    ended[0].fails("no longer owns the checkpoint")
    (left,) = [each for each in both if each not in ended]
    place.settle(left)


def new_code(place: Place) -> None:
    """Another version of the code goes on with the checkpoint, is killed in mid-batch and followed by the first."""
    place.feed(500)
    place.standing_at("after-parquet:1").kill()
    code = place.folder / "code"
    shutil.copytree(CODE, code, ignore=shutil.ignore_patterns("__pycache__"))
    with (code / "sentiment" / "serving" / "service.py").open("a", encoding="utf-8") as file:
        file.write("\n\nprint('this is the new code', flush=True)\n")
    place.standing_at("after-parquet:3", code=code).wait_for("this is the new code").kill()
    place.settle()


def fresh_checkpoint(place: Place) -> None:
    """The checkpoint is deleted; a new life over the same output adds all rows again and changes no old one."""
    place.feed(400)
    place.start("--available-now").ends(0)
    before = place.every_message_once()
    files = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in checks.files(place.output)}
    shutil.rmtree(place.checkpoint)
    place.feed(100)
    place.start("--available-now").ends(0)
    for path, content in files.items():
        if (path.read_bytes(), path.stat().st_mtime_ns) != content:
            raise Broken(f"{path.name} of the first life was touched")
    frame = checks.rows(place.output)
    old_query = before["query_id"].iloc[0]
    fresh = frame[frame["query_id"] != old_query]
    if checks.digest(frame[frame["query_id"] == old_query]) != checks.digest(before):
        raise Broken("the first life's rows changed")
    place.checked += checks.each_once(place.ids, fresh["id"], "Parquet of the new life")
    sent = checks.records(place.bootstrap, place.output_topic)
    ids = [each["key"] for each in sent if each["query_id"] != old_query]
    checks.each_once(place.ids, ids, "Kafka of the new life")
    ids = [each["key"] for each in sent if each["query_id"] == old_query]
    checks.each_once(before["id"], ids, "Kafka of the first life")
