"""Access control: callers, web pages, proxies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
from emulated import APPLICATION, BASE, ENDPOINT, GOOD, KEY, Mock, png
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from falmock.app import create_app
from falmock.http.context import Area
from falmock.http.guard import Incoming, Policy
from falmock.protocol.addresses import is_loopback
from falmock.protocol.authorities import Authority, parse_authority, parse_origin
from falmock.settings import Settings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Start = Callable[..., Awaitable[Mock]]

OPEN: Final = f"/{APPLICATION}/requests/x/status"
HERE: Final = Authority("127.0.0.1", 8787)
LOCAL = [
    "http://localhost:3000",
    "https://localhost",
    "http://127.0.0.1:8787",
    "http://[::1]:1",
    "http://x.localhost",
]
FOREIGN = [
    "https://evil.example",
    "http://localhost.evil.example",
    "http://192.168.1.5:3000",
    "null",
    "ftp://localhost",
]
OWN_PATHS = ["/health", "/control/clock", "/api/fal/proxy"]
CROSS = {"Sec-Fetch-Site": "cross-site"}
HOSTILE = [
    "",
    "127.0.0.1%.evil.example",
    "[::1].evil.example",
    "[::1",
    "evil.example@localhost",
    "localhost:0",
    "localhost:65536",
    "localhost evil.example",
    "127.1",
    "b\xfccher.example",
]


def call(area: Area = Area.FAL, **more: Any) -> Incoming:
    origin = more.pop("origin", None)
    return Incoming(area, more.pop("host", HERE), origin=origin and (parse_origin(origin) or "null"), **more)


# The decision

LISTED = Policy(
    names=frozenset({"falmock"}), origins=frozenset(filter(None, [parse_origin("https://app.example")]))
)
OWN = parse_origin("http://falmock:8787")


@pytest.mark.parametrize(
    ("incoming", "refused"),
    [
        (call(), None),
        (call(peer="192.0.2.7"), None),
        (call(origin="http://localhost:3000"), None),
        (call(origin="https://app.example"), None),
        (call(origin="https://app.example:8443"), "--allow-origin https://app.example:8443"),
        (call(origin="http://app.example"), "--allow-origin http://app.example"),
        (call(origin="http://falmock:8787", own=OWN), None),
        (call(origin="http://falmock:3000", own=OWN), "pages of this machine only"),
        (call(origin="http://falmock:8787"), "pages of this machine only"),
        (call(origin="null"), "the origin null"),
        (call(origin="null", own=OWN), "the origin null"),
        (call(cross_site=True), "Sec-Fetch-Site"),
        (call(cross_site=True, origin="http://localhost:3000"), None),
        (call(cross_site=True, origin="https://evil.example"), "--allow-origin https://evil.example"),
        (call(Area.MEDIA, origin="https://evil.example", cross_site=True), None),
        (call(Area.MEDIA, origin="null"), None),
        (call(Area.PROXY, origin="https://evil.example"), "pages of this machine only"),
        (call(Area.HEALTH, origin="https://evil.example"), "pages of this machine only"),
        (call(Area.HEALTH, peer="192.0.2.7"), None),
        (call(Area.CONTROL), None),
        (call(Area.CONTROL, peer="127.0.0.2"), None),
        (call(Area.CONTROL, peer="::1"), None),
        (call(Area.CONTROL, peer="192.0.2.7"), "comes from 192.0.2.7"),
        (call(Area.CONTROL, proxied=True), "not answered through a proxy"),
        (call(Area.CONTROL, host=Authority("falmock")), None),
        (call(Area.CONTROL, host=Authority("evil.example")), "does not answer as 'evil.example'"),
        (call(Area.CONTROL, host=Authority("192.168.1.5")), "does not answer as '192.168.1.5'"),
        (call(Area.CONTROL, peer="192.0.2.7", proxied=True, host=Authority("other"), authorized=True), None),
        (call(Area.CONTROL, origin="https://evil.example", authorized=True), "pages of this machine only"),
        (call(Area.CONTROL, origin="https://app.example"), None),
        (call(Area.CONTROL, origin="https://evil.example"), "pages of this machine only"),
        (call(Area.CONTROL, cross_site=True), "Sec-Fetch-Site"),
    ],
)
def test_policy_allows_or_refuses_a_call(incoming: Incoming, refused: str | None) -> None:
    why = LISTED.objection(incoming)

    assert why is None if refused is None else refused in (why or "")


@given(
    st.sampled_from(sorted(set(Area) - {Area.MEDIA}, key=str)),
    st.sampled_from([*LOCAL, *FOREIGN, None]),
    st.booleans(),
    st.sampled_from(["127.0.0.1", "192.0.2.7", None]),
    st.sampled_from(["localhost", "evil.example"]),
)
def test_foreign_page_is_refused_whatever_else_the_call_has(
    area: Area, origin: str | None, cross_site: bool, peer: str | None, host: str
) -> None:
    incoming = call(area, origin=origin, cross_site=cross_site, peer=peer, host=Authority(host))
    foreign = origin in FOREIGN or (origin is None and cross_site)

    assert not foreign or Policy().objection(incoming) is not None


# Host and Origin


@pytest.mark.parametrize("host", HOSTILE)
@pytest.mark.parametrize("path", ["/control/clock", "/health", OPEN, "/api/fal/proxy"])
async def test_call_with_a_malformed_host_header_is_refused(mock: Mock, path: str, host: str) -> None:
    answer = await mock.http.get(path, headers=[(b"Host", host.encode("latin-1"))])

    assert (answer.status_code, answer.json()["error_type"]) == (400, "bad_request")


@pytest.mark.parametrize(
    "origin", ["http://evil.example\\@localhost", "http://localhost http://evil.example", "localhost", ""]
)
@pytest.mark.parametrize("path", ["/control/clock", OPEN])
async def test_call_with_a_malformed_origin_header_is_refused(mock: Mock, path: str, origin: str) -> None:
    answer = await mock.http.get(path, headers=KEY | {"Origin": origin})

    assert (answer.status_code, answer.json()["error_type"]) == (400, "bad_request")
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("name", ["Host", "Origin", "x-fal-target-host", "x-fal-target-url"])
async def test_call_that_repeats_a_routing_header_is_refused(mock: Mock, name: str) -> None:
    value = {"Host": "localhost", "Origin": "http://localhost"}.get(name, "queue.fal.run")
    answer = await mock.http.get(OPEN, headers=[(name, value), (name, value)])

    assert (answer.status_code, "more than one" in answer.json()["detail"]) == (400, True)


async def raw(mock: Mock, version: str, *headers: tuple[bytes, bytes]) -> int:
    """Return the status of a call as a server hands it on."""
    said: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        said.append(message)

    scope = {
        "type": "http",
        "http_version": version,
        "method": "GET",
        "scheme": "http",
        "path": "/health",
        "raw_path": b"/health",
        "query_string": b"",
        "root_path": "",
        "headers": list(headers),
        "client": ("127.0.0.1", 4711),
        "server": ("::1", 8787),
    }
    await create_app(mock.emulator)(scope, receive, send)
    status: int = said[0]["status"]
    return status


async def test_http_1_1_call_without_a_host_header_is_refused(mock: Mock) -> None:
    assert [await raw(mock, version) for version in ("1.1", "1.0")] == [400, 200]


@given(
    st.one_of(
        st.sampled_from(HOSTILE),
        st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=30),
        st.builds("{}{}{}".format, st.just("localhost"), st.text(max_size=2), st.just("evil.example")),
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_control_api_is_refused_under_a_name_that_is_not_loopback(mock: Mock, host: str) -> None:
    status = await raw_control(mock, host)

    if status == 200:
        assert is_loopback(parse_authority(host).name)
    else:
        assert status in {400, 403, 401, 404, 421}
    await mock.assert_alive()


async def raw_control(mock: Mock, host: str) -> int:
    header = (b"Host", host.encode("utf-8", "surrogatepass"))
    return (await mock.http.get("/control/clock", headers=[header])).status_code


# Pages


@pytest.mark.parametrize("origin", LOCAL)
async def test_page_on_this_machine_may_call_and_read_the_response(mock: Mock, origin: str) -> None:
    answer = await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers=KEY | CROSS | {"Origin": origin})

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["access-control-allow-credentials"] == "true"


@pytest.mark.parametrize("origin", FOREIGN)
async def test_foreign_page_cannot_submit(mock: Mock, origin: str) -> None:
    answer = await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers=KEY | {"Origin": origin})

    assert (answer.status_code, mock.emulator.store.open_requests()) == (403, [])
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", OPEN),
        ("GET", f"/rest.fal.ai/applications/{APPLICATION}/queue"),
        ("DELETE", f"/rest.fal.ai/applications/{APPLICATION}/queue"),
        ("GET", "/rest.fal.ai/requests/webhooks"),
        ("GET", "/control/requests"),
        ("POST", "/control/reset"),
        ("GET", "/health"),
        ("POST", "/api/fal/proxy"),
        ("POST", f"/fal.run/{ENDPOINT}"),
        ("PUT", "/v3.fal.media/files/b/0aa9eef6/x_a.png?signature=x"),
        ("POST", "/v3.fal.media/files/upload"),
        ("GET", "/api.fal.ai/v1/models"),
        ("OPTIONS", OPEN),
    ],
)
@pytest.mark.parametrize("browser", [{"Origin": "https://evil.example"}, {"Origin": "null"}, CROSS], ids=str)
async def test_foreign_page_is_refused_on_every_path(
    mock: Mock, method: str, path: str, browser: dict[str, str]
) -> None:
    answer = await mock.http.request(method, path, headers=KEY | browser)

    assert (answer.status_code, "pages of this machine only" in answer.json()["detail"]) == (403, True)
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_refusal_of_a_foreign_page_names_the_setting_that_allows_it(
    mock: Mock, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await mock.http.get(OPEN, headers=KEY | {"Origin": "https://app.example"})

    assert "--allow-origin https://app.example" in answer.json()["detail"]
    assert "--allow-origin https://app.example" in caplog.text


@pytest.mark.parametrize("path", [f"/{ENDPOINT}", "/control/reset", "/rest.fal.ai/requests/webhooks"])
async def test_preflight_of_a_foreign_page_is_refused(mock: Mock, path: str) -> None:
    headers = {
        "Origin": "https://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Private-Network": "true",
    }
    answer = await mock.http.options(path, headers=headers)

    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_private_network_preflight_of_a_local_page_is_granted(mock: Mock) -> None:
    headers = {
        "Origin": "http://localhost:3000",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Private-Network": "true",
    }
    answer = await mock.http.options(f"/{ENDPOINT}", headers=headers)

    assert (answer.status_code, answer.headers["access-control-allow-private-network"]) == (200, "true")


@pytest.mark.parametrize("path", [OPEN, "/control/requests"])
async def test_page_of_an_allowed_origin_may_call(start: Start, path: str) -> None:
    mock = await start(allow_origins=("https://app.example", "capacitor://localhost"))

    for origin in ("https://app.example", "capacitor://localhost"):
        answer = await mock.http.get(path, headers=KEY | CROSS | {"Origin": origin})

        assert answer.headers["access-control-allow-origin"] == origin


async def test_page_at_the_public_url_may_call(start: Start) -> None:
    mock = await start(public_url="https://falmock.internal:9443")
    answer = await mock.http.get(OPEN, headers=KEY | {"Origin": "https://falmock.internal:9443"})

    assert answer.headers["access-control-allow-origin"] == "https://falmock.internal:9443"


@pytest.mark.parametrize("site", ["same-origin", "same-site", "none"])
async def test_call_that_the_browser_marks_as_same_site_is_answered(mock: Mock, site: str) -> None:
    answer = await mock.http.get("/control/requests", headers={"Sec-Fetch-Site": site})

    assert answer.status_code == 200


async def test_unknown_value_of_sec_fetch_site_counts_as_cross_site(mock: Mock) -> None:
    answers = [
        (await mock.http.post("/control/reset", headers={"Sec-Fetch-Site": site})).status_code
        for site in ("cross-site", "Cross-Site", "")
    ]

    assert answers == [403, 403, 403]


async def test_call_without_browser_headers_is_answered(mock: Mock) -> None:
    answer = await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers=KEY)

    assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (200, False)


async def uploaded(mock: Mock, content: bytes, kind: str) -> str:
    body = {"file_name": "x", "content_type": kind}
    announced = (await mock.http.post("/rest.fal.ai/storage/upload/initiate", json=body, headers=KEY)).json()
    await mock.http.put(announced["upload_url"], content=content, headers={"content-type": kind})
    url: str = announced["file_url"]
    return url


@pytest.mark.parametrize(
    "browser", [{"Origin": "https://evil.example"}, {"Origin": "null"}, CROSS, {}], ids=str
)
async def test_page_of_any_origin_may_read_a_file(mock: Mock, browser: dict[str, str]) -> None:
    url = await uploaded(mock, png(), "image/png")
    answer = await mock.http.get(url, headers=browser)

    assert (answer.content, answer.headers["access-control-allow-origin"]) == (png(), "*")


async def test_page_may_read_the_404_of_a_missing_file(mock: Mock) -> None:
    answer = await mock.http.get("/v3.fal.media/files/gone.mp4", headers={"Origin": "https://evil.example"})

    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (404, "*")


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/xhtml+xml", "text/javascript"])
async def test_served_file_cannot_run_scripts_in_the_emulators_origin(mock: Mock, kind: str) -> None:
    answer = await mock.http.get(await uploaded(mock, b"<script>1</script>", kind))

    assert answer.headers["content-type"].startswith(kind)
    assert (answer.headers["content-security-policy"], answer.headers["x-content-type-options"]) == (
        "sandbox",
        "nosniff",
    )


async def test_served_file_has_the_headers_recorded_from_fal(mock: Mock) -> None:
    answer = await mock.http.get(await uploaded(mock, png(), "image/png"))

    recorded = {
        "content-type": "image/png",
        "cache-control": "public, max-age=5184000, immutable",
        "access-control-allow-origin": "*",
        "x-fal-storage-type": "tigris",
        "accept-ranges": "bytes",
    }
    assert recorded.items() <= dict(answer.headers).items()


async def test_file_with_an_access_list_is_not_cached(mock: Mock) -> None:
    acl = {"X-Fal-Object-Lifecycle-Preference": '{"initial_acl": {"default": "forbid", "rules": []}}'}
    announced = (
        await mock.http.post(
            "/rest.fal.ai/storage/upload/initiate", json={"file_name": "x"}, headers=KEY | acl
        )
    ).json()
    await mock.http.put(announced["upload_url"], content=png())

    answers = [await mock.http.get(announced["file_url"], headers=headers) for headers in (KEY, {})]

    assert [answer.status_code for answer in answers] == [200, 403]
    assert answers[0].headers["cache-control"] == "private, no-store"


# Own paths


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        *(
            (path, {"Host": host})
            for path in OWN_PATHS
            for host in ("queue.fal.run", "fal.run", "gateway.fal.ai")
        ),
        ("/health", {"x-fal-target-host": "queue.fal.run"}),
        ("/control/clock", {"x-fal-target-host": "queue.fal.run"}),
    ],
    ids=str,
)
async def test_the_emulators_own_paths_do_not_exist_on_fals_hosts(
    mock: Mock, path: str, headers: dict[str, str]
) -> None:
    answer = await mock.http.get(path, headers=KEY | headers)

    assert answer.status_code in {404, 405, 421}
    assert "ok" not in answer.text


async def test_health_answers_only_under_the_emulators_own_names(mock: Mock) -> None:
    answers = [
        (await mock.http.get("/health", headers={"Host": host})).status_code
        for host in ("localhost:1", "192.168.1.5:8787", "evil.example")
    ]

    assert answers == [200, 200, 421]


async def test_health_does_not_reveal_the_seed(mock: Mock) -> None:
    assert list((await mock.http.get("/health")).json()) == ["status", "version"]


async def test_account_is_found_only_below_control(mock: Mock) -> None:
    answers = [(await mock.http.get(path)).status_code for path in ("/account", "/control/account")]

    assert answers == [405, 200]


# Proxies


async def call_from(mock: Mock, path: str, *, peer: str = "127.0.0.1", **headers: str) -> httpx.Response:
    """Send a call from an IP address, with headers named by keywords (underscores for hyphens)."""
    transport = httpx.ASGITransport(create_app(mock.emulator), client=(peer, 4711))
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as http:
        if path.startswith("/control"):
            return await http.get(path, headers=named)
        return await http.post(path, json=GOOD, headers=KEY | named)


async def test_forwarded_headers_of_an_untrusted_proxy_are_ignored(mock: Mock) -> None:
    answer = await call_from(mock, "/control/clock", peer="192.0.2.7", X_Forwarded_For="127.0.0.1")

    assert (answer.status_code, "192.0.2.7" in answer.json()["detail"]) == (403, False)


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"])
async def test_control_api_refuses_calls_through_an_untrusted_proxy(mock: Mock, header: str) -> None:
    answer = await mock.http.get("/control/clock", headers={header: "127.0.0.1"})

    assert (answer.status_code, "through a proxy" in answer.json()["detail"]) == (403, True)


async def test_forwarded_headers_do_not_change_returned_urls(mock: Mock) -> None:
    answer = await call_from(mock, f"/{ENDPOINT}", X_Forwarded_Proto="https", X_Forwarded_Host="evil.example")

    assert answer.json()["status_url"].startswith(f"{BASE}/")


async def test_scheme_from_a_trusted_proxy_is_used_in_returned_urls(start: Start) -> None:
    mock = await start(trusted_proxies=("10.0.0.0/8",))
    answers = [
        await call_from(
            mock, f"/{ENDPOINT}", peer=peer, X_Forwarded_For="192.0.2.7", X_Forwarded_Proto="https"
        )
        for peer in ("10.1.2.3", "11.1.2.3")
    ]

    assert [answer.json()["status_url"].partition(":")[0] for answer in answers] == ["https", "http"]


@pytest.mark.parametrize(
    ("peer", "caller", "status"),
    [
        ("127.0.0.1", "127.0.0.1", 200),
        ("127.0.0.1", "192.0.2.7", 403),
        ("127.0.0.1", "127.0.0.1, 192.0.2.7", 403),
        ("192.0.2.7", "127.0.0.1", 403),
    ],
)
async def test_peer_address_from_a_trusted_proxy_decides_about_the_control_api(
    start: Start, peer: str, caller: str, status: int
) -> None:
    mock = await start(trusted_proxies=("127.0.0.1",))
    answer = await call_from(mock, "/control/clock", peer=peer, X_Forwarded_For=caller)

    assert answer.status_code == status


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("Bearer the-token", 200),
        ("bearer the-token", 200),
        ("Bearer the-toke", 403),
        ("Bearer the-token-and-more", 403),
        ("Bearer ", 403),
        ("Bearer None", 403),
        ("Key the-token", 403),
        ("the-token", 403),
        ("", 403),
    ],
)
@pytest.mark.parametrize("path", ["clock", "account", "journal", "requests", "ledger"])
async def test_with_the_control_token_another_machine_reaches_the_control_api(
    start: Start, caplog: pytest.LogCaptureFixture, path: str, sent: str, status: int
) -> None:
    caplog.set_level("DEBUG")
    mock = await start(control_token="the-token")
    answer = await call_from(
        mock, f"/control/{path}", peer="192.0.2.7", Host="falmock.internal", Authorization=sent
    )

    assert answer.status_code == status
    assert "the-token" not in caplog.text + answer.text


async def test_this_machine_needs_no_control_token(start: Start) -> None:
    mock = await start(control_token="the-token")

    assert (await mock.http.get("/control/clock")).status_code == 200


@pytest.mark.parametrize("sent", ["Bearer ", "Bearer None", "Bearer the-token"])
async def test_without_a_control_token_no_token_opens_the_control_api(mock: Mock, sent: str) -> None:
    answer = await call_from(mock, "/control/clock", peer="192.0.2.7", Authorization=sent)

    assert answer.status_code == 403


async def test_a_repeated_token_is_no_token_of_the_first(start: Start) -> None:
    mock = await start(control_token="the-token")
    transport = httpx.ASGITransport(create_app(mock.emulator), client=("192.0.2.7", 4711))
    sent = [("Authorization", "Bearer guess"), ("Authorization", "Bearer the-token")]
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as http:
        answer = await http.get("/control/clock", headers=sent)

    assert answer.status_code == 403


async def test_the_control_token_is_no_key_of_fals_hosts(start: Start) -> None:
    mock = await start(control_token="the-token")
    answer = await mock.http.get(OPEN, headers={"Authorization": "Bearer the-token"})

    assert answer.status_code == 401


async def test_forwarded_headers_through_the_emulators_own_proxy_are_ignored(start: Start) -> None:
    mock = await start(trusted_proxies=("127.0.0.1",))
    app = create_app(mock.emulator)
    app.state.through_proxy.add(("127.0.0.1", 4711))
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 4711))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as http:
        answer = await http.get("/control/clock", headers={"X-Forwarded-For": "127.0.0.1"})

    assert (answer.status_code, "through a proxy" in answer.json()["detail"]) == (403, True)


# Settings


@pytest.mark.parametrize(
    ("setting", "flag"),
    [
        ({"allow_origins": ("app.example",)}, "--allow-origin"),
        ({"allow_origins": ("https://app.example/",)}, "--allow-origin"),
        ({"allow_origins": ("null",)}, "--allow-origin"),
        ({"allow_origins": ("*",)}, "--allow-origin"),
        ({"trusted_proxies": ("*",)}, "--trusted-proxy"),
        ({"trusted_proxies": ("proxy.example",)}, "--trusted-proxy"),
        ({"hostnames": ("falmock:8787",)}, "--hostname"),
        ({"hostnames": ("http://falmock",)}, "--hostname"),
        ({"public_url": "http://evil.example\\@falmock"}, "--public-url"),
    ],
    ids=str,
)
def test_invalid_setting_of_the_guard_is_refused(setting: Any, flag: str) -> None:
    with pytest.raises(SettingsError, match=flag):
        Settings(**setting)
