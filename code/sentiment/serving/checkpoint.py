"""What a stream remembers beside Spark's own checkpoint: settings, intents, manifests, requests."""

import json
from typing import Any

from pyspark.sql import SparkSession

from sentiment import objects, storage
from sentiment.jobs import DataError
from sentiment.serving.layout import DRAIN, INPUT_TOPIC, METADATA, SETTINGS
from sentiment.serving.layout import INTENTS as INTENTS
from sentiment.serving.layout import MANIFESTS as MANIFESTS
from sentiment.serving.layout import WRITTEN as WRITTEN
from sentiment.serving.settings import Serving


class OlderCheckpointError(DataError):
    """The checkpoint knows nothing of a batch that its stream has written: an older copy of it was put back."""

    def __init__(self, location: str, batch: int, place: str) -> None:
        super().__init__(
            f"--checkpoint {location}: want all that its stream has written, found batch {batch} in {place} already; "
            "an older copy cannot go on: want the latest one back, or a new --checkpoint"
        )


class Checkpoint:
    """The JSON objects of one stream, in folders of its checkpoint.

    intents/N.json is created before batch N writes anything, written/N.json when its files are in place,
    manifests/N.json when all of it is complete.
    """

    def __init__(self, spark: SparkSession, location: str) -> None:
        self.spark = spark
        self.location = location

    def path(self, *parts: str) -> str:
        """A place below the checkpoint."""
        return storage.join(self.location, *parts)

    def create(self, kind: str, batch: int, content: dict[str, Any]) -> dict[str, Any]:
        """Create the object of a batch; where there is one already, that one counts and is given back."""
        if storage.create_text(self.spark, self.path(kind, f"{batch}.json"), _text(content)):
            return content
        found = self.read(kind, batch)
        assert found is not None
        return found

    def read(self, kind: str, batch: int) -> dict[str, Any] | None:
        """The object of a batch, or None."""
        return self._read(self.path(kind, f"{batch}.json"))

    def batches(self, kind: str) -> list[int]:
        """The numbers of the batches that have such an object, ascending."""
        names = storage.names(self.spark, self.path(kind))
        return sorted(int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdecimal())

    def query_id(self) -> str:
        """Spark's own id of the query, which it keeps in the checkpoint."""
        found = self._read(self.path(METADATA))
        if found is None:
            raise DataError(f"--checkpoint {self.location}: want a stream's checkpoint, found no metadata in it")
        return str(found["id"])

    def offsets(self, batch: int) -> list[Any] | None:
        """Spark's own record of where each source stood at the end of a batch; None: no such record."""
        location = self.path("offsets", str(batch))
        if not storage.exists(self.spark, location):
            return None
        return [json.loads(line) for line in storage.read_text(self.spark, location).splitlines()[2:]]

    def has_commit(self, batch: int) -> bool:
        """Whether Spark holds the batch for done."""
        return storage.exists(self.spark, self.path("commits", str(batch)))

    def check_settings(self, serving: Serving) -> None:
        """Remember what the stream reads and writes; ArgumentsError when an earlier life had it otherwise."""
        self._read(self.path(METADATA))  # where that is damaged, the query's start tells nobody what
        location = self.path(SETTINGS)
        if not storage.create_text(self.spark, location, _text(serving.identity())):
            serving.check_begun_with(self._read(location) or {})

    def check_topic(self, topic: str, known_as: str) -> None:
        """Remember the id of the topic that the stream reads; DataError when it was another topic of that name.

        Its offsets mean nothing in that one. Checkpoints did not always know the id: then today's counts.
        """
        location = self.path(INPUT_TOPIC)
        if storage.create_text(self.spark, location, _text({"id": known_as})):
            return
        if (self._read(location) or {}).get("id") != known_as:
            raise DataError(
                f"--kafka-topic {topic}: want the topic that the checkpoint {self.location} was begun with, "
                "found one that was made anew under its name; want a new --checkpoint for it"
            )

    def settings(self) -> dict[str, str]:
        """What the stream was first started with, by flag."""
        found = self._read(self.path(SETTINGS))
        if found is None:
            raise DataError(f"--checkpoint {self.location}: want a checkpoint of the serving job, found none")
        return found

    def drain_asked(self) -> bool:
        """Whether somebody asked the stream to complete its batch and end."""
        return storage.exists(self.spark, self.path(DRAIN))

    def forget_drain(self) -> None:
        """Remove a request that an earlier life has answered."""
        storage.delete(self.spark, self.path(DRAIN))

    def _read(self, location: str) -> dict[str, Any] | None:
        return read_object(self.spark, location) if storage.exists(self.spark, location) else None


def read_object(spark: SparkSession, location: str) -> dict[str, Any]:
    """A JSON object of a checkpoint; DataError: there is another text in its place."""
    return objects.json_object(storage.read_text(spark, location), f"--checkpoint {location}")


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, sort_keys=True)
