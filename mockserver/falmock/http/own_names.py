"""Names of one label, such as that of a compose service, under which clients reach this machine.

A name counts only if it leads to the address at which the call arrived. For a loopback address only the hosts
file counts: a name server of the local network could answer any name with 127.0.0.1, and lead a browser here.
"""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from falmock.protocol.addresses import delivered, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from falmock.protocol.addresses import IPAddress

    LookUp = Callable[[str], Iterable[str]]

HOSTS: Final = Path("/etc/hosts")
LOOK_UP_SECONDS: Final = 2.0  # how long a call waits
AGAIN_SECONDS: Final = 10.0  # until a name that led elsewhere is looked up again
MOST_NAMES: Final = 64


def listed(name: str) -> set[str]:
    """Return the addresses of a name in the hosts file."""
    try:
        lines = HOSTS.read_text(errors="replace").splitlines()
    except OSError:
        return set()
    entries = (line.partition("#")[0].lower().split() for line in lines)
    return {entry[0] for entry in entries if name in entry[1:]}


def look_up(name: str) -> set[str]:
    """Return the addresses of a name, as the system resolves it."""
    with suppress(OSError):
        return {str(each[4][0]) for each in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    return set()


class OwnNames:
    """Looks up names, one at a time, in a thread, and remembers the newest ones."""

    def __init__(self, look_up: LookUp) -> None:
        self._look_up = look_up
        # By name and address of the call: whether one leads to the other, and the time of the look-up.
        self._known: dict[tuple[str, IPAddress], tuple[bool, float]] = {}
        self._running: asyncio.Task[None] | None = None

    async def has(self, name: str, address: str) -> bool:
        """Return whether a name leads to the address at which a call arrived."""
        parsed = parse(address)
        if parsed is None:
            return False
        key = (name, delivered(parsed))
        if self._is_due(key):
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_UP_SECONDS):
                    await self._refresh(key)
        return self._known.get(key, (False, 0.0))[0]

    def _is_due(self, key: tuple[str, IPAddress]) -> bool:
        own, at = self._known.get(key, (False, -AGAIN_SECONDS))
        return not own and at + AGAIN_SECONDS <= time.monotonic()

    async def _refresh(self, key: tuple[str, IPAddress]) -> None:
        while self._running is not None and not self._running.done():
            await asyncio.wait({self._running})
        if self._is_due(key):
            # It continues if the call ends, so that there is never more than one look-up in a thread.
            self._running = asyncio.create_task(self._store(key))
            await asyncio.shield(self._running)

    async def _store(self, key: tuple[str, IPAddress]) -> None:
        name, address = key
        texts = await asyncio.to_thread(listed if address.is_loopback else self._look_up, name)
        own = address in {delivered(each) for each in map(parse, texts) if each is not None}
        self._known.pop(key, None)
        self._known[key] = (own, time.monotonic())
        if len(self._known) > MOST_NAMES:
            del self._known[next(iter(self._known))]
