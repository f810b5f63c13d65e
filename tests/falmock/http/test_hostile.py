"""Any bytes are parsed or refused: never with a 5xx, and the scheduler keeps running.

The calls go straight to the application, as a server hands them over: headers and paths that no client
library would send.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_from_bytes, unquote

import hypothesis.strategies as st
import pytest
import respx
from emulated import ENDPOINT, KEY
from hypothesis import HealthCheck, given, settings

from falmock.app import create_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from emulated import Mock
    from starlette.types import ASGIApp, Message

hostile = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

SERVER_ERROR = 500
HUGE = "9" * 5000  # digits; Python reads 4,300
HOSTS = ["queue.fal.run", "fal.run", "rest.fal.ai", "v3.fal.media", "api.fal.ai", "fal.ai", "127.0.0.1:8787"]
ID = "01a20311-e3d4-723e-aad5-be01fce4670e"


@dataclass
class Answer:
    status: int = 0
    body: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


async def call(
    app: ASGIApp, method: str, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes = b""
) -> Answer:
    """Call the application as uvicorn does, and return the response."""
    raw_path, _, query = target.partition(b"?")
    answer = Answer()
    pieces = [body[: len(body) // 2], body[len(body) // 2 :]]
    over = asyncio.Event()

    async def receive() -> Message:
        if not pieces:
            await over.wait()
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status, answer.headers = message["status"], list(message["headers"])
        else:
            answer.body += message.get("body", b"")
            if not message.get("more_body"):
                over.set()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(raw_path.decode("ascii")),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 4711),
        "server": ("127.0.0.1", 8787),
        "state": {},
    }
    async with asyncio.timeout(60):  # a hang would never end the test
        await app(scope, receive, send)
    return answer


# Inputs

nasty = st.sampled_from(
    [
        HUGE.encode(),
        b"-" + HUGE.encode(),
        b"nan",
        b"inf",
        b"1e999",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"%ED%A0%80",
        b"%00",
        b"%0d%0a",
        b"\x85\xa0",
        b"[" * 300,
        b'{"a":' * 300,
        b"[[fal: slow seconds=nan]]",
        b"//[",
        b"http://[::1",
        b"https://falmock.invalid/slow.png?seconds=1e999",
        b"https://queue.fal.run/fal-ai/veo2?a=%ff",
        b"a" * 9000,
        b"text/plain; charset=\xe9",
        b"bytes=0-" + HUGE.encode(),
        b"*/" + b"*" * 200,
    ]
)
legal = st.binary(max_size=30).map(  # characters that the parser accepts in a header
    lambda data: bytes(byte for byte in data if (byte > 0x1F and byte != 0x7F) or byte == 0x09)
)
values = st.one_of(nasty, legal)
names = st.sampled_from(
    [
        b"authorization",
        b"content-type",
        b"content-length",
        b"accept",
        b"origin",
        b"range",
        b"if-range",
        b"if-none-match",
        b"if-modified-since",
        b"x-fal-request-timeout",
        b"x-fal-queue-priority",
        b"x-fal-object-lifecycle",
        b"x-fal-object-lifecycle-preference",
        b"x-fal-file-name",
        b"x-fal-target-url",
        b"x-fal-target-host",
        b"x-falmock-test",
        b"access-control-request-method",
        b"access-control-request-headers",
    ]
)
segments = st.one_of(
    st.sampled_from(
        [
            *(b"fal-ai", b"veo2", b"image-to-video", b"requests", b"status", b"stream", b"cancel", b"queue"),
            *(b"files", b"upload", b"uploads", b"put", b"multipart", b"complete", b"storage", b"initiate"),
            *(b"auth", b"token", b"tokens", b"delete_io", b"webhooks", b"v1", b"models", b"pricing", b"api"),
            *(b"workflows", b"comfy", b"..", b"", b"1", ID.encode(), b"applications", b"openapi.json"),
        ]
    ),
    nasty.map(lambda data: quote_from_bytes(data, safe="").encode()),
    st.binary(max_size=8).map(lambda data: quote_from_bytes(data, safe="").encode()),
)
targets = st.lists(segments, max_size=7).map(lambda parts: b"/" + b"/".join(parts))
queries = st.lists(
    st.tuples(
        st.sampled_from(
            [b"logs", b"fal_webhook", b"fal_max_queue_length", b"token", b"limit", b"cursor", b"endpoint_id"]
        ),
        values.map(lambda data: quote_from_bytes(data, safe="").encode()),
    ),
    max_size=3,
).map(lambda pairs: b"&".join(name + b"=" + value for name, value in pairs))
methods = st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "BREW"])
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.text(st.characters(categories=["Cs", "Cc", "Lu"]), max_size=5),
    st.just("[[fal:" * 50),
)
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(
                [
                    *("prompt", "image_url", "duration", "file_name", "content_type", "parts", "etag"),
                    *("partNumber", "allowed_apps", "token_expiration", "expiration_seconds", "app"),
                    *("fault", "rule", "times", "then", "share", "after", "on", "input", "test", "key"),
                    *("toml", "preset", "name", "scale", "advance", "to", "within"),
                ]
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=12,
)
bodies = st.one_of(
    documents.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        [
            b"[" * 5000,
            b"[" * 250 + b"]" * 250,
            b'{"prompt":' + HUGE.encode() + b"}",
            b'{"prompt":"\\ud800","image_url":"\\udfff"}',
            b'{"file_name":"\\ud800","content_type":"\\udc00"}',
            b'{"allowed_apps":["\\ud800"],"app":"\\ud800"}',
            b'{"file_name":"a","content_type":"text/html\\r\\nx: y"}',
            b'{"file_name":"a","content_type":"\\u0000\\u20ac"}',
            b'{"file_name":"' + b"a" * 5000 + b'"}',
            b'{"parts":[{"partNumber":' + HUGE.encode() + b',"etag":"\\ud800"}]}',
            b'{"allowed_apps":[' + b"1," * 20000 + b"1]}",
            b'{"toml":"' + b"a=" + b"[" * 3000 + b'"}',
            b'{"toml":"a=' + HUGE.encode() + b'"}',
            b'{"toml":"' + b"a." * 500 + b'a=1"}',
            b'{"fault":"slow seconds=' + HUGE.encode() + b'"}',
            b'{"fault":"internal_error detail=\\ud800"}',
            b'{"advance":1e308}',
            b"\xff\xfe\x00",
            b"{" + b'"a":1,' * 3000 + b'"a":1}',
        ]
    ),
    st.binary(max_size=50),
)


@given(
    st.sampled_from(HOSTS),
    methods,
    targets,
    queries,
    st.lists(st.tuples(names, values), max_size=4),
    bodies,
    st.booleans(),
)
@hostile
async def test_any_call_to_a_fal_host_is_answered_without_a_server_error(
    mock: Mock,
    host: str,
    method: str,
    target: bytes,
    query: bytes,
    extra: list[tuple[bytes, bytes]],
    body: bytes,
    with_key: bool,
) -> None:
    app = create_app(mock.emulator)
    key = [(b"authorization", KEY["Authorization"].encode())] if with_key else []

    answer = await call(app, method, target + b"?" + query, [(b"host", host.encode()), *key, *extra], body)

    assert 0 < answer.status < SERVER_ERROR
    await mock.assert_alive()


CALLS = [
    ("queue.fal.run", "POST", f"/{ENDPOINT}"),
    ("fal.run", "POST", "/fal-ai/none"),
    ("rest.fal.ai", "POST", "/storage/upload/initiate"),
    ("rest.fal.ai", "POST", "/storage/upload/initiate-multipart"),
    ("rest.fal.ai", "POST", "/storage/auth/token"),
    ("rest.fal.ai", "POST", "/tokens/"),
    ("rest.fal.ai", "POST", "/tokens/realtime"),
    ("rest.fal.ai", "PUT", f"/requests/delete_io/{ID}"),
    ("v3.fal.media", "POST", "/files/upload"),
    ("api.fal.ai", "GET", "/v1/models"),
    ("127.0.0.1:8787", "POST", "/control/rules"),
    ("127.0.0.1:8787", "POST", "/control/rules/load"),
    ("127.0.0.1:8787", "POST", "/control/reset"),
    ("127.0.0.1:8787", "POST", "/control/snapshots"),
    ("127.0.0.1:8787", "POST", f"/control/requests/{ID}/fail"),
    ("127.0.0.1:8787", "DELETE", f"/control/rules/{HUGE}"),
]
CONTROL_HOST = b"127.0.0.1:8787"


@given(st.sampled_from(CALLS), st.lists(st.tuples(names, values), max_size=3), bodies)
@hostile
async def test_any_body_is_answered_without_a_server_error(
    mock: Mock, what: tuple[str, str, str], extra: list[tuple[bytes, bytes]], body: bytes
) -> None:
    host, method, path = what
    headers = [(b"host", host.encode()), (b"authorization", KEY["Authorization"].encode()), *extra]

    answer = await call(create_app(mock.emulator), method, path.encode(), headers, body)
    mock.emulator.rule_set.reset()

    assert 0 < answer.status < SERVER_ERROR
    await mock.assert_alive()


@pytest.mark.parametrize("path", ["requests", "webhooks", "rules", "journal", "ledger", "lint", "clock"])
@given(
    query=st.dictionaries(
        st.sampled_from(["state", "endpoint", "caller", "test", "limit", "before", "key", "since", "until",
                         "operation", "format", "window", "unobserved", "outcome"]),
        values,
        max_size=3,
    )
)  # fmt: skip
@hostile
async def test_any_query_of_the_control_api_is_answered_without_a_server_error(
    mock: Mock, path: str, query: dict[str, bytes]
) -> None:
    text = "&".join(f"{name}={quote_from_bytes(value)}" for name, value in query.items())

    answer = await call(
        create_app(mock.emulator),
        "GET",
        f"/control/{path}?{text}".encode(),
        [(b"host", CONTROL_HOST)],
    )

    assert 0 < answer.status < SERVER_ERROR
    await mock.assert_alive()


@given(bodies)
@hostile
async def test_request_with_any_input_completes_with_a_readable_result(mock: Mock, body: bytes) -> None:
    headers = KEY | {"content-type": "application/json"}
    answer = await mock.http.post(f"/{ENDPOINT}", content=body, headers=headers)
    await mock.pass_time(10)
    if answer.status_code == 400:  # it asks for a fault that there is not
        return

    result = await mock.result(answer.json())

    assert result.status_code in {200, 400, 422}
    assert result.json()


# Known cases, each of a kind


def case(
    name: str, host: str, method: str, target: str, *headers: tuple[bytes, bytes], body: bytes = b""
) -> Any:
    return pytest.param(host, method, target, list(headers), body, id=name)


@pytest.mark.parametrize(
    ("host", "method", "target", "headers", "body"),
    [
        case("digits-in-a-path", "queue.fal.run", "GET", f"/fal-ai/veo2/requests/{HUGE}/status"),
        case("digits-in-a-part-number", "v3.fal.media", "PUT", f"/files/b/0/x/{HUGE}?signature=x"),
        case("digits-in-a-part", "v3.fal.media", "PUT", f"/files/b/x/multipart/t/{HUGE}"),
        case("digits-in-an-endpoint", "queue.fal.run", "POST", f"/{HUGE}-x", body=b"{}"),
        case("digits-in-a-query", "queue.fal.run", "POST", f"/{ENDPOINT}?fal_max_queue_length={HUGE}"),
        case("digits-in-a-limit", "api.fal.ai", "GET", f"/v1/models?limit={HUGE}"),
        case("digits-in-a-cursor", "api.fal.ai", "GET", f"/v1/models?cursor={HUGE}"),
        case(
            "digits-in-a-length",
            "queue.fal.run",
            "POST",
            f"/{ENDPOINT}",
            (b"content-length", HUGE.encode()),
        ),
        case(
            "digits-in-a-timeout",
            "queue.fal.run",
            "POST",
            f"/{ENDPOINT}",
            (b"x-fal-request-timeout", HUGE.encode()),
        ),
        case("digits-in-a-range", "v3.fal.media", "GET", "/files/a", (b"range", b"bytes=0-" + HUGE.encode())),
        case(
            "digits-in-a-lifecycle",
            "queue.fal.run",
            "POST",
            f"/{ENDPOINT}",
            (b"x-fal-object-lifecycle-preference", b'{"expiration_duration_seconds":%s}' % HUGE.encode()),
        ),
        case(
            "nesting-in-a-lifecycle",
            "queue.fal.run",
            "POST",
            f"/{ENDPOINT}",
            (b"x-fal-object-lifecycle-preference", b'{"initial_acl":' + b"[" * 990 + b"]" * 990 + b"}"),
        ),
        case(
            "nesting-below-what-python-reads",
            "queue.fal.run",
            "POST",
            f"/{ENDPOINT}",
            body=b"[" * 990 + b"]" * 990,
        ),
        case("a-surrogate-in-a-path", "queue.fal.run", "GET", "/fal-ai/%ED%A0%80/requests/x/status"),
        case(
            "a-surrogate-in-a-test",
            "queue.fal.run",
            "POST",
            f"/{ENDPOINT}",
            (b"x-falmock-test", b"\xed\xa0\x80"),
        ),
        case(
            "a-key-that-is-not-ascii",
            "queue.fal.run",
            "POST",
            f"/{ENDPOINT}",
            (b"authorization", b"Key \xff:\xfe"),
        ),
        case("a-target-that-is-no-url", "127.0.0.1:8787", "GET", "/", (b"x-fal-target-url", b"https://[")),
        case("a-webhook-that-is-no-url", "queue.fal.run", "POST", f"/{ENDPOINT}?fal_webhook=http://["),
        case("a-long-webhook", "queue.fal.run", "POST", f"/{ENDPOINT}?fal_webhook=http://a/{'b' * 9000}"),
        case(
            "a-content-type-with-a-line-break",
            "rest.fal.ai",
            "POST",
            "/storage/upload/initiate",
            body=b'{"file_name":"a","content_type":"text/html\\r\\nx: y"}',
        ),
        case(
            "a-file-name-with-a-surrogate",
            "rest.fal.ai",
            "POST",
            "/storage/upload/initiate",
            body=b'{"file_name":"\\ud800","content_type":"\\ud800"}',
        ),
    ],
)
async def test_known_hostile_call_is_answered_without_a_server_error(
    mock: Mock, host: str, method: str, target: str, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    key = (b"authorization", KEY["Authorization"].encode())
    given = [(b"host", host.encode()), *headers]
    given += [] if any(name == b"authorization" for name, _ in headers) else [key]

    answer = await call(create_app(mock.emulator), method, target.encode(), given, body)

    assert 0 < answer.status < SERVER_ERROR
    await mock.assert_alive()


@pytest.mark.parametrize(
    "kind", ["text/html\r\nx: y", "\x00", "\ud800", "€", "a\x7f", "", "x" * 5000], ids=ascii
)
@pytest.mark.parametrize("name", ["a", "\ud800.png", "€", "a\r\nb", "../..", "\x00"], ids=ascii)
async def test_file_with_a_hostile_name_or_type_is_served_or_refused(
    mock: Mock, name: str, kind: str
) -> None:
    app = create_app(mock.emulator)
    given = [(b"host", CONTROL_HOST), (b"authorization", KEY["Authorization"].encode())]
    body = json.dumps({"file_name": name, "content_type": kind}).encode()

    announced = await call(app, "POST", b"/rest.fal.ai/storage/upload/initiate", given, body)
    assert announced.status in {200, 400, 422}
    if announced.status == 200:
        urls = json.loads(announced.body)
        put = await call(app, "PUT", urls["upload_url"].partition("8787")[2].encode(), given, b"data")
        assert put.status == 200
        served = await call(app, "GET", urls["file_url"].partition("8787")[2].encode(), given)
        assert served.status == 200
        for _, value in served.headers:  # as uvicorn asks of a header
            assert not any((byte < 0x20 and byte != 0x09) or byte == 0x7F for byte in value)


# The upload API checks names and types itself


@given(values, values)
@hostile
async def test_file_with_any_name_and_type_is_served_or_refused(mock: Mock, name: bytes, kind: bytes) -> None:
    app = create_app(mock.emulator)
    host, key = (b"host", CONTROL_HOST), (b"authorization", KEY["Authorization"].encode())
    token = json.loads((await call(app, "POST", b"/rest.fal.ai/storage/auth/token", [host, key], b"{}")).body)
    bearer = (b"authorization", f"Bearer {token['token']}".encode())
    sent = [host, bearer, (b"x-fal-file-name", name), (b"content-type", kind)]

    answer = await call(app, "POST", b"/v3.fal.media/files/upload", sent, b"data")

    assert 0 < answer.status < SERVER_ERROR
    if answer.status == 200:
        url: str = json.loads(answer.body)["access_url"]
        served = await call(app, "GET", url.partition("8787")[2].encode(), [host])
        assert (served.status, served.body) == (200, b"data")
    await mock.assert_alive()


@pytest.mark.parametrize(
    "location",
    [
        None,
        "",
        "http://[",
        "http://[::1",
        "//",
        "http://localhost:99999999/",
        "x" * 3000,
        "ftp://localhost/a",
    ],
)
async def test_broken_redirect_of_an_input_image_is_a_download_error(
    mock: Mock, respond: Callable[[str | None], str], location: str | None
) -> None:
    result = await mock.finish(respond(location))

    assert (result.status_code, result.json()["detail"][0]["type"]) == (422, "file_download_error")


@pytest.fixture
def respond() -> Iterator[Callable[[str | None], str]]:
    """Serve a redirect from this machine."""
    with respx.mock(assert_all_called=False) as router:

        def serve(location: str | None) -> str:
            headers = [] if location is None else [(b"location", location.encode(errors="surrogateescape"))]
            router.get("http://localhost:3000/cat.png").respond(302, headers=headers)
            return "http://localhost:3000/cat.png"

        yield serve
