"""The proxy door: what is said to fal's hosts ends here, whatever they are called; they are never dialled.

`CONNECT queue.fal.run:443` is joined to the emulator's own TLS port, whose certificate is good for
that name; so the proxy itself sees no plain text. Fal's hosts that are not emulated end there too, and
are told so in an answer that every client can show. What is not fal's passes through untouched, or is
refused when the proxy is sealed.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import h11

from falmock import urls
from falmock.addresses import is_loopback
from falmock.hosts import is_fal, is_served

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable

log = logging.getLogger("falmock")

CHUNK: Final = 64 * 1024
DIAL_SECONDS: Final = 30.0
LINGER_SECONDS: Final = 10.0
HTTP: Final = 80
HTTPS: Final = 443
HOP_BY_HOP: Final = frozenset({b"proxy-connection", b"proxy-authorization", b"keep-alive"})

Address = tuple[str, int]


class RefusedError(Exception):
    """The door stays shut; the text says why, the status how."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Proxy:
    """Decides where a call goes, and carries it there.

    Args:
        http: the emulator's own address.
        https: the same with TLS.
        sealed: let nothing out that is not for this machine.
        refused: is told the name of each host that a call was refused for.
        calling: has the proxy's own addresses while it calls from them, so that nobody takes what others
            say through it for what this machine says.
    """

    def __init__(
        self,
        http: str,
        https: str,
        *,
        sealed: bool,
        refused: Callable[[str], None],
        calling: set[Address],
    ) -> None:
        self._doors = {HTTP: _authority(http, None), HTTPS: _authority(https, None)}
        self._sealed = sealed
        self._refused = refused
        self._calling = calling

    @asynccontextmanager
    async def serving(self, listener: socket.socket) -> AsyncIterator[None]:
        """Answer at a listening socket for the length of a block."""
        connections: set[asyncio.Task[None]] = set()

        def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._answer(reader, writer))
            connections.add(task)
            task.add_done_callback(connections.discard)

        server = await asyncio.start_server(welcome, sock=listener)
        try:
            yield
        finally:
            server.close()
            for task in connections:
                task.cancel()
            await asyncio.gather(*connections, return_exceptions=True)

    def destination(self, host: str, port: int, *, local: bool = True) -> Address:
        """Return where a call for a host really goes.

        Args:
            host: as named.
            port: likewise.
            local: the call comes from this machine; others have no business with what listens here.

        Raises:
            RefusedError: nowhere.
        """
        name = host.lower().rstrip(".")
        if is_fal(name):
            if not is_served(name):
                self._refused(name)  # by the door behind, which says so; or by nobody, if TLS fails
            if port not in self._doors:
                raise RefusedError(403, f"falmock answers for {name} on ports 80 and 443 only")
            return self._doors[port]
        if self._sealed and not is_loopback(name):
            log.warning("refused a call to %s: the proxy is sealed", name)
            self._refused(name)
            raise RefusedError(403, f"falmock is sealed and lets nothing out to {name}")
        if not local and is_loopback(name):
            raise RefusedError(403, f"falmock leads other machines to fal's hosts only, not to {name}")
        return name, port

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = h11.Connection(h11.SERVER)
        try:
            await self._serve_one(client, reader, writer)
        except RefusedError as refusal:
            with suppress(OSError, h11.LocalProtocolError):
                await _say_no(client, writer, refusal)
        except (OSError, h11.RemoteProtocolError) as error:
            log.debug("a connection through the proxy ended early: %r", error)
        finally:
            await _close(writer)

    async def _serve_one(
        self, client: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Carry one call: a second one on the same connection might be for another host."""
        request = await _next_event(client, reader)
        if not isinstance(request, h11.Request):
            return
        if request.method == b"CONNECT":
            await self._tunnel(client, request, reader, writer)
        else:
            await self._forward(client, request, reader, writer)

    async def _tunnel(
        self,
        client: h11.Connection,
        request: h11.Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        host, port = _authority(f"//{request.target.decode('ascii')}", None)
        async with self._dialled(self.destination(host, port, local=_is_local(writer))) as (
            far_reader,
            far_writer,
        ):
            await _next_event(client, reader)  # the end of the request: what follows is the tunnel's
            established = h11.Response(status_code=200, headers=[], reason=b"Connection Established")
            writer.write(client.send(established) or b"")
            far_writer.write(client.trailing_data[0])
            await _join(reader, far_writer, far_reader, writer)

    async def _forward(
        self,
        client: h11.Connection,
        request: h11.Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        target = request.target.decode("ascii")
        if not target.startswith("http://"):
            raise RefusedError(400, "this is falmock's proxy: it takes CONNECT and http://... only")
        host, port = _authority(target, HTTP)
        async with self._dialled(self.destination(host, port, local=_is_local(writer))) as (
            far_reader,
            far_writer,
        ):
            upgrades = any(name == b"upgrade" for name, _ in request.headers)
            far = h11.Connection(h11.CLIENT)
            far_writer.write(far.send(_onward(request, target, upgrades=upgrades)) or b"")
            body = asyncio.create_task(_send_body(client, reader, far, far_writer, upgrades=upgrades))
            try:
                await _carry(far_reader, writer)
            finally:
                body.cancel()
                await asyncio.gather(body, return_exceptions=True)

    @asynccontextmanager
    async def _dialled(
        self, address: Address
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                reader, writer = await asyncio.open_connection(*address)
        except (OSError, TimeoutError) as error:
            raise RefusedError(502, f"cannot reach {address[0]} port {address[1]} ({error})") from None
        here = writer.get_extra_info("sockname")[:2]
        self._calling.add(here)
        try:
            yield reader, writer
        finally:
            # What was said last may still be on its way to whoever looks here.
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._calling.discard, here)
            await _close(writer)


def _is_local(writer: asyncio.StreamWriter) -> bool:
    peer = writer.get_extra_info("peername")  # None of one that has left already
    return peer is not None and is_loopback(peer[0])


async def _send_body(
    client: h11.Connection,
    reader: asyncio.StreamReader,
    far: h11.Connection,
    far_writer: asyncio.StreamWriter,
    *,
    upgrades: bool,
) -> None:
    """Carry a request's body, and after it nothing, unless the two change to another protocol."""
    while isinstance(event := await _next_event(client, reader), (h11.Data, h11.EndOfMessage)):
        far_writer.write(far.send(event) or b"")
        await far_writer.drain()
    if upgrades:
        far_writer.write(client.trailing_data[0])
        await _carry(reader, far_writer)


async def _next_event(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Event | type:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(CHUNK))
    return event


def _onward(request: h11.Request, target: str, *, upgrades: bool) -> h11.Request:
    """Return a request as the host itself expects it, and as the last one on its connection."""
    url = urls.split(target)
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    dropped = HOP_BY_HOP if upgrades else HOP_BY_HOP | {b"connection"}
    kept = [(name, value) for name, value in request.headers.raw_items() if name.lower() not in dropped]
    if not upgrades:
        kept.append((b"Connection", b"close"))
    return h11.Request(method=request.method, target=path, headers=kept)


def _authority(url: str, default_port: int | None) -> Address:
    try:
        parts = urls.split(url)
        host, port = parts.hostname, parts.port or default_port
    except ValueError:
        host = port = None
    if not host or not port:
        raise RefusedError(400, "the proxy was asked for an address that is none")
    return host, port


async def _join(
    reader: asyncio.StreamReader,
    far_writer: asyncio.StreamWriter,
    far_reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Carry bytes both ways until both sides have said all, or one is gone."""
    async with asyncio.TaskGroup() as ways:
        ways.create_task(_carry(reader, far_writer))
        ways.create_task(_carry(far_reader, writer))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    with suppress(OSError, RuntimeError):
        if writer.can_write_eof():
            writer.write_eof()


async def _say_no(client: h11.Connection, writer: asyncio.StreamWriter, refusal: RefusedError) -> None:
    """Refuse where people will see it: most clients show of a proxy's answer only the reason phrase."""
    text = str(refusal).encode("ascii", "replace")
    headers = [("content-type", "text/plain"), ("content-length", str(len(text))), ("connection", "close")]
    for event in (
        h11.Response(status_code=refusal.status, headers=headers, reason=text),
        h11.Data(text),
        h11.EndOfMessage(),
    ):
        writer.write(client.send(event) or b"")
    await writer.drain()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
