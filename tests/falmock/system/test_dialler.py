from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import closing
from typing import TYPE_CHECKING, Any

import httpcore
import httpx
import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st
from processes import PATIENCE

from falmock.http.server import listen
from falmock.protocol.addresses import Reach, is_loopback, is_name, parse, reach
from falmock.system.dialler import (
    ANYWHERE,
    NOWHERE,
    PUBLIC_ONLY,
    AddressRefusedError,
    Dialler,
    OwnAddresses,
)
from falmock.system.transport import CheckedTransport

if TYPE_CHECKING:
    from collections.abc import Callable

PUBLIC = "93.184.216.34"
OTHER = "93.184.216.35"
LAN = "192.168.7.7"
MOMENTS = 60  # turns of the event loop; a call takes fewer
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndata"


class Wire(httpcore.AsyncNetworkBackend):
    """Records connections. Every address answers, except those in `down`."""

    def __init__(self, *, answer: bytes = OK, down: tuple[str, ...] = ()) -> None:
        self.dialled: list[tuple[str, int]] = []
        self.verified: list[str | None] = []
        self._answer = answer
        self._down = down

    async def connect_tcp(self, host: str, port: int, *_: Any) -> httpcore.AsyncNetworkStream:
        self.dialled.append((host, port))
        if host in self._down:
            raise httpcore.ConnectError("refused")
        return Stream(self._answer, self.verified)


class Stream(httpcore.AsyncMockStream):
    """Sends a fixed answer and records the name that TLS verifies."""

    def __init__(self, answer: bytes, verified: list[str | None]) -> None:
        super().__init__([answer])
        self._verified = verified

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        assert (ssl_context.verify_mode, ssl_context.check_hostname) == (ssl.CERT_REQUIRED, True)
        self._verified.append(server_hostname)
        return self


def names(**known: list[str]) -> Any:
    """Return a resolver for these names; it records each look-up in `hosts`."""

    async def look_up(host: str, port: int) -> list[str]:
        hosts.append(host)
        return known[host.partition(".")[0]]

    hosts: list[str] = []
    look_up.hosts = hosts  # type: ignore[attr-defined]
    return look_up


async def no_look_up(host: str, port: int) -> list[str]:
    raise AssertionError(f"{host} was looked up")


def client(dialler: Dialler, wire: Wire) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=CheckedTransport(dialler, verify=ssl.create_default_context(), tcp=wire)
    )


async def get(
    url: str,
    wire: Wire,
    *,
    beyond: frozenset[Reach] = ANYWHERE,
    look_up: Callable[..., Any] = no_look_up,
    own: OwnAddresses | None = None,
) -> httpx.Response:
    dialler = Dialler(own or OwnAddresses(), beyond=beyond, look_up=look_up)
    async with client(dialler, wire) as http:
        return await http.get(url)


@pytest.mark.parametrize("beyond", [NOWHERE, PUBLIC_ONLY, ANYWHERE])
@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("localhost", "127.0.0.1"),
        ("x.localhost", "127.0.0.1"),
        ("LOCALHOST.", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("127.0.0.53", "127.0.0.53"),
        ("[::1]", "::1"),
    ],
)
async def test_loopback_hosts_are_connected_without_a_look_up(
    host: str, address: str, beyond: frozenset[Reach]
) -> None:
    wire = Wire()

    await get(f"http://{host}:3000/", wire, beyond=beyond)

    assert wire.dialled == [(address, 3000)]


async def test_a_localhost_name_is_tried_on_both_loopback_addresses() -> None:
    wire = Wire(down=("127.0.0.1",))

    await get("http://app.localhost:3000/", wire)

    assert wire.dialled == [("127.0.0.1", 3000), ("::1", 3000)]


async def test_a_name_is_looked_up_once_and_the_checked_address_is_connected() -> None:
    wire, look_up = Wire(), names(example=[PUBLIC])

    await get("http://example.com/", wire, beyond=PUBLIC_ONLY, look_up=look_up)

    assert (wire.dialled, look_up.hosts) == ([(PUBLIC, 80)], ["example.com"])


async def test_tls_verifies_the_name_and_not_the_address() -> None:
    wire = Wire()

    await get("https://example.com:8443/", wire, beyond=PUBLIC_ONLY, look_up=names(example=[PUBLIC]))

    assert (wire.dialled, wire.verified) == ([(PUBLIC, 8443)], ["example.com"])


async def test_every_address_of_a_name_is_tried_in_turn() -> None:
    wire = Wire(down=(PUBLIC,))

    await get("http://example.com/", wire, look_up=names(example=[PUBLIC, OTHER]))

    assert wire.dialled == [(PUBLIC, 80), (OTHER, 80)]


