from __future__ import annotations

from urllib.parse import unquote

import pytest

from falmock.protocol.authorities import AuthorityError, parse_authority
from falmock.protocol.hosts import (
    CDN,
    MEDIA,
    PLATFORM,
    QUEUE,
    REST,
    RUN,
    BaseURL,
    Destination,
    NotServedError,
    find_destination,
    is_fal,
    own_authority,
)

OWN = "127.0.0.1:8787"


def find(headers: dict[str, str], path: str = "/a/b", scheme: str = "http") -> Destination:
    return find_destination(parse_authority(headers["host"]), headers, scheme, path, {"falmock.internal"})


def place(path: str = "/x", *, host: str = OWN, scheme: str = "http", **headers: str) -> tuple[str, str, str]:
    """Return the fal host, the path there, and the queue's URL of /y for the answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    arrival = find(named | {"host": host}, path, scheme)
    return arrival.host, arrival.path, arrival.base_url.url(QUEUE, "/y")


@pytest.mark.parametrize(
    ("path", "host", "inner"),
    [
        ("/fal-ai/veo2", QUEUE, "/fal-ai/veo2"),
        ("/fal-ai/veo2/", QUEUE, "/fal-ai/veo2"),
        ("/queue.fal.run/fal-ai/veo2/", QUEUE, "/fal-ai/veo2"),
        ("/Queue.Fal.Run/a/b", QUEUE, "/a/b"),
        ("/fal.run/a/b", RUN, "/a/b"),
        ("/rest.fal.ai/.well-known/jwks.json", REST, "/.well-known/jwks.json"),
        ("/rest.alpha.fal.ai/tokens/", REST, "/tokens"),
        ("/v3.fal.media/files/x", CDN, "/files/x"),
        ("/v3b.fal.media/files/x", CDN, "/files/x"),
        ("/api.fal.ai/v1/meta", PLATFORM, "/v1/meta"),
        ("/queue.fal.run", QUEUE, "/"),
        ("/", QUEUE, "/"),
    ],
)
def test_host_is_found_by_the_first_segment_of_the_path(path: str, host: str, inner: str) -> None:
    assert place(path)[:2] == (host, inner)


@pytest.mark.parametrize(
    ("host", "meant"),
    [("queue.fal.run", QUEUE), ("FAL.RUN:443", RUN), ("v3b.fal.media", CDN), ("api.fal.ai.", PLATFORM)],
)
def test_host_is_found_by_the_host_header(host: str, meant: str) -> None:
    assert place("/a/b", host=host)[:2] == (meant, "/a/b")


def test_target_url_header_gives_host_path_and_query() -> None:
    target = "https://queue.fal.run/fal-ai/veo2?fal_webhook=http%3A%2F%2Flocalhost"
    arrival = find({"host": OWN, "x-fal-target-url": target}, "/api/fal/proxy")

    assert (arrival.host, arrival.path, arrival.query) == (
        QUEUE,
        "/fal-ai/veo2",
        "fal_webhook=http%3A%2F%2Flocalhost",
    )


def test_host_is_found_by_the_target_host_header() -> None:
    assert place("/a/b", x_fal_target_host="fal.run")[:2] == (RUN, "/a/b")


@pytest.mark.parametrize(
    ("origin", "queue", "media"),
    [
        (BaseURL("bare", "http", OWN), f"http://{OWN}/y", f"http://{OWN}/v3b.fal.media/y"),
        (BaseURL("prefix", "http", OWN), f"http://{OWN}/queue.fal.run/y", f"http://{OWN}/v3b.fal.media/y"),
        (BaseURL("host", "https", ""), "https://queue.fal.run/y", "https://v3b.fal.media/y"),
        (BaseURL("host", "https", "", "http://x:1"), "https://queue.fal.run/y", "http://x:1/v3b.fal.media/y"),
        (BaseURL("host", "http", ":8787"), "http://queue.fal.run:8787/y", "http://v3b.fal.media:8787/y"),
    ],
)
def test_base_url_makes_urls_in_the_style_of_the_call(origin: BaseURL, queue: str, media: str) -> None:
    assert (origin.url(QUEUE, "/y"), origin.url(MEDIA, "/y")) == (queue, media)


@pytest.mark.parametrize(
    ("path", "host", "url"),
    [
        ("/a/b", OWN, f"http://{OWN}/y"),
        ("/queue.fal.run/a/b", OWN, f"http://{OWN}/queue.fal.run/y"),
        ("/a/b", "queue.fal.run", "http://queue.fal.run/y"),
        ("/a/b", "localhost:8787", "http://localhost:8787/y"),
        ("/a/b", "[::1]:8787", "http://[::1]:8787/y"),
    ],
)
def test_each_style_of_call_gets_urls_of_the_same_style(path: str, host: str, url: str) -> None:
    assert place(path, host=host)[2] == url


@pytest.mark.parametrize(
    "style",
    [
        "bare http 127.0.0.1:1",
        "prefix https [::1]:2",
        "host http :8787",
        "host https",
        "host https  http://x:1",
    ],
)
def test_base_url_is_parsed_back_from_its_text(style: str) -> None:
    assert str(BaseURL.parse(style)) == style


@pytest.mark.parametrize("host", ["evil.example", "fal.example:8787", "gateway.fal.ai", "queue.falrun.com"])
def test_host_that_is_not_emulated_is_refused(host: str) -> None:
    with pytest.raises(NotServedError):
        find({"host": host})


@pytest.mark.parametrize(
    "headers",
    [
        {"host": ""},
        {"host": "127.0.0.1%.evil.example"},
        {"host": OWN, "x-fal-target-host": "queue.fal.run@evil.example"},
        {"host": OWN, "x-fal-target-url": "https://["},
        {"host": OWN, "x-fal-target-url": "gibberish"},
        {"host": OWN, "x-fal-target-url": "https://queue.fal.run\\@evil.example/"},
    ],
)
def test_header_that_names_no_host_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(AuthorityError):
        find(headers)


@pytest.mark.parametrize(
    "target",
    [
        "https://example.com/x",
        "https://gateway.fal.ai/x",
        f"http://{OWN}/gateway.fal.ai/x",
        "http://127.0.0.1:3000/queue.fal.run/x",
        "http://127.0.0.1/queue.fal.run/x",
        "http://10.1.2.3:8787/queue.fal.run/x",
    ],
)
def test_target_url_of_another_host_is_refused(target: str) -> None:
    with pytest.raises(NotServedError):
        place("/", x_fal_target_url=target)


@pytest.mark.parametrize(
    "authority", [OWN, "localhost:8787", "[::1]:8787", "app.localhost:8787", "falmock.internal:1"]
)
@pytest.mark.parametrize("path", ["/fal-ai/veo2/", "/queue.fal.run/a%20b/c", "/fal.run/a/b", "/", ""])
def test_target_url_of_the_emulator_itself_is_read_as_the_same_call_made_directly(
    authority: str, path: str
) -> None:
    assert place("/other", x_fal_target_url=f"http://{authority}{path}") == place(unquote(path))


def test_target_url_of_the_emulator_itself_keeps_its_query() -> None:
    target = f"http://{OWN}/queue.fal.run/a/b?fal_webhook=http%3A%2F%2Flocalhost"

    assert find({"host": OWN, "x-fal-target-url": target}, "/").query == "fal_webhook=http%3A%2F%2Flocalhost"


def test_target_url_without_a_port_is_of_the_emulator_at_the_default_port() -> None:
    assert place("/", host="localhost", x_fal_target_url="http://localhost/fal.run/a/b")[0] == RUN


def test_fal_host_in_the_path_that_is_not_emulated_is_refused() -> None:
    with pytest.raises(NotServedError):
        place("/queue.falrun.com/a/b")


@pytest.mark.parametrize(
    "host",
    ["localhost:1", "app.localhost", "10.1.2.3:80", "falmock.internal:8787", "[fe80::1]", "LOCALHOST."],
)
def test_own_names_and_ip_addresses_are_accepted(host: str) -> None:
    assert place("/a/b", host=host)[0] == QUEUE


def test_call_without_a_host_header_is_for_the_address_that_received_it() -> None:
    assert own_authority({"server": ("127.0.0.1", 8787)}) == OWN


@pytest.mark.parametrize(("name", "is_one"), [("fal.run", True), ("x.fal.ai", True), ("notfal.run", False)])
def test_fals_host_names_are_recognised(name: str, is_one: bool) -> None:
    assert is_fal(name) is is_one
