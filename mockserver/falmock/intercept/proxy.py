"""The HTTP proxy of `falmock run`. Calls to fal's hosts end at the emulator and never leave this machine.

`CONNECT queue.fal.run:443` is connected to the emulator's own TLS port, with a certificate for that name,
so the proxy itself sees no plain text. Calls to hosts of fal's that are not emulated end there too; the
emulator answers them with an error. Calls to other hosts pass through, or are refused if the proxy is
sealed. A plain request gets the Host of its URL and loses its forwarding headers.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import h11

from falmock.intercept.pipes import carry, close, join, send, shutdown
from falmock.intercept.targets import HTTP, Address, RefusedError, authority, onward
from falmock.protocol.addresses import is_loopback
from falmock.protocol.hosts import is_fal, is_served
from falmock.system.dialler import resolve

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable

    from falmock.protocol.addresses import IPAddress

log = logging.getLogger("falmock")

CHUNK: Final = 64 * 1024
HEAD_BYTES: Final = 64 * 1024
DIAL_SECONDS: Final = 30.0
LINGER_SECONDS: Final = 10.0
HTTPS: Final = 443
TOO_LARGE: Final = 431


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time limits of the proxy, in real seconds.

    Attributes:
        head: until the head of a request is complete.
        stall: between two pieces of a body, and until a peer reads the data sent to it.
        silence: between two pieces of data in a tunnel, in either direction.
    """

    head: float = 10.0
    stall: float = 600.0
    silence: float = 3600.0