async def test_a_name_whose_addresses_all_fail_is_a_connect_error() -> None:
    with pytest.raises(httpx.ConnectError, match="refused"):
        await get("http://example.com/", Wire(down=(PUBLIC, OTHER)), look_up=names(example=[PUBLIC, OTHER]))


@pytest.mark.parametrize(
    "addresses",
    [
        ["10.0.0.1"],
        ["169.254.169.254"],
        [PUBLIC, "127.0.0.1"],
        [PUBLIC, LAN],
        ["::1"],
        ["64:ff9b::127.0.0.1"],
        ["2002:7f00:1::1"],
        ["::ffff:127.0.0.1"],
        ["fe80::1%eth0"],
        ["0.0.0.0"],
        ["::"],
    ],
)
async def test_a_fetch_does_not_connect_to_a_name_with_a_private_address(addresses: list[str]) -> None:
    wire = Wire()

    with pytest.raises(httpx.ConnectError, match="not a public address"):
        await get("http://example.com/", wire, beyond=PUBLIC_ONLY, look_up=names(example=addresses))

    assert wire.dialled == []


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], [LAN], ["fd00::7"], [PUBLIC, LAN], ["fe80::1%eth0", LAN]]
)
async def test_a_webhook_that_may_go_anywhere_connects_to_loopback_private_and_public_addresses(
    addresses: list[str],
) -> None:
    wire = Wire()

    await get("http://app.example/", wire, look_up=names(app=addresses))

    assert wire.dialled == [(next(address for address in addresses if "%" not in address), 80)]


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "0.0.0.0", "[::]", "224.0.0.1", "255.255.255.255", "[fe80::1]", "[2002:7f00:1::]"],
)
async def test_a_webhook_does_not_connect_to_an_unusable_address(host: str) -> None:
    wire = Wire()

    with pytest.raises(httpx.ConnectError, match="not an address that can be called"):
        await get(f"http://{host}/", wire)

    assert wire.dialled == []


@pytest.mark.parametrize("host", ["example.com", PUBLIC, LAN, "localhost.example.com", "[64:ff9b::7f00:1]"])
async def test_other_hosts_are_not_looked_up_when_only_loopback_is_allowed(host: str) -> None:
    wire = Wire()

    with pytest.raises(httpx.ConnectError, match="not on this machine"):
        await get(f"http://{host}/", wire, beyond=NOWHERE)

    assert wire.dialled == []


async def test_a_name_without_an_address_is_a_connect_error() -> None:
    with pytest.raises(httpx.ConnectError, match="no address"):
        await get("http://example.com/", Wire(), look_up=names(example=[]))


async def test_a_look_up_that_times_out_is_a_connect_timeout() -> None:
    async def hanging(host: str, port: int) -> list[str]:
        raise TimeoutError

    with pytest.raises(httpx.ConnectTimeout):
        await get("http://example.com/", Wire(), look_up=hanging)


# The emulator's own listeners


def listening(
    host: str, names: tuple[str, ...] = (), public_url: str | None = None
) -> tuple[OwnAddresses, int]:
    """The addresses of an emulator that listens on a host, and the port."""
    own = OwnAddresses(names, public_url)
    with listen(host, 0) as listener:
        own.add(listener)
        return own, listener.getsockname()[1]


