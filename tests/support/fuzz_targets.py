"""Everything in falmock that reads bytes from outside, as functions from bytes to nothing.

A target returns, or raises an exception that its parser documents. Anything else is a defect.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import h11
from emulated import veo
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from falmock.engine.delivery import is_deliverable
from falmock.engine.files import Lifecycle, LifecycleError
from falmock.engine.signing import Signer
from falmock.faults import scenarios, triggers
from falmock.faults.vocabulary import FaultError, ScenarioError, parse
from falmock.http.cdn import OpenFileResponse
from falmock.http.server import Server
from falmock.inspection import entries
from falmock.inspection.entries import JournalError
from falmock.inspection.known_keys import KnownKeys
from falmock.inspection.redaction import Redactor
from falmock.intercept import server_info as server_file
from falmock.intercept.pipes import Peer
from falmock.intercept.proxy import Proxy, RefusedError, forward_url, onward, tunnel_address
from falmock.media import checks, pixels
from falmock.protocol import addresses, endpoints, validation
from falmock.protocol.authorities import AuthorityError, parse_authority, parse_origin
from falmock.protocol.errors import Refusal
from falmock.protocol.hosts import NotServedError, find_destination
from falmock.protocol.limits import Limits
from falmock.settings import SettingsError, Span

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Message, Receive, Scope, Send

KEY: Final = "me:0123456789abcdef0123456789abcdef"
SIGNER: Final = Signer(bytes(32))
KNOWN: Final = Redactor(KnownKeys([KEY]))


def host(data: bytes) -> None:
    """Read a Host header and a path."""
    authority, _, path = _text(data).partition("\n")
    with contextlib.suppress(AuthorityError, NotServedError, Refusal):
        find_destination(parse_authority(authority), {}, "http", f"/{path}", ())


def endpoint(data: bytes) -> None:
    """Read an endpoint id."""
    endpoints.parse(_text(data))


def webhook(data: bytes) -> None:
    """Read a webhook URL."""
    is_deliverable(_text(data))


def body(data: bytes) -> None:
    """Read and validate an input, and write its errors."""
    kind, _, content = data.partition(b"\n")
    try:
        validation.read(veo().input, content, _text(kind) or None)
    except Refusal as refusal:
        refusal.content()


def magic(data: bytes) -> None:
    """Read the faults that a prompt asks for."""
    with contextlib.suppress(FaultError):
        triggers.faults_in_input({"prompt": _text(data), "image_url": _text(data)})


def fault(data: bytes) -> None:
    """Read a fault and its options, and write it again."""
    with contextlib.suppress(FaultError):
        read = parse(_text(data))
        assert parse(str(read)) == read


def scenario(data: bytes) -> None:
    """Read a scenario's TOML file."""
    with contextlib.suppress(ScenarioError):
        scenarios.read(_text(data), name="fuzzed", where="the text")


def lifecycle(data: bytes) -> None:
    """Read an object lifecycle header."""
    with contextlib.suppress(LifecycleError):
        Lifecycle.parse(_text(data))


def journal_file(data: bytes) -> None:
    """Read a journal as JSON lines."""
    with contextlib.suppress(JournalError):
        entries.read(_text(data))


def picture(data: bytes) -> None:
    """Decode an input image."""
    with contextlib.suppress(pixels.Broken, pixels.TooLarge, pixels.Unsupported):
        pixels.decode(data, max_pixels=2_000_000)


def span(data: bytes) -> None:
    """Read a duration of the command line."""
    with contextlib.suppress(SettingsError):
        Span.parse(_text(data))


def redacted(data: bytes) -> None:
    """Mask the secrets of a JSON body."""
    with contextlib.suppress(ValueError, RecursionError):
        json.dumps(Redactor().json(json.loads(data)))


def origin(data: bytes) -> None:
    """Read an Origin header."""
    with contextlib.suppress(AuthorityError):
        if (found := parse_origin(_text(data))) is not None:
            assert parse_origin(str(found)) == found


def address(data: bytes) -> None:
    """Read a host as an IP address or a name, and say where it leads."""
    text = _text(data)
    found = addresses.parse(text)
    loopback = addresses.is_loopback(text)
    assert loopback == (
        addresses.is_localhost(text)
        or (found is not None and addresses.reach(found) is addresses.Reach.LOOPBACK)
    )
    if found is not None:
        addresses.delivered(found)
    addresses.is_name(text)


def connection(data: bytes) -> None:
    """Read calls from a connection: heads, bodies, chunks and trailers."""
    asyncio.run(_connection(data))


