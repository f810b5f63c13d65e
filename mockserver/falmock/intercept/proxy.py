"""The HTTP proxy of `falmock run`. Calls to fal hosts end at the emulator and never leave this machine.

`CONNECT queue.fal.run:443` leads to the emulator's TLS port, so the proxy itself sees no plain text. Calls
to fal hosts that are not emulated end there too, and the emulator answers them with an error. Calls to
other hosts pass through, or are refused if the proxy is sealed. A plain request gets the Host of its URL
and loses its forwarding headers.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import h11

from falmock.intercept.pipes import CHUNK, Peer, carry, join
from falmock.protocol.addresses import is_loopback
from falmock.protocol.authorities import (
    Authority,
    AuthorityError,
    HttpUrl,
    origin_of,
    parse_authority,
    parse_url,
)
from falmock.protocol.hosts import is_fal, is_served
from falmock.system.dialler import resolve

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable

    from falmock.protocol.addresses import IPAddress

log = logging.getLogger("falmock")

HEAD_BYTES: Final = 64 * 1024
CONNECT_SECONDS: Final = 30.0
LINGER_SECONDS: Final = 10.0
HTTP: Final = 80
HTTPS: Final = 443
TOO_LARGE: Final = 431
DROPPED: Final = frozenset(
    {
        b"host",  # replaced by that of the URL
        b"proxy-connection",
        b"proxy-authorization",
        b"keep-alive",
        b"forwarded",  # the emulator must not trust a client's claims about its own address
        b"x-real-ip",
    }
)
FORWARDED: Final = b"x-forwarded-"

Address = tuple[str, int]


class RefusedError(Exception):
    """The proxy refuses a request; the text gives the reason."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time limits of the proxy, in real seconds."""

    head: float = 10.0  # until the head of a request is complete
    stall: float = 600.0  # between two pieces of a body, and until a peer reads the data sent to it
    silence: float = 3600.0  # between two pieces of data in a tunnel, in either direction