class Proxy:
    """Decides where a call goes, and carries it there.

    Args:
        http: the emulator's own address.
        https: the same with TLS.
        sealed: let nothing out that is not for this machine.
        refused: is told the name of each host that a call was refused for.
        calling: filled with the local addresses of the proxy's connections, so that the emulator can
            tell proxied calls from direct ones.
        timeouts: time limits.
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
        self._doors = {HTTP: authority(http, None), HTTPS: authority(https, None)}
        self._sealed = sealed
        self._refused = refused
        self._calling = calling
        self._calls: Counter[Address] = Counter()  # a port may be reused while its entry lingers
        self._timeouts = timeouts or Timeouts()

    @asynccontextmanager
    async def serving(self, listener: socket.socket) -> AsyncIterator[None]:
        """Answer at a listening socket for the length of a block."""
        connections: set[asyncio.Task[None]] = set()

        def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._answer(reader, writer))
            connections.add(task)
            task.add_done_callback(done)

        def done(task: asyncio.Task[None]) -> None:
            connections.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("a call through the proxy failed: this is a defect of falmock", exc_info=error)

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
        name = host.lower().removesuffix(".")
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
        client = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        try:
            await self._serve_one(client, reader, writer)
        except RefusedError as refusal:
            with suppress(OSError, h11.LocalProtocolError):
                await self._say_no(client, reader, writer, refusal)
        except (OSError, h11.RemoteProtocolError, h11.LocalProtocolError) as error:
            log.debug("a connection through the proxy ended early: %r", error)
        finally:
            await close(writer)

    async def _serve_one(
        self, client: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Carry one call: a second one on the same connection might be for another host."""
        request = await self._head(client, reader)
        if request is None:
            return
        if request.method == b"CONNECT":
            await self._tunnel(client, request, reader, writer)
        else:
            await self._forward(client, request, reader, writer)

    async def _head(self, client: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
        """Return the head of a request; None if the client closes the connection without one.

        Raises:
            RefusedError: 408 if it is slow, 431 if it is too large, 400 if it is malformed.
        """
        try:
            async with asyncio.timeout(self._timeouts.head):
                event = await _next_event(client, reader)
        except TimeoutError:
            raise RefusedError(
                408, f"the head of the request was not complete within {self._timeouts.head:g} s"
            ) from None
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == TOO_LARGE:
                raise RefusedError(TOO_LARGE, "the head of the request is too large") from None
            raise RefusedError(400, f"malformed request: {error}") from None
        if not isinstance(event, h11.Request):
            return None
        if not any(name == b"host" for name, _ in event.headers):  # h11 sees to it in HTTP/1.1
            raise RefusedError(400, "the request has no Host header")
        return event

    async def _tunnel(
        self,
        client: h11.Connection,
        request: h11.Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        host, port = authority(f"//{request.target.decode('ascii')}", None)
        async with self._dialled(self.destination(host, port, local=_is_local(writer))) as (
            far_reader,
            far_writer,
        ):
            async with asyncio.timeout(self._timeouts.stall):
                # Data after the end of the request belongs to the tunnel.
                while not isinstance(await _next_event(client, reader), h11.EndOfMessage):
                    pass
            established = h11.Response(status_code=200, headers=[], reason=b"Connection Established")
            send(writer, client.send(established) or b"")
            send(far_writer, client.trailing_data[0])
            await join(reader, far_writer, far_reader, writer, silence=self._timeouts.silence)

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
        host, port = authority(target, HTTP)
        async with self._dialled(self.destination(host, port, local=_is_local(writer))) as (
            far_reader,
            far_writer,
        ):
            upgrades = any(name == b"upgrade" for name, _ in request.headers)
            far = h11.Connection(h11.CLIENT)
            send(far_writer, far.send(onward(request, target, upgrades=upgrades)) or b"")
            body = asyncio.create_task(self._send_body(client, reader, far, far_writer, upgrades=upgrades))
            answer = asyncio.create_task(carry(far_reader, writer, stall=self._timeouts.stall))
            try:
                await asyncio.wait([body, answer], return_when=asyncio.FIRST_COMPLETED)
                if not answer.done():
                    body.result()  # raises if the body was cut off: then there is no answer
                await answer
            finally:
                body.cancel()
                answer.cancel()
                await asyncio.gather(body, answer, return_exceptions=True)

    async def _send_body(
        self,
        client: h11.Connection,
        reader: asyncio.StreamReader,
        far: h11.Connection,
        far_writer: asyncio.StreamWriter,
        *,
        upgrades: bool,
    ) -> None:
        """Send the body of a request, then end the connection or continue with another protocol.

        Raises:
            h11.RemoteProtocolError: the body is cut off.
            TimeoutError: one of the two sides stalls.
        """
        stall = self._timeouts.stall
        event: object = None
        while not isinstance(event, h11.EndOfMessage):
            async with asyncio.timeout(stall):
                event = await _next_event(client, reader)
            if isinstance(event, h11.ConnectionClosed):
                return
            if not isinstance(event, (h11.Data, h11.EndOfMessage)):
                continue
            try:
                async with asyncio.timeout(stall):
                    send(far_writer, far.send(event) or b"")
                    await far_writer.drain()
            except TimeoutError:
                raise
            except OSError:  # it reads no more, but may have answered
                return
        if upgrades:
            send(far_writer, client.trailing_data[0])
            await carry(reader, far_writer, stall=stall)
            return
        while await reader.read(CHUNK):  # a second request is discarded
            pass
        with suppress(OSError, RuntimeError):
            far_writer.write_eof()  # tells the other side that the client is gone

    @asynccontextmanager
    async def _dialled(
        self, address: Address
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                reader, writer = await _connect(*address)
        except UnicodeError:
            raise RefusedError(400, "the request target has no valid host name") from None
        except (OSError, TimeoutError) as error:
            raise RefusedError(502, f"cannot reach {address[0]} port {address[1]} ({error})") from None
        here = writer.get_extra_info("sockname")[:2]
        self._calls[here] += 1
        self._calling.update(_forms(here))
        try:
            yield reader, writer
        finally:
            # The emulator may still have data of this connection to read.
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._forget, here)
            await close(writer)

    def _forget(self, here: Address) -> None:
        self._calls[here] -= 1
        if not self._calls[here]:
            del self._calls[here]
            self._calling.difference_update(_forms(here))

    async def _say_no(
        self,
        client: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        refusal: RefusedError,
    ) -> None:
        """Refuse where people will see it: most clients show of a proxy's answer only the reason phrase."""
        text = str(refusal).encode("ascii", "replace").replace(b"\r", b"?").replace(b"\n", b"?")
        headers = [
            ("content-type", "text/plain"),
            ("content-length", str(len(text))),
            ("connection", "close"),
        ]
        for event in (
            h11.Response(status_code=refusal.status, headers=headers, reason=text),
            h11.Data(text),
            h11.EndOfMessage(),
        ):
            send(writer, client.send(event) or b"")
        async with asyncio.timeout(self._timeouts.stall):
            await writer.drain()
        await shutdown(reader, writer)


async def _connect(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first of a host's addresses that takes the connection.

    Raises:
        OSError: none does.
        UnicodeError: IDNA refuses the name.
    """
    untried: list[IPAddress] = await resolve(host, port)
    while True:
        address, *untried = untried
        try:
            return await asyncio.open_connection(str(address), port)
        except OSError:
            if not untried:
                raise


def _forms(here: Address) -> set[Address]:
    """Return an address as listeners see it: one on `::` sees IPv4 addresses as mapped."""
    host, port = here
    return {here} if ":" in host else {here, (f"::ffff:{host}", port)}


def _is_local(writer: asyncio.StreamWriter) -> bool:
    peer = writer.get_extra_info("peername")  # None of one that has left already
    return peer is not None and is_loopback(peer[0])


async def _next_event(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Event | type:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(CHUNK))
    return event
