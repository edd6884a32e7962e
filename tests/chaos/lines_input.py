"""Input that is no good: poisoned messages, a file that changes under its batch."""

import json
import os
from typing import Any

from chaos import checks
from chaos.place import Place
from chaos.stream import Broken

MESSAGES = 3_000
EVERY = 100
POISON: list[tuple[bytes | None, str]] = [
    (b'{"text": "broken', "broken JSON"),
    (None, "empty"),
    (b"", "empty"),
    (json.dumps({"text": "y" * 1_000_000}).encode(), "longer than"),
    (b'{"text": "\xff\xfe caf\xe9"}', "not UTF-8"),
    (b'{"text": 17}', "not a string"),
    (b'{"text": {"a": 1}}', "not a string"),
    (b'{"text": ["a"]}', "not a string"),
    (b"[1, 2]", "not a JSON object"),
    (b'{"txt": "no text"}', "no text"),
    (b'{"text": null}', "no text"),
    (b'{"text": "   "}', "blank"),
]


def poison(place: Place) -> None:
    """One message in a hundred cannot be used; each becomes one dead letter that says why and where it came from."""
    bad = MESSAGES // EVERY
    for start in range(0, bad, len(POISON)):
        for content, _ in POISON[: bad - start]:
            place.feed(EVERY - 1)
            place.send([content])
    stream = place.start("--available-now", max_offsets_per_trigger=1000)
    stream.ends(0)
    place.every_message_once()
    dead = checks.rows(place.dead)
    expected = sorted(reason for start in range(0, bad, len(POISON)) for _, reason in POISON[: bad - start])
    if len(dead) != bad or len(place.ids) + bad != MESSAGES:
        raise Broken(f"want {bad} dead letters, found {len(dead)}")
    left = list(dead["reason"])
    for reason in expected:
        match = next((each for each in left if reason in each), None)
        if match is None:
            raise Broken(f"want a dead letter with {reason!r}, found {left}")
        left.remove(match)
    places = set(dead["source"])
    if len(places) != bad or not all(each.startswith(f"kafka:{place.input_topic}/") for each in places):
        raise Broken(f"want {bad} different coordinates, found {len(places)}")
    place.checked += bad


def changed_file(place: Place) -> None:
    """A file is edited after its batch's intent was written; the query ends and names it."""
    watched = place.folder / "watched"
    watched.mkdir()

    def write(name: str, count: int) -> None:
        fresh = [f"{name}-{number}" for number in range(count)]
        text = "".join(json.dumps({"text": "what a day", "id": each}) + "\n" for each in fresh)
        (place.folder / name).write_text(text)
        (place.folder / name).rename(watched / name)
        place.ids.extend(fresh)

    changed: dict[str, Any] = {
        "source_type": "file",
        "input_path": watched,
        "file_format": "json",
        "max_files_per_trigger": 1,
        **dict.fromkeys(("kafka_bootstrap", "kafka_topic", "max_offsets_per_trigger")),
    }
    for number in range(3):
        write(f"part-{number}.jsonl", 40)
    place.standing_at("after-parquet:1", **changed).kill()
    victim = watched / _file_of(place, 1)
    whole, times = victim.read_bytes(), (victim.stat().st_atime_ns, victim.stat().st_mtime_ns)
    victim.write_bytes(whole + b'{"text": "added"}\n')
    place.start(**changed).fails(victim.name)
    victim.write_bytes(whole)
    os.utime(victim, ns=times)
    place.start("--available-now", **changed).ends(0)
    place.every_message_once()


def _file_of(place: Place, batch: int) -> str:
    """The name of the file that a batch is made of."""
    intent = json.loads((place.checkpoint / "intents" / f"{batch}.json").read_text())
    (path,) = intent["source"]
    return str(path).rpartition("/")[2]
