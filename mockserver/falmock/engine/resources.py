"""The dependencies of an emulator."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from falmock.catalogue import Catalogue
    from falmock.engine.clock import Clock
    from falmock.engine.files import Files
    from falmock.engine.observer import Observer
    from falmock.engine.runner import Runner
    from falmock.engine.signing import Signer
    from falmock.engine.store import Store
    from falmock.faults.effects import Injection
    from falmock.faults.rule_set import RuleSet
    from falmock.settings import Settings
    from falmock.system.dialler import Dialler

Part = TypeVar("Part")


class Once(Generic[Part]):
    """A part that is made at its first use, in any thread, because its modules take a while to load."""

    def __init__(self, make: Callable[[], Part]) -> None:
        self._make = make
        self._made: list[Part] = []
        self._lock = Lock()

    def __call__(self) -> Part:
        with self._lock:
            if not self._made:
                self._made.append(self._make())
        return self._made[0]

    @property
    def made(self) -> bool:
        return bool(self._made)


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything that `Emulator` and its parts depend on."""

    settings: Settings
    clock: Clock
    store: Store
    files: Files
    catalogue: Catalogue  # the models that can run
    runner: Once[Runner]
    signer: Signer
    rule_set: RuleSet
    http: Once[httpx.AsyncBaseTransport]  # sends webhooks
    dialler: Dialler  # decides where webhooks may go; knows the emulator's own addresses
    is_local: Callable[[str], bool]  # whether a host is on this machine
    seed: int  # determines ids and times
    observer: Observer  # gets every step and every webhook attempt

    def observed(self, *injections: Injection) -> None:
        """Count faults that took effect, after the commit."""
        for injection in injections:
            self.store.on_commit(partial(self.rule_set.observed, injection))
