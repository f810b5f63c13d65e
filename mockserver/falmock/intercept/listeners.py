"""The doors of a running emulator: opened beside its plain port, and noted where other commands look."""

from __future__ import annotations

import json
import os
import socket
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx

from falmock.cli import console
from falmock.http.identity import Identity, challenge
from falmock.http.server import Server
from falmock.intercept.environment import ServerInfo
from falmock.intercept.proxy import Proxy
from falmock.protocol.addresses import is_loopback
from falmock.system import private

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from starlette.applications import Starlette

    from falmock.intercept.certificates import Authority

PRELOAD: Final = "preload.cjs"
NOTE: Final = "doors.json"
IPV6: Final = 6
LONGEST_HEALTH: Final = 64 * 1024  # bytes of what `/health` says
PATIENCE: Final = 5.0  # seconds for a running emulator to say that it is


@dataclass(frozen=True, slots=True)
class Listeners:
    """Listening sockets, one for each door."""

    http: socket.socket
    https: socket.socket
    proxy: socket.socket

    def __iter__(self) -> Iterator[socket.socket]:
        return iter((self.http, self.https, self.proxy))


@asynccontextmanager
async def open_listeners(
    app: Starlette, listeners: Listeners, authority: Authority, *, sealed: bool
) -> AsyncIterator[ServerInfo]:
    """Serve an application with TLS and behind the proxy, for the length of a block.

    A proxy that others than this machine can reach lets nothing out: it is no open relay.
    """
    preload = authority.certificate.with_name(PRELOAD)
    private.write(preload, (files("falmock.intercept") / PRELOAD).read_bytes())
    sealed = sealed or not is_loopback(listeners.proxy.getsockname()[0])
    doors = ServerInfo(
        http=console.address(listeners.http),
        https=console.address(listeners.https).replace("http:", "https:"),
        proxy=console.address(listeners.proxy),
        certificate=str(authority.certificate.absolute()),
        bundle=str(authority.bundle.absolute()),
        preload=str(preload.absolute()),
        sealed=sealed,
        token=app.state.identity.token,
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
def advertise(doors: ServerInfo, state: Path | None) -> Iterator[None]:
    """Leave a note in the state folder, for the length of a block, of where the emulator is reached."""
    if state is None:
        yield
        return
    note = state / NOTE
    private.write(note, doors.to_json().encode())
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def find(state: Path) -> ServerInfo | None:
    """Return the doors of the emulator that serves a state folder, if one does.

    A note is ignored if another user wrote it, if it names another machine, or if the process on the port
    cannot prove that it wrote the note.
    """
    try:
        if not _is_ours(state / NOTE):
            return None
        doors = ServerInfo.from_json((state / NOTE).read_text())
        return (
            doors if all(map(_is_here, (doors.http, doors.https, doors.proxy))) and _proves(doors) else None
        )
    except (OSError, ValueError, RecursionError, httpx.HTTPError):  # no note, or that of one that was killed
        return None


def _is_ours(note: Path) -> bool:
    return os.geteuid() in {0, note.stat().st_uid}


def _is_here(url: str) -> bool:
    """Return whether an address belongs to this machine: a socket can be bound to no other."""
    host = urlsplit(url).hostname
    address = ip_address(host or "")
    with socket.socket(socket.AF_INET6 if address.version == IPV6 else socket.AF_INET) as attempt:
        try:
            attempt.bind((str(address), 0))
        except OSError:
            return False
    return True


def _proves(doors: ServerInfo) -> bool:
    """Return whether the process on the plain port wrote the note."""
    asked = challenge()
    with (
        httpx.Client(trust_env=False, timeout=PATIENCE) as http,
        http.stream("GET", f"{doors.http}/health", params={"challenge": asked}) as answer,
    ):
        answer.raise_for_status()
        told = b""
        for chunk in answer.iter_bytes():
            told += chunk
            if len(told) > LONGEST_HEALTH:
                return False
    facts = json.loads(told)
    return isinstance(facts, dict) and Identity(doors.token).accepts(asked, facts.get("proof"))
