"""The doors of a running emulator: opened beside its plain port, and noted where other commands look."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import httpx

from falmock import console
from falmock.addresses import is_loopback
from falmock.intercept.environment import Doors
from falmock.intercept.proxy import Proxy
from falmock.server import Server

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from starlette.applications import Starlette

    from falmock.intercept.authority import Authority

PRELOAD: Final = "preload.cjs"
NOTE: Final = "doors.json"
PATIENCE: Final = 5.0  # seconds for a running emulator to say that it is


@dataclass(frozen=True, slots=True)
class Listeners:
    """Listening sockets, one for each door."""

    http: socket.socket
    https: socket.socket
    proxy: socket.socket


@asynccontextmanager
async def open_doors(
    app: Starlette, listeners: Listeners, authority: Authority, *, sealed: bool
) -> AsyncIterator[Doors]:
    """Serve an application with TLS and behind the proxy, for the length of a block.

    A proxy that others than this machine can reach lets nothing out: it is no open relay.
    """
    preload = authority.certificate.with_name(PRELOAD)
    preload.write_text((files("falmock.intercept") / PRELOAD).read_text())
    sealed = sealed or not is_loopback(listeners.proxy.getsockname()[0])
    doors = Doors(
        http=console.address(listeners.http),
        https=console.address(listeners.https).replace("http:", "https:"),
        proxy=console.address(listeners.proxy),
        certificate=str(authority.certificate.absolute()),
        bundle=str(authority.bundle.absolute()),
        preload=str(preload.absolute()),
        sealed=sealed,
    )
    proxy = Proxy(
        doors.http,
        doors.https,
        sealed=sealed,
        refused=app.state.ledger.refuse,
        calling=app.state.through_proxy,
    )
    async with (
        Server(app, authority.context(), limits=app.state.emulator.settings.limits).running(listeners.https),
        proxy.serving(listeners.proxy),
    ):
        yield doors


@contextmanager
def noted(doors: Doors, state: Path | None) -> Iterator[None]:
    """Leave a note in the state folder, for the length of a block, of where the emulator is reached."""
    if state is None:
        yield
        return
    note = state / NOTE
    note.write_text(doors.to_json())
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def find(state: Path) -> Doors | None:
    """Return the doors of the emulator that serves a state folder, if one does."""
    try:
        doors = Doors.from_json((state / NOTE).read_text())
        with httpx.Client(trust_env=False, timeout=PATIENCE) as http:
            http.get(f"{doors.http}/health").raise_for_status()
    except (OSError, ValueError, httpx.HTTPError):  # no note, or that of one that was killed
        return None
    return doors
