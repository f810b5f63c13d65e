"""The dependencies of an emulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from falmock.engine.clock import Clock
    from falmock.engine.files import Files
    from falmock.engine.observer import Observer
    from falmock.engine.runner import Runner
    from falmock.engine.signing import Signer
    from falmock.engine.store import Store
    from falmock.faults.rule_set import RuleSet
    from falmock.settings import Settings
    from falmock.system.dialler import Dialler


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything that `Emulator` and its parts depend on.

    Attributes:
        http: sends webhooks; it must not follow redirects.
        dialler: decides where webhooks may go; knows the emulator's own addresses.
        is_local: whether a host is on this machine.
        seed: decides ids and timings.
        observer: gets every step and every webhook attempt.
    """

    settings: Settings
    clock: Clock
    store: Store
    files: Files
    runner: Runner
    signer: Signer
    plan: RuleSet
    http: httpx.AsyncClient
    dialler: Dialler
    is_local: Callable[[str], bool]
    seed: int
    observer: Observer