def own_lan_address() -> str:
    """Return an address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(probe.getsockname()[0])


@pytest.mark.parametrize(
    ("listener", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "localhost"),
        ("127.0.0.1", "x.localhost"),
        ("127.0.0.1", "0.0.0.0"),
        ("127.0.0.1", "127.1"),
        ("127.0.0.1", "2130706433"),
        ("127.0.0.1", "[::ffff:127.0.0.1]"),
        ("127.0.0.1", "named.example"),
        ("127.0.0.2", "127.0.0.2"),
        ("::1", "[::1]"),
        ("::1", "localhost"),
        ("::1", "[::]"),
        ("0.0.0.0", "127.0.0.1"),
        ("0.0.0.0", "127.3.4.5"),
        ("0.0.0.0", "named.example"),
        ("::", "[::1]"),
        ("::", "127.0.0.1"),
        ("::", "localhost"),
    ],
)
async def test_no_name_or_address_leads_to_the_emulators_own_listener(listener: str, host: str) -> None:
    own, port = listening(listener)
    dialler = Dialler(own, beyond=ANYWHERE, look_up=names(named=[PUBLIC, "127.0.0.1"]))

    assert await dialler.objection(f"http://{host}:{port}/control/clock") == (
        f"{host} port {port} is falmock itself"
    )
    with pytest.raises(AddressRefusedError, match="is falmock itself"):
        await dialler.addresses(host.strip("[]"), port)


@pytest.mark.parametrize("listener", ["0.0.0.0", "::"])
async def test_a_wildcard_listener_covers_every_address_of_this_machine(listener: str) -> None:
    own, port = listening(listener)

    found = await Dialler(own, beyond=ANYWHERE).objection(f"http://{own_lan_address()}:{port}/")

    assert found is not None


@pytest.mark.parametrize(
    ("listener", "host", "shift"),
    [
        ("127.0.0.1", "127.0.0.1", 1),
        ("127.0.0.1", "127.0.0.2", 0),
        ("127.0.0.1", "[::1]", 0),
        ("127.0.0.1", "named.example", 0),
        ("0.0.0.0", "192.0.2.1", 0),
        ("::", "192.0.2.1", 0),
    ],
)
async def test_another_address_or_port_is_not_the_emulators_listener(
    listener: str, host: str, shift: int
) -> None:
    own, port = listening(listener)
    dialler = Dialler(own, beyond=ANYWHERE, look_up=names(named=["127.0.0.2", PUBLIC]))

    assert await dialler.objection(f"http://{host}:{port + shift}/") is None


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("http://falmock:{port}/x", True),
        ("http://FALMOCK.:{port}/x", True),
        ("http://falmock:1/x", False),
        ("http://outside:9000/x", True),
        ("http://outside/x", False),
        ("https://queue.fal.run/x", True),
        ("http://v3.fal.media:1234/x", True),
        ("https://notfal.run/x", False),
    ],
)
async def test_the_emulators_own_names_lead_to_it(url: str, refused: bool) -> None:
    own, port = listening("127.0.0.1", names=("falmock",), public_url="http://outside:9000")

    found = await Dialler(own, beyond=NOWHERE, look_up=no_look_up).objection(url.format(port=port))

    assert (found is not None) == refused


async def test_a_webhook_url_is_accepted_if_its_name_cannot_be_looked_up_at_submission() -> None:
    async def unknown(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    own, port = listening("127.0.0.1")

    assert await Dialler(own, beyond=ANYWHERE, look_up=unknown).objection(f"http://app:{port}/") is None


ADDRESSES = st.lists((st.ip_addresses(v=4) | st.ip_addresses(v=6)).map(str), min_size=1, max_size=4)
HOSTS = (
    st.sampled_from(["localhost", "x.localhost", "127.1", "0", "::1", "::ffff:127.0.0.1", "app.example"])
    | (st.ip_addresses(v=4) | st.ip_addresses(v=6)).map(str)
    | st.from_regex(r"[0-9a-fx.:]{1,15}", fullmatch=True)
)


@given(HOSTS, ADDRESSES, st.sampled_from([NOWHERE, PUBLIC_ONLY, ANYWHERE]))
async def test_only_allowed_addresses_are_connected(
    host: str, addresses: list[str], beyond: frozenset[Reach]
) -> None:
    async def look_up(host: str, port: int) -> list[str]:
        return addresses

    try:
        found = await Dialler(OwnAddresses(), beyond=beyond, look_up=look_up).addresses(host, 80)
    except AddressRefusedError:
        return
    except OSError:
        assert parse(host) is None
        assert not is_name(host)
        return

    assert {reach(address) for address in found} <= beyond | {Reach.LOOPBACK}
    assert is_loopback(host) or beyond
    assert not is_loopback(host) or {reach(address) for address in found} == {Reach.LOOPBACK}


@pytest.mark.parametrize(
    ("scheme", "answer"),
    [("http", b""), ("https", b""), ("http", b"HTTP/1.0 200 OK\r\n\r\n"), ("http", OK)],
    ids=["no-answer", "no-tls", "http-1.0", "http-1.1"],
)
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_connection_is_closed_when_its_call_is_cancelled_at_any_moment(
    scheme: str, answer: bytes, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.add(asyncio.current_task())
        with closing(writer):
            if answer:
                await reader.read(1)
                writer.write(answer)
                if b"1.0" in answer:
                    writer.write_eof()
            await reader.read()  # to the end of the connection

    async def scene() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1")
        url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        dialler = Dialler(OwnAddresses(), beyond=NOWHERE)
        async with server:
            for steps in range(MOMENTS):
                transport = CheckedTransport(dialler, verify=trusted)
                http = httpx.AsyncClient(transport=transport)
                call = asyncio.create_task(http.post(url, content=b"{}"))
                for _ in range(steps):
                    await asyncio.sleep(0)
                call.cancel()
                await asyncio.wait([call])
                await http.aclose()  # complete calls leave idle connections
            _, still_open = await asyncio.wait(connected, timeout=PATIENCE)
            for task in still_open:
                task.cancel()  # the server waits for them
            assert still_open == set()

    connected: set[Any] = set()
    trusted = ssl.create_default_context()
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(scene())
