"""Host, Origin and URLs: plainly one, or refused."""

from __future__ import annotations

import ipaddress
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from falmock.protocol.authorities import (
    LONGEST,
    Authority,
    AuthorityError,
    HttpUrl,
    WebOrigin,
    origin_of,
    parse_authority,
    parse_origin,
    parse_url,
)

LABELS = st.text(string.ascii_lowercase + string.digits + "-_", min_size=1, max_size=20).filter(
    lambda label: not label.isdigit() and not label.startswith("0x")
)
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
PORTS = st.one_of(st.none(), st.integers(1, 65535))
AUTHORITIES = st.builds(Authority, st.one_of(NAMES, ADDRESSES), PORTS)

LOCAL = st.sampled_from(["localhost", "127.0.0.1", "[::1]", "falmock.localhost"])
FOREIGN = st.sampled_from(["evil.example", "192.0.2.7", "[2001:db8::1]"])
# What some reader of URLs takes for the end of a host, or skips.
BREAKS = st.sampled_from(
    [*"@\\/?#%;,&|^`\"'<>{}()[]*+=!~$", "%2e", "%00", *map(chr, range(33)), "\x7f", "\xa0"]
)
WIDE = st.sampled_from(
    ["\uff0e", "\u3002", "\u2024", "\uff0f", "\uff1a", "\u24db", "\u212a", "\u017f", "\xad"]
)


@pytest.mark.parametrize(
    ("text", "name", "port"),
    [
        ("127.0.0.1:8787", "127.0.0.1", 8787),
        ("localhost", "localhost", None),
        ("LocalHost.:1", "localhost", 1),
        ("queue.fal.run:443", "queue.fal.run", 443),
        ("[::1]:65535", "::1", 65535),
        ("[0:0:0:0:0:0:0:1]", "::1", None),
        ("[FE80::1]", "fe80::1", None),
        ("my_service:80", "my_service", 80),
        ("xn--bcher-kva.example", "xn--bcher-kva.example", None),
        ("1password.example", "1password.example", None),
    ],
)
def test_valid_authority_is_parsed(text: str, name: str, port: int | None) -> None:
    assert parse_authority(text) == Authority(name, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        " ",
        ":8787",
        "localhost ",
        " localhost",
        "localhost\n",
        "localhost\x00.evil.example",
        "localhost, evil.example",
        "local host",
        "evil.example@localhost",
        "localhost@evil.example",
        "localhost/",
        "localhost\\evil.example",
        "localhost#evil.example",
        "localhost%2eevil.example",
        "127.0.0.1%.evil.example",
        "127.0.0.1%25.evil.example",
        "[::1].evil.example",
        "[::1]evil.example",
        "[::1",
        "::1",
        "::1:8787",
        "[::1%lo]",
        "[::1%25lo]",
        "[127.0.0.1]",
        "[localhost]",
        "[v1.fe80]",
        "[]",
        "a..b",
        ".localhost",
        "localhost..",
        "localhost:",
        "localhost:0",
        "localhost:08787",
        "localhost:65536",
        "localhost:99999999999999999999",
        "localhost:-1",
        "localhost:+1",
        "localhost:1:2",
        "localhost:8o",
        "localhost:\u0661",
        "127.1",
        "127.0.0.1.1",
        "127.0.0.256",
        "0127.0.0.1",
        "0x7f.0.0.1",
        "evil.0x7f",
        "2130706433",
        "evil.example.1",
        "b\xfccher.example",
        "\u24dbocalhost",
        "localhos\u212a",
        "127\u30020\u30020\u30021",
        "a" * 64 + ".example",
        ".".join(["a" * 60] * 5),
    ],
)
def test_invalid_authority_is_refused(text: str) -> None:
    with pytest.raises(AuthorityError):
        parse_authority(text)


@given(AUTHORITIES)
def test_authority_is_parsed_back_from_its_text(authority: Authority) -> None:
    assert parse_authority(str(authority)) == parse_authority(str(parse_authority(str(authority))))
    assert parse_authority(str(authority)).port == authority.port


@given(ADDRESSES)
def test_ip_address_in_an_authority_stays_the_same_address(address: str) -> None:
    text = f"[{address}]" if ":" in address else address

    assert ipaddress.ip_address(parse_authority(text).name) == ipaddress.ip_address(address)


@given(LOCAL, st.one_of(BREAKS, WIDE), FOREIGN, st.booleans())
def test_two_hosts_joined_by_a_delimiter_are_refused_as_an_authority(
    local: str, between: str, foreign: str, local_first: bool
) -> None:
    text = f"{local}{between}{foreign}" if local_first else f"{foreign}{between}{local}"
    with pytest.raises(AuthorityError):
        parse_authority(text)


@given(st.text(max_size=400))
def test_any_text_is_an_authority_in_a_closed_alphabet_or_is_refused(text: str) -> None:
    try:
        authority = parse_authority(text)
    except AuthorityError:
        return
    assert set(authority.name) <= set(string.ascii_lowercase + string.digits + "-_.:")
    assert str(authority).lower() == str(authority)


