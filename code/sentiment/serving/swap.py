"""Which model is live: looked up in the background, loaded beside the live one, checked, swapped between batches."""

import json
import threading
import time
from collections.abc import Callable

from sentiment import storage
from sentiment.jobs import DataError
from sentiment.progress import log
from sentiment.serving import models
from sentiment.serving.checkpoint import read_object
from sentiment.serving.models import Copies, MissingFilesError, Registry, RegistryAwayError, UnfitModelError
from sentiment.serving.scoring import Loaded

FETCHES = 3
"""How often a version's files must be found missing before the version counts as unfit."""


class Keeper:
    """The live model, and the one that waits to replace it.

    `current` is called between batches and nowhere else. A registry that is away changes nothing but `staleness`.

    Attributes:
        rejected: version and reason of the alias's present version, when that is unfit; empty otherwise.
        swaps: how many swaps there were.

    Args:
        registry: names the version.
        copies: have it.
        reload_seconds: between two looks at the registry.
        on_step: called between the copy of a version and its load, with the step's name and no batch, -1.
        drop_unwanted: removes copies that are not `wanted`, after a swap, while no copy is being made.
    """

    def __init__(
        self,
        registry: Registry,
        copies: Copies,
        reload_seconds: float,
        on_step: Callable[[str, int], None],
        drop_unwanted: Callable[[], None] = lambda: None,
    ) -> None:
        self.registry = registry
        self.copies = copies
        self.reload_seconds = reload_seconds
        self.rejected: tuple[str, str] | tuple[()] = ()
        self.swaps = 0
        self._on_step, self._drop_unwanted = on_step, drop_unwanted
        self._refused: tuple[str, str] | None = None
        self._replaced: set[tuple[str, str]] = set()
        self._tidied = 0
        self._first, self._stands_in = "", False
        self._live: Loaded | None = None
        self._offered: Loaded | None = None
        self._offering = threading.Lock()
        self._answered = time.monotonic()
        self._misses = ("", 0)
        self._ended = threading.Event()
        self._others: dict[tuple[str, str], Loaded] = {}

    @property
    def staleness(self) -> float:
        """Seconds since the registry last said which version should be live."""
        return time.monotonic() - self._answered

    def choose(self) -> None:
        """Find out what to begin with; without registry the last good copy; DataError if there is neither."""
        try:
            self._first = self.registry.resolve()
            self._answered = time.monotonic()
        except (RegistryAwayError, UnfitModelError) as error:
            self._first, self._stands_in = self._last_good(error), True

    def start(self) -> None:
        """Load what was chosen; if it cannot be had, the last good copy; DataError if there is neither."""
        try:
            self._live = self._checked(self._first) if self._stands_in else self._prepared(self._first)
        except DataError as error:
            if self._stands_in:
                raise
            self._live = self._checked(self._last_good(error))
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

    @property
    def wanted(self) -> set[tuple[str, str]]:
        """Names and versions: the live model, what waits to replace it, and what it replaced, for a rollback."""
        with self._offering:
            return {(each.name, each.version) for each in (self.live, self._offered) if each} | self._replaced

    def current(self) -> Loaded:
        """The model for the next new batch; the offered one becomes live here."""
        with self._offering:
            offered = self._offered
            if offered is not None:
                self._remember(offered)  # first: if that fails, the batch is tried again, and the offer with it
                log.info("swapping %s version %s for version %s", offered.name, self.live.version, offered.version)
                self._replaced = {(self.live.name, self.live.version)}
                self._live, self._offered = offered, None
                self.swaps += 1
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
        self._tidy()
        named = self._named()
        if named is None:
            return
        if self._refused != named:
            self.rejected = ()
        version, identity = named
        try:
            if (version == self._next(version).version and self.copies.is_of(version, identity)) or self.rejected:
                return
            prepared = self._prepared(version)
            if self._named() == named:  # the alias may have moved meanwhile
                self._offered = prepared
        except MissingFilesError as error:
            self._misses = (version, 1 + (self._misses[1] if self._misses[0] == version else 0))
            log.warning("model lookup: %s (%d of %d tries)", error, self._misses[1], FETCHES)
            if self._misses[1] >= FETCHES:
                self._misses = ("", 0)
                self._reject(named, str(error))
        except UnfitModelError as error:
            self._reject(named, str(error))
        except DataError as error:
            log.warning("model lookup: %s; version %s goes on serving", error, self.live.version)

    def _named(self) -> tuple[str, str] | None:
        """The version that should be live, and its identity; None: the registry does not say."""
        try:
            version = self.registry.resolve()
            named = version, self.registry.identity(version)
        except (RegistryAwayError, UnfitModelError) as error:
            if isinstance(error, UnfitModelError):
                self._next("")
            log.warning("model lookup: %s; version %s goes on serving", error, self.live.version)
            return None
        self._answered = time.monotonic()
        return named

    def _tidy(self) -> None:
        swaps = self.swaps
        if self._tidied == swaps:
            return
        try:
            self._drop_unwanted()
            self._tidied = swaps
        except DataError as error:
            log.warning("copies of models that nothing wants any more stay for now: %s", error)

    def _next(self, version: str) -> Loaded:
        """What serves the next batch, now that the alias names `version`: an offer of another one is withdrawn."""
        with self._offering:
            if self._offered is not None and self._offered.version != version:
                log.info("version %s is not taken live: the alias has moved on", self._offered.version)
                self._offered = None
            return self._offered or self.live

    def _look_for_ever(self) -> None:
        while not self._ended.wait(self.reload_seconds):
            try:
                self.look()
            except Exception:  # noqa: BLE001  whatever it is, the live model goes on serving
                log.exception("model lookup failed; version %s goes on serving", self.live.version)

    def _prepared(self, version: str) -> Loaded:
        """The model, from a copy that may be made for it; UnfitModelError leaves no copy."""
        anew = False
        while True:
            is_fresh = self.copies.add(self.registry, version, anew)
            self._on_step("in-mid-swap", -1)
            try:
                return self._checked(version)
            except UnfitModelError as error:
                if is_fresh:
                    self.copies.drop(self.registry.choice.name, version)
                    raise
                log.warning("%s; fetching it again, as its copy may be to blame", error)
                anew = True

    def _checked(self, version: str) -> Loaded:
        loaded = self.copies.load(self.registry.choice.name, version, self.registry.choice.flavor)
        models.check(self.copies.spark, loaded)
        return loaded

    def _reject(self, named: tuple[str, str], reason: str) -> None:
        version, _ = self._refused = named
        self.rejected = (version, reason)
        log.error("version %s is not taken live: %s; version %s goes on serving", version, reason, self.live.version)
        try:
            self.registry.note_rejection(version, reason)
        except Exception as error:  # noqa: BLE001  the note is a courtesy, log and metrics have the reason
            log.warning("the rejection could not be noted in MLflow: %s", error)

    def _last_good(self, why: DataError) -> str:
        """The version whose copy can stand in; raises `why` if there is none."""
        choice = self.registry.choice
        version = choice.version or self._remembered()
        # A fixed version that is unfit or unknown is a mistake to be told of; an alias may move on.
        is_refused = bool(choice.version) and isinstance(why, UnfitModelError)
        if is_refused or not version or not self.copies.has(choice.name, version):
            raise why
        log.warning("%s; serving the last good copy, version %s", why, version)
        return version

    def _remembered(self) -> str:
        """The last version that served under this name and alias; empty: none."""
        choice, path = self.registry.choice, storage.join(self.copies.folder, "good.json")
        if not storage.exists(self.copies.spark, path):
            return ""
        good = read_object(self.copies.spark, path)
        alias = good.get("alias", choice.alias)  # a checkpoint of an earlier version of this code has none
        return str(good["version"]) if (good["name"], alias) == (choice.name, choice.alias) else ""

    def _remember(self, loaded: Loaded) -> None:
        choice = self.registry.choice
        if choice.version:
            return  # a version that is served for good says nothing about an alias
        text = json.dumps({"name": loaded.name, "version": loaded.version, "alias": choice.alias})
        storage.replace_text(self.copies.spark, storage.join(self.copies.folder, "good.json"), text)
