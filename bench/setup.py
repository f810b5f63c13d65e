"""The scale of a row, and its servers."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bench.profiling import Profile
from bench.servers import Server, new_folder
from bench.targets import FALMOCK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.targets import Target

CONNECTIONS: Final = 16
MIB: Final = 1024 * 1024


@dataclass(frozen=True)
class Scale:
    """How much is measured; the defaults are those of the goals.

    Attributes:
        rounds: rounds of each target, in turns: A B C A B C.
        seconds: the length of one round of load.
        starts: starts of each target.
        requests: requests over which the memory grows.
        stored: requests in the large database.
        webhooks: webhooks that are due at the same time.
        clients: clients that poll at the same time.
        streams: status streams that are open at the same time.
        upload: the size of the uploaded file, in bytes.
        programs: programs of the contract suite.
    """

    rounds: int = 5
    seconds: float = 3.0
    starts: int = 11
    requests: int = 200_000
    stored: int = 1_000_000
    webhooks: int = 10_000
    clients: int = 500
    streams: int = 50
    upload: int = 1024 * MIB
    programs: int = 100


FULL: Final = Scale()
QUICK: Final = Scale(
    rounds=3, seconds=1.0, starts=5, requests=10_000, stored=100_000, webhooks=1_000, upload=256 * MIB
)
TINY: Final = Scale(  # to test the bench
    rounds=1,
    seconds=0.1,
    starts=1,
    requests=160,
    stored=2_000,
    webhooks=20,
    clients=20,
    streams=2,
    upload=4 * MIB,
    programs=2,
)


@dataclass(frozen=True)
class Setup:
    """The scale of a row, and its servers.

    Attributes:
        scale: how much.
        row: the name of the row.
        profiles: folder for profiles of falmock; None for no profiles.
    """

    scale: Scale
    row: str
    profiles: Path | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextmanager
    def serving(self, target: Target, *, called: bool = True) -> Iterator[Server]:
        """Run a server during a block, in a new folder; see `Server`."""
        profile = None
        if self.profiles is not None and target.name == FALMOCK:
            profile = Profile(self.profiles / f"{self.row}-{next(self._numbers)}")
        with new_folder() as folder:
            server = Server(target, folder, called=called, profile=profile)
            try:
                yield server
            finally:
                server.stop()
        if profile is not None:
            profile.write()