def test_authority_that_is_too_long_is_refused_before_it_is_cached() -> None:
    with pytest.raises(AuthorityError, match="253"):
        parse_authority("a" * (LONGEST + 1))


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("http://localhost:3000", WebOrigin("http", Authority("localhost", 3000))),
        ("https://app.example", WebOrigin("https", Authority("app.example"))),
        ("https://app.example:443", WebOrigin("https", Authority("app.example"))),
        ("http://[::1]:80", WebOrigin("http", Authority("::1"))),
        ("https://app.example:80", WebOrigin("https", Authority("app.example", 80))),
        ("capacitor://localhost", WebOrigin("capacitor", Authority("localhost"))),
        ("null", None),
    ],
)
def test_valid_origin_is_parsed(text: str, origin: WebOrigin | None) -> None:
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NULL",
        "localhost",
        "//localhost",
        "http:localhost",
        "http:/localhost",
        "http://",
        "file://",
        "http://localhost/",
        "http://localhost:3000/path",
        "http://evil.example\\@localhost",
        "http://evil.example@localhost",
        "http://localhost@evil.example",
        "http://localhost#.evil.example",
        "http://localhost?.evil.example",
        "http://localhost evil.example",
        "http://localhost http://evil.example",
        "http://localhost, http://evil.example",
        "http://localhost\t",
        "http://http://localhost",
        "ht tp://localhost",
        "1http://localhost",
        "x" * 40 + "://localhost",
        "http://localhost:0",
        "http://127.1",
    ],
)
def test_invalid_origin_is_refused(text: str) -> None:
    with pytest.raises(AuthorityError):
        parse_origin(text)


@given(
    st.one_of(
        st.text(max_size=60),
        st.builds("{}{}{}".format, st.sampled_from(["http", "HTTPS", "x"]), st.text(max_size=3), LOCAL),
        st.builds("{}://{}".format, st.text(max_size=40), st.one_of(LOCAL, FOREIGN)),
        st.builds("http://{}{}".format, st.one_of(LOCAL, FOREIGN), st.text(max_size=9)),
    )
)
@example("http://boo\u212a.localhost")  # the Kelvin sign, which is a "k" in lower case
@example("\u212a://localhost")
def test_any_text_is_an_origin_in_a_closed_alphabet_or_is_refused(text: str) -> None:
    try:
        origin = parse_origin(text)
    except AuthorityError:
        return
    if origin is None:
        assert text == "null"
    else:
        assert text.isascii()
        assert set(origin.scheme) <= set(string.ascii_lowercase + string.digits + "+-.")
        assert origin.authority == parse_authority(str(origin.authority))
        assert parse_origin(str(origin)) == origin
        assert text.lower().startswith(f"{origin.scheme}://")


@given(st.sampled_from(["http", "https", "chrome-extension"]), AUTHORITIES)
def test_origin_has_no_default_port(scheme: str, authority: Authority) -> None:
    origin = origin_of(scheme, authority)

    assert parse_origin(str(origin)) == parse_origin(f"{scheme}://{authority}")
    assert origin.authority.port != {"http": 80, "https": 443}.get(scheme, 0)


@given(st.one_of(LOCAL, FOREIGN), BREAKS, st.one_of(LOCAL, FOREIGN))
def test_two_hosts_joined_by_a_delimiter_are_refused_as_an_origin(one: str, between: str, other: str) -> None:
    with pytest.raises(AuthorityError):
        parse_origin(f"http://{one}{between}{other}")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://localhost", HttpUrl("http", Authority("localhost"), "", None)),
        (
            "HTTPS://X.example:8443/a/b?c=d&e#f",
            HttpUrl("https", Authority("x.example", 8443), "/a/b", "c=d&e"),
        ),
        ("http://[::1]:3000?x", HttpUrl("http", Authority("::1", 3000), "", "x")),
        ("http://b\xfccher.example/x", HttpUrl("http", Authority("xn--bcher-kva.example"), "/x", None)),
        ("http://localhost/a@b:c\\d", HttpUrl("http", Authority("localhost"), "/a@b:c\\d", None)),
    ],
)
def test_valid_url_is_parsed_into_its_parts(text: str, url: HttpUrl) -> None:
    assert parse_url(text) == url


@pytest.mark.parametrize(("text", "port"), [("http://x", 80), ("https://x", 443), ("https://x:8080", 8080)])
def test_url_without_a_port_has_the_default_port_of_its_scheme(text: str, port: int) -> None:
    assert parse_url(text).port == port


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "/x",
        "//localhost/x",
        "ftp://localhost/",
        "javascript:alert(1)",
        "http:localhost",
        "http:///x",
        "http://?x",
        " http://localhost/",
        "http://localhost\n/",
        "http://loc\talhost/",
        "http://localhost/\x00",
        "http://localhost\\/x",
        "http://evil.example\\@localhost/",
        "http:\\\\localhost\\x",
        "http://user@localhost/",
        "http://localhost:80@evil.example/",
        "http://localhost:port/",
        "http://127.1/",
        "http://\u24dbocalhost/",
        "http://127\u30020\u30020\u30021/",
        "http://evil\uff0fexample/",
        "http://" + "\xfc" * 10_000 + "/",
    ],
)
def test_invalid_url_is_refused(text: str) -> None:
    with pytest.raises(AuthorityError):
        parse_url(text)


def test_user_info_is_dropped_if_it_is_allowed() -> None:
    assert parse_url("http://user:p%40ss@localhost:1/x", userinfo=True).authority == Authority("localhost", 1)


@pytest.mark.parametrize("text", ["http://a@b@localhost/", "http://evil.example\\@localhost/", "http://@/"])
def test_user_info_cannot_hide_another_host(text: str) -> None:
    with pytest.raises(AuthorityError):
        parse_url(text, userinfo=True)


@given(AUTHORITIES, st.sampled_from(["http", "https"]), st.sampled_from(["", "/", "/a%20b?x=1"]))
def test_url_is_parsed_back_to_its_authority(authority: Authority, scheme: str, rest: str) -> None:
    assert parse_url(f"{scheme}://{authority}{rest}").authority == parse_authority(str(authority))


@given(st.text(max_size=100))
def test_any_text_is_a_url_or_is_refused(text: str) -> None:
    for candidate in (text, f"http://{text}", f"http://localhost{text}"):
        try:
            url = parse_url(candidate, userinfo=True)
        except AuthorityError:
            continue
        assert parse_authority(str(url.authority)) == url.authority