class Proxy:
    """An HTTP proxy that leads calls to fal hosts to an emulator.

    Args:
        http, https: URLs of the emulator's plain port and of its TLS port.
        sealed: refuse calls to other machines.
        refused: called with the name of each host that a call is refused for.
        calling: filled with the local addresses of the proxy's connections, by which the emulator
            recognises calls through the proxy.
    """

    def __init__(
        self,
        http: str,
        https: str,
        *,
        sealed: bool,
        refused: Callable[[str], None],
        calling: set[Address],
        timeouts: Timeouts | None = None,
    ) -> None:
        self._emulator = {HTTP: _address(http), HTTPS: _address(https)}
        self._sealed = sealed
        self._refused = refused
        self._calling = calling
        self._calls: Counter[Address] = Counter()  # a port may be reused while its entry lingers
        self._timeouts = timeouts or Timeouts()

    @asynccontextmanager
    async def serving(self, listener: socket.socket) -> AsyncIterator[None]:
        """Serve a listening socket for the length of a block."""
        connections: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._answer(reader, writer))
            connections.add(task)
            task.add_done_callback(done)

        def done(task: asyncio.Task[None]) -> None:
            connections.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("a call through the proxy failed: this is a bug in falmock", exc_info=error)

        server = await asyncio.start_server(accept, sock=listener)
        try:
            yield
        finally:
            server.close()
            for task in connections:
                task.cancel()
            await asyncio.gather(*connections, return_exceptions=True)

    def destination(self, host: str, port: int, *, local: bool = True) -> Address:
        """Return the address to connect to; for a call from another machine, never that of a local server."""
        if is_fal(host):
            if not is_served(host):
                self._refused(host)  # the emulator notes it too, unless TLS fails
            if port not in self._emulator:
                raise RefusedError(403, f"falmock answers for {host} on ports 80 and 443 only")
            return self._emulator[port]
        if self._sealed and not is_loopback(host):
            log.warning("refused a call to %s: the proxy is sealed", Authority(host))
            self._refused(host)
            raise RefusedError(403, f"falmock is sealed and lets nothing out to {Authority(host)}")
        if not local and is_loopback(host):
            raise RefusedError(
                403, f"falmock leads other machines to fal's hosts only, not to {Authority(host)}"
            )
        return host, port

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one call. A second one on the same connection might be for another host."""
        client = Peer(reader, writer, h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES))
        try:
            request = await self._head(client)
            if request is None:
                return
            if request.method == b"CONNECT":
                await self._tunnel(client, request)
            else:
                await self._forward(client, request)
        except RefusedError as refusal:
            with suppress(OSError, h11.LocalProtocolError):
                await self._refuse(client, refusal)
        except (OSError, h11.RemoteProtocolError, h11.LocalProtocolError) as error:
            log.debug("a connection through the proxy ended early: %r", error)
        finally:
            await client.close()

    async def _head(self, client: Peer) -> h11.Request | None:
        """Return the head of a request; None if the client closes the connection without one.

        Raises:
            RefusedError: 408 if it is slow, 431 if it is too large, 400 if it is malformed.
        """
        seconds = self._timeouts.head
        try:
            async with asyncio.timeout(seconds):
                event = await client.receive()
        except TimeoutError:
            raise RefusedError(408, f"the head of the request was not complete in {seconds:g} s") from None
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == TOO_LARGE:
                raise RefusedError(TOO_LARGE, "the head of the request is too large") from None
            raise RefusedError(400, f"malformed request: {error}") from None
        if not isinstance(event, h11.Request):
            return None
        # h11 checks it in HTTP/1.1 only. Python's http.client before 3.12 sends CONNECT in HTTP/1.0.
        if event.method != b"CONNECT" and not any(name == b"host" for name, _ in event.headers):
            raise RefusedError(400, "the request has no Host header")
        return event

    async def _tunnel(self, client: Peer, request: h11.Request) -> None:
        host, port = tunnel_address(request.target.decode("ascii"))
        async with self._connected(self.destination(host, port, local=client.is_local)) as server:
            async with asyncio.timeout(self._timeouts.stall):
                # Data after the end of the request belongs to the tunnel.
                while not isinstance(await client.receive(), h11.EndOfMessage):
                    pass
            client.send(h11.Response(status_code=200, headers=[], reason=b"Connection Established"))
            server.write(client.http.trailing_data[0])
            await join(client, server, silence=self._timeouts.silence)

    async def _forward(self, client: Peer, request: h11.Request) -> None:
        url = forward_url(request.target.decode("ascii"))
        address = self.destination(url.authority.name, url.port, local=client.is_local)
        async with self._connected(address) as server:
            upgrades = any(name == b"upgrade" for name, _ in request.headers)
            server.send(onward(request, url, upgrades=upgrades))
            body = asyncio.create_task(self._send_body(client, server, upgrades=upgrades))
            answer = asyncio.create_task(carry(server, client, stall=self._timeouts.stall))
            try:
                await asyncio.wait([body, answer], return_when=asyncio.FIRST_COMPLETED)
                if not answer.done():
                    body.result()  # raises if the body was cut off: then there is no answer
                await answer
            finally:
                body.cancel()
                answer.cancel()
                await asyncio.gather(body, answer, return_exceptions=True)

    async def _send_body(self, client: Peer, server: Peer, *, upgrades: bool) -> None:
        """Send the body of a request, then end the connection or continue with another protocol."""
        stall = self._timeouts.stall
        event: object = None
        while not isinstance(event, h11.EndOfMessage):
            async with asyncio.timeout(stall):
                event = await client.receive()
            if isinstance(event, h11.ConnectionClosed):
                return
            if not isinstance(event, (h11.Data, h11.EndOfMessage)):
                continue
            try:
                async with asyncio.timeout(stall):
                    server.send(event)
                    await server.writer.drain()
            except TimeoutError:
                raise
            except OSError:  # it has stopped reading, but may have answered
                return
        if upgrades:
            server.write(client.http.trailing_data[0])
            await carry(client, server, stall=stall)
            return
        while await client.reader.read(CHUNK):  # a second request is discarded
            pass
        server.end()  # shows the server that the client has left

    @asynccontextmanager
    async def _connected(self, address: Address) -> AsyncIterator[Peer]:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await _connect(*address)
        except (OSError, TimeoutError) as error:
            raise RefusedError(502, f"cannot reach {Authority(*address)} ({error})") from None
        here = writer.get_extra_info("sockname")[:2]
        self._calls[here] += 1
        self._calling.update(_forms(here))
        server = Peer(reader, writer, h11.Connection(h11.CLIENT))
        try:
            yield server
        finally:
            # The emulator may still have data of this connection to read.
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._forget, here)
            await server.close()

    def _forget(self, here: Address) -> None:
        self._calls[here] -= 1
        if not self._calls[here]:
            del self._calls[here]
            self._calling.difference_update(_forms(here))

    async def _refuse(self, client: Peer, refusal: RefusedError) -> None:
        """Send a refusal. Its text is the reason phrase too: most clients show nothing else of it."""
        text = str(refusal).encode("ascii", "replace").replace(b"\r", b"?").replace(b"\n", b"?")
        length = str(len(text))
        headers = [("content-type", "text/plain"), ("content-length", length), ("connection", "close")]
        client.send(h11.Response(status_code=refusal.status, headers=headers, reason=text))
        client.send(h11.Data(text))
        client.send(h11.EndOfMessage())
        async with asyncio.timeout(self._timeouts.stall):
            await client.writer.drain()
        await client.shutdown()


async def _connect(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first address of a host that accepts."""
    untried: list[IPAddress] = await resolve(host, port)
    while True:
        address, *untried = untried
        try:
            return await asyncio.open_connection(str(address), port)
        except OSError:
            if not untried:
                raise


def _address(url: str) -> Address:
    parsed = parse_url(url)
    return parsed.authority.name, parsed.port


def _forms(here: Address) -> set[Address]:
    """Return an address as listeners see it: one on `::` sees IPv4 addresses as mapped."""
    host, port = here
    return {here} if ":" in host else {here, (f"::ffff:{host}", port)}


def tunnel_address(target: str) -> Address:
    """Parse the target of CONNECT, `host:port`."""
    try:
        authority = parse_authority(target)
    except AuthorityError as error:
        raise RefusedError(400, str(error)) from None
    if authority.port is None:
        raise RefusedError(400, "the request target has no port")
    return authority.name, authority.port


def forward_url(target: str) -> HttpUrl:
    """Parse the target of any other request, an http URL."""
    try:
        url = parse_url(target, userinfo=True)
    except AuthorityError as error:
        raise RefusedError(400, str(error)) from None
    if url.scheme != "http":
        raise RefusedError(400, "this is falmock's proxy: it accepts CONNECT and http://... only")
    return url


def onward(request: h11.Request, url: HttpUrl, *, upgrades: bool) -> h11.Request:
    """Return the request in origin form, with `Connection: close` unless it upgrades."""
    host = str(origin_of(url.scheme, url.authority).authority)
    path = (url.path or "/") + ("" if url.query is None else f"?{url.query}")
    dropped = DROPPED if upgrades else DROPPED | {b"connection"}
    kept = [
        (name, value)
        for name, value in request.headers.raw_items()
        if name.lower() not in dropped and not name.lower().startswith(FORWARDED)
    ]
    kept.insert(0, (b"Host", host.encode("ascii")))
    if not upgrades:
        kept.append((b"Connection", b"close"))
    return h11.Request(method=request.method, target=path, headers=kept)
