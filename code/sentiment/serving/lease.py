"""One driver per checkpoint: an epoch file that the owner renews, and that a newcomer outbids."""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable

from pyspark.sql import SparkSession

from sentiment import storage
from sentiment.jobs import DataError
from sentiment.progress import log
from sentiment.serving.layout import EPOCHS, OWNED, RELEASED, WAITING
from sentiment.tracking import brief

RENEW_SECONDS = 5.0
QUIET_SECONDS = 15.0
"""How long the older driver's file must not change before the newcomer counts it as gone."""

STALE_SECONDS = 10.0
"""An owner that could not renew for so long stops: less than what a newcomer waits."""


class LeaseLostError(DataError):
    """Another driver has taken the checkpoint over, or may have."""


class Lease:
    """The right to write for a checkpoint.

    `claim` outbids the owner before, `wait` waits until that one is gone; a thread of its own renews it; `check` raises
    LeaseLostError as soon as it may be another's.
    Looking and then writing is not one step on any object store: what is left of that gap is made harmless by file
    names that depend on the batch alone and by Kafka's fencing.
    """

    def __init__(self, spark: SparkSession, checkpoint: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.spark = spark
        self.folder = storage.join(checkpoint, EPOCHS)
        self.clock = clock
        self.epoch = 0
        self.lost = ""
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._renewed = clock()
        self._beat = 0
        self._state, self._saying = WAITING, threading.Lock()
        self._older = 0
        self._seen, self._since = "", clock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def claim(self) -> None:
        """Create the next epoch; nothing may be written for the checkpoint before `wait` has come back."""
        while True:
            self.epoch = max(self._epochs(), default=0) + 1
            begun = self.clock()
            if storage.create_text(self.spark, self._path(self.epoch), self._content()):
                break
        self._renewed = begun
        self._thread = threading.Thread(target=self._renew_for_ever, name="lease", daemon=True)
        self._thread.start()
        self._older = self._newest_that_owned()
        if self._older:
            self._seen, self._since = self._read(self._path(self._older)), self.clock()

    def wait(self, say: Callable[[str], None]) -> None:
        """Wait until the owner of the epoch before has stopped; the time since `claim` counts."""
        if self._older:
            self._wait_for(self._path(self._older), say)
        # Said before the last look: who creates the next epoch after that look finds an owner to wait for.
        self._say(OWNED)
        self.check()

    def check(self) -> None:
        """Raise LeaseLostError unless this driver still owns the checkpoint, as far as can be known."""
        since = self.clock() - self._renewed
        if not self.lost and since > STALE_SECONDS:
            self.lost = f"could not renew the lease in {self.folder} for {since:.0f} s"
        if not self.lost and max(self._epochs(), default=0) > self.epoch:
            self.lost = f"another driver has taken over ({self.folder}: an epoch above {self.epoch})"
        if self.lost:
            raise LeaseLostError(f"this driver no longer owns the checkpoint: {self.lost}")

    def release(self) -> None:
        """Tell a newcomer that it need not wait; one that never owned leaves that to the owner before it."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(RENEW_SECONDS)
        if not self.lost and self._state == OWNED:
            try:
                self._say(RELEASED)
            except Exception as error:  # noqa: BLE001  not told, a newcomer waits a little longer
                log.warning("lease: could not be released: %s", brief(error))

    def _wait_for(self, path: str, say: Callable[[str], None]) -> None:
        told = False
        while True:
            content = self._read(path) or self._seen
            if _state(content) == RELEASED:
                return
            if content != self._seen:
                self._seen, self._since = content, self.clock()
            left = QUIET_SECONDS - (self.clock() - self._since)
            if left <= 0:
                return
            if not told:
                say(f"waiting up to {left:.0f} s for the driver before this one ({path}) to be gone")
                told = True
            self.check()
            time.sleep(0.5)

    def _renew_for_ever(self) -> None:
        while not self._ended.wait(RENEW_SECONDS):
            try:
                self.check()
                self._say()
            except LeaseLostError:
                return
            except Exception as error:  # noqa: BLE001  a store that is away is met again, until STALE_SECONDS are over
                log.warning("lease: %s", brief(error))

    def _say(self, state: str = "") -> None:
        """Renew the epoch's file, with another state if there is one; two threads may want to."""
        if not self._saying.acquire(timeout=STALE_SECONDS):
            raise DataError(f"the store of {self.folder} does not answer")
        try:
            self._state = state or self._state
            begun = self.clock()  # a newcomer may see the file long before a slow store says that it is written
            storage.replace_text(self.spark, self._path(self.epoch), self._content())
            self._renewed = begun
        finally:
            self._saying.release()

    def _read(self, path: str) -> str:
        try:
            return storage.read_text(self.spark, path)
        except DataError:  # it is just being replaced
            return ""

    def _epochs(self) -> list[int]:
        return [int(name[:-5]) for name in storage.names(self.spark, self.folder) if name[:-5].isdecimal()]

    def _newest_that_owned(self) -> int:
        """The driver to wait for: one that outbid it and ended before it owned anything has not made it stop."""
        for epoch in sorted((each for each in self._epochs() if each < self.epoch), reverse=True):
            if _state(self._read(self._path(epoch))) != WAITING:
                return epoch
        return 0

    def _path(self, epoch: int) -> str:
        return storage.join(self.folder, f"{epoch:08d}.json")

    def _content(self) -> str:
        self._beat += 1
        return json.dumps({"owner": self._owner, "state": self._state, "beat": self._beat})


def _state(content: str) -> str:
    """What a driver's file says of it; empty: nothing that can be read, so the driver may own the checkpoint."""
    try:
        return str(json.loads(content)["state"])
    except (ValueError, TypeError, KeyError):  # cut by a power failure, say
        return ""