async def _connection(data: bytes) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        await PlainTextResponse(f"{len(body)} {len(scope['headers'])}")(scope, receive, send)

    server = Server(app, limits=Limits(header_bytes=500, headers=5))
    server.config.load()
    own, other = socket.socketpair()
    with own, other:
        loop = asyncio.get_running_loop()
        protocol: Any = server.config.http_protocol_class
        made = lambda: protocol(config=server.config, server_state=server.server_state, app_state={})  # noqa: E731
        await loop.connect_accepted_socket(made, own)
        reader, writer = await asyncio.open_connection(sock=other)
        writer.write(data)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
    assert [each for each in re.findall(rb"^HTTP/1.1 (\d+) ", answer, re.MULTILINE) if each >= b"500"] == []


def proxy_head(data: bytes) -> None:
    """Read the head of a call to the proxy, and write it again for the emulator."""
    asyncio.run(_proxy_head(data))


async def _proxy_head(data: bytes) -> None:
    reader: Any = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    writer: Any = None  # nothing is written
    proxy = Proxy(
        "http://127.0.0.1:1", "https://127.0.0.1:2", sealed=True, refused=lambda _: None, calling=set()
    )
    with contextlib.suppress(RefusedError):
        request = await proxy._head(Peer(reader, writer, h11.Connection(h11.SERVER)))
        if request is None:
            return
        target = request.target.decode("ascii")
        if request.method == b"CONNECT":
            host, port = tunnel_address(target)
        else:
            url = forward_url(target)
            host, port = url.authority.name, url.port
            sent = onward(request, url, upgrades=False)
            assert [str(url.authority).partition(":")[0]] == [
                parse_authority(value.decode()).name for name, value in sent.headers if name == b"host"
            ] or ":" in url.authority.name
        proxy.destination(host, port)


def video(data: bytes) -> None:
    """Check an mp4 file."""
    expected = checks.Shape(width=160, height=90, frames=24, rate=Fraction(24))  # of the seed
    with tempfile.NamedTemporaryFile() as file, contextlib.suppress(checks.BrokenFile):
        file.write(data)
        file.flush()
        checks.check_mp4(Path(file.name), expected)


def server_info(data: bytes) -> None:
    """Read the file with the addresses of an emulator."""
    with contextlib.suppress(ValueError, RecursionError):
        server = server_file.ServerInfo.from_json(_text(data))
        for url in (server.http, server.https, server.proxy):
            server_file._is_here(url)
        server_file.ServerInfo.from_json(server.seen_from("there", "/folder").to_json())


def token(data: bytes) -> None:
    """Open the tokens of uploads and pages. None of these is genuine."""
    text = _text(data)
    assert SIGNER.open(text, now=0.0, lifetime=10**9) is None
    assert SIGNER.jwt_claims(text, now=0.0) is None


def byte_range(data: bytes) -> None:
    """Read a Range and an If-Range header."""
    asyncio.run(_byte_range(data))


async def _byte_range(data: bytes) -> None:
    content = bytes(range(256))
    wanted, _, condition = data.partition(b"\n")
    headers = [(b"range", wanted), *([(b"if-range", condition)] if condition else [])]
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        await asyncio.Event().wait()  # the client stays
        raise AssertionError

    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        source = Path(file.name).open("rb")  # noqa: ASYNC230, SIM115 - the response closes it
        await OpenFileResponse(source, media_type="image/png", headers={})(
            {"type": "http", "method": "GET", "headers": headers, "extensions": {}}, receive, send
        )
    status, body = sent[0]["status"], b"".join(each.get("body", b"") for each in sent[1:])
    assert status in {200, 206, 400, 416}
    assert status != 200 or body == content
    if status == 206 and b"," not in wanted:
        assert body in content


def masked(data: bytes) -> None:
    """Mask a known key in a text, a URL, headers and a body, whatever is around it."""
    secret = KEY.encode()
    start, _, end = data.partition(b"\n")
    text = _text(start + secret + end)
    kind = "application/json"
    forms = [KNOWN.text(text), KNOWN.url(text), KNOWN.body(start + secret + end, kind)]
    forms += [KNOWN.headers([(b"x-a", start + secret + end)]), KNOWN.query(text)]
    for form in forms:
        assert KEY not in str(form), form


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    each.__name__: each
    for each in (
        host,
        endpoint,
        webhook,
        body,
        magic,
        fault,
        scenario,
        lifecycle,
        journal_file,
        picture,
        span,
        redacted,
        origin,
        address,
        connection,
        proxy_head,
        video,
        server_info,
        token,
        byte_range,
        masked,
    )
}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
