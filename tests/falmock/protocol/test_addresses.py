from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falmock.protocol.addresses import Reach, delivered, is_loopback, parse, reach

V4 = st.ip_addresses(v=4)
V6 = st.ip_addresses(v=6)
LOOPBACK_V4 = st.ip_addresses(network="127.0.0.0/8")


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST.",
        "app.localhost",
        "a.b.localhost",
        "127.0.0.1",
        "127.0.0.1.",
        "127.9.9.9",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0X7F.0.0.1",
        "017700000001",
        "0177.0.0.01",
        "::1",
        "[::1]",
        "0:0:0:0:0:0:0:1",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
    ],
)
def test_loopback_is_recognised_in_every_form_that_the_resolver_accepts(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "localhost.example.com",
        "notlocalhost",
        "localhost..",
        "10.0.0.1",
        "0.0.0.0",
        "::",
        "128.0.0.1",
        "0127.0.0.1",  # octal: 87.0.0.1
        "127.0.0.256",
        "127.0.0.1.1",
        "127.0.0.1 x",
        "127.0.0.1%lo",
        "127.0.0.1%.evil.example",
        "[::1].evil.example",
        "::1%lo",
        "::1%1",
        "[::1",
        "2606:4700::1",
        "::127.0.0.1",
        "2002:7f00:1::1",
        "64:ff9b::127.0.0.1",
        "64:ff9b:1::127.0.0.1",
        "2001:0:7f00:1::",
        "::ffff:0:127.0.0.1",
        "fe80::1",
        "١٢٧.0.0.1",
        "",
    ],
)
def test_address_that_the_system_does_not_deliver_to_loopback_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def is_public(address: str) -> bool:
    parsed = parse(address)
    return parsed is not None and reach(parsed) is Reach.PUBLIC


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"])
def test_address_on_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "192.168.1.1",
        "100.64.0.1",
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1%eth0",
        "2606:4700::1%eth0",
        "fd00::1",
        "fec0::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::127.0.0.1",
        "2002:0a00:0001::1",
        "2002:7f00:1::1",
        "2001:db8::1",
        "not an address",
    ],
)
def test_private_address_is_not_public_in_any_notation(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", Reach.LOOPBACK),
        ("::1", Reach.LOOPBACK),
        ("172.17.0.2", Reach.PRIVATE),
        ("::ffff:192.168.0.1", Reach.PRIVATE),
        ("fd12::1", Reach.PRIVATE),
        ("8.8.8.8", Reach.PUBLIC),
        ("2606:4700::1", Reach.PUBLIC),
        ("169.254.169.254", Reach.UNUSABLE),
        ("fe80::1", Reach.UNUSABLE),
        ("0.0.0.0", Reach.UNUSABLE),
        ("::", Reach.UNUSABLE),
        ("224.0.0.251", Reach.UNUSABLE),
        ("255.255.255.255", Reach.UNUSABLE),
        ("2002:a00:1::1", Reach.UNUSABLE),
        ("64:ff9b::a00:1", Reach.UNUSABLE),
        ("::1%1", Reach.UNUSABLE),
    ],
)
def test_reach_of_an_address_is_classified(address: str, expected: Reach) -> None:
    assert reach(parse(address) or pytest.fail(address)) is expected


@pytest.mark.parametrize(
    ("address", "arrives"),
    [
        ("0.0.0.0", "127.0.0.1"),
        ("::", "::1"),
        ("::ffff:0.0.0.0", "127.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("2002:7f00:1::1", "2002:7f00:1::1"),
    ],
)
def test_delivered_address_is_where_the_system_leads_a_connection(address: str, arrives: str) -> None:
    assert str(delivered(parse(address) or pytest.fail(address))) == arrives


@given(V4 | V6)
def test_address_is_parsed_back_from_its_text(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    assert parse(str(address)) == parse(f"[{address}]") == address


@given(V4, st.sampled_from(["{:d}", "{:#x}", "0{:o}"]))
def test_single_number_is_parsed_as_the_resolver_does(address: ipaddress.IPv4Address, form: str) -> None:
    text = form.format(int(address))
    (found, *_) = socket.getaddrinfo(text, 80, socket.AF_INET, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)

    assert str(parse(text)) == found[4][0] == str(address)


@given(LOOPBACK_V4, st.sampled_from(["2002:{}:{}::1", "64:ff9b::{}:{}", "::{}:{}", "2001:0:{}:{}::"]))
def test_ipv6_address_that_only_embeds_loopback_is_neither_loopback_nor_public(
    address: ipaddress.IPv4Address, form: str
) -> None:
    high, low = divmod(int(address), 0x10000)
    text = form.format(f"{high:x}", f"{low:x}")

    assert (is_loopback(text), is_public(text)) == (False, False)


@given(st.text(max_size=40))
def test_any_text_is_classified_without_an_error(text: str) -> None:
    assert is_loopback(text) in {True, False}
    assert not (is_loopback(text) and is_public(text))


@given(st.from_regex(r"[0-9a-fx.:%\[\]]{1,20}", fullmatch=True))
def test_parsed_address_equals_the_systems_resolution(text: str) -> None:
    text = text.strip("[]")
    address = parse(text)
    if address is None or "%" in text or text.endswith("."):
        return

    found = socket.getaddrinfo(text, 80, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)

    assert {ipaddress.ip_address(each[4][0]) for each in found} == {address}
