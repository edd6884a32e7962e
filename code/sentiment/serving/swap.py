"""Which model is live: looked up in the background, loaded beside the live one, checked, swapped between batches."""

import json
import threading
import time
from collections.abc import Callable

from sentiment import storage
from sentiment.jobs import DataError
from sentiment.progress import log
from sentiment.serving import models
from sentiment.serving.models import Copies, Registry, RegistryAwayError, UnfitModelError
from sentiment.serving.scoring import Loaded

FETCHES = 3
"""How often a version's files are asked for before the version counts as unfit."""


class Keeper:
    """The live model, and the one that waits to replace it.

    `current` is called between batches and nowhere else. A registry that is away changes nothing but `staleness`.

    Attributes:
        rejected: version and reason of the alias's present version, when that is unfit; empty otherwise.
        swaps: how many swaps there were.
    """

    def __init__(
        self, registry: Registry, copies: Copies, reload_seconds: float, on_step: Callable[[str, int], None]
    ) -> None:
        self.registry = registry
        self.copies = copies
        self.reload_seconds = reload_seconds
        self.rejected: tuple[str, str] | tuple[()] = ()
        self.swaps = 0
        self._on_step = on_step
        self._live: Loaded | None = None
        self._offered: Loaded | None = None
        self._answered = time.monotonic()
        self._fetches: dict[str, int] = {}
        self._ended = threading.Event()
        self._others: dict[tuple[str, str], Loaded] = {}

    @property
    def staleness(self) -> float:
        """Seconds since the registry last said which version should be live."""
        return time.monotonic() - self._answered

    def start(self) -> None:
        """Load the model to begin with; without registry the last good copy; DataError if there is neither."""
        try:
            self._live = self._prepared(self.registry.resolve())
        except (RegistryAwayError, UnfitModelError) as error:
            self._live = self._last_good(error)
        self._remember(self._live)
        log.info("serving %s version %s", self._live.name, self._live.version)
        if not self.registry.choice.version:
            threading.Thread(target=self._look_for_ever, name="model-swap", daemon=True).start()

    def stop(self) -> None:
        """Look no further."""
        self._ended.set()

    @property
    def live(self) -> Loaded:
        """The model that served last."""
        assert self._live is not None
        return self._live

    def current(self) -> Loaded:
        """The model for the next new batch; the offered one becomes live here."""
        offered, self._offered = self._offered, None
        if offered is not None:
            log.info("swapping %s version %s for version %s", offered.name, self.live.version, offered.version)
            self._live = offered
            self.swaps += 1
            self._remember(offered)
        return self.live

    def version(self, name: str, version: str) -> Loaded:
        """A model for a batch that has been given its version before."""
        if (self.live.name, self.live.version) == (name, version):
            return self.live
        if (name, version) not in self._others:
            if not self.copies.has(name, version):
                if name != self.registry.choice.name:
                    raise DataError(f"a batch wants {name} version {version}, and there is no copy of it")
                self.copies.add(self.registry, version)
            self._others = {(name, version): self.copies.load(name, version, self.registry.choice.flavor)}
        return self._others[(name, version)]

    def look(self) -> None:
        """Ask the registry once, and prepare what it names if that is new."""
        try:
            version = self.registry.resolve()
        except (RegistryAwayError, UnfitModelError) as error:
            log.warning("model lookup: %s; version %s goes on serving", error, self.live.version)
            return
        self._answered = time.monotonic()
        if self.rejected and self.rejected[0] != version:
            self.rejected = ()
        waiting = self._offered or self.live
        if version == waiting.version or self.rejected:
            return
        try:
            self._offered = self._prepared(version)
        except RegistryAwayError as error:
            self._fetches[version] = self._fetches.get(version, 0) + 1
            log.warning("model lookup: %s (%d of %d tries)", error, self._fetches[version], FETCHES)
            if self._fetches[version] >= FETCHES:
                self._reject(version, str(error))
        except UnfitModelError as error:
            self._reject(version, str(error))

    def _look_for_ever(self) -> None:
        while not self._ended.wait(self.reload_seconds):
            try:
                self.look()
            except Exception:  # noqa: BLE001  whatever it is, the live model goes on serving
                log.exception("model lookup failed; version %s goes on serving", self.live.version)

    def _prepared(self, version: str) -> Loaded:
        name = self.registry.choice.name
        self.copies.add(self.registry, version)
        self._on_step("in-mid-swap", -1)
        try:
            loaded = self.copies.load(name, version, self.registry.choice.flavor)
            models.check(self.copies.spark, loaded)
        except UnfitModelError:
            self.copies.drop(name, version)
            raise
        self._answered = time.monotonic()
        return loaded

    def _reject(self, version: str, reason: str) -> None:
        self.rejected = (version, reason)
        log.error("version %s is not taken live: %s; version %s goes on serving", version, reason, self.live.version)
        try:
            self.registry.note_rejection(version, reason)
        except Exception as error:  # noqa: BLE001  the note is a courtesy, log and metrics have the reason
            log.warning("the rejection could not be noted in MLflow: %s", error)

    def _last_good(self, why: DataError) -> Loaded:
        spark = self.copies.spark
        path = storage.join(self.copies.folder, "good.json")
        if self.registry.choice.version or not storage.exists(spark, path):
            raise why
        good = json.loads(storage.read_text(spark, path))
        if good["name"] != self.registry.choice.name or not self.copies.has(good["name"], good["version"]):
            raise why
        log.warning("%s; serving the last good copy, version %s", why, good["version"])
        return self.copies.load(good["name"], good["version"], self.registry.choice.flavor)

    def _remember(self, loaded: Loaded) -> None:
        path = storage.join(self.copies.folder, "good.json")
        text = json.dumps({"name": loaded.name, "version": loaded.version})
        storage.replace_text(self.copies.spark, path, text)
