"""The addresses of fal's hosts, and which of them may receive credentials."""

from __future__ import annotations

import pytest

import falqueue
from falqueue._hosts import Hosts


def test_the_client_talks_to_fal_by_default() -> None:
    assert Hosts.at(None) == Hosts()


def test_a_base_url_replaces_all_hosts() -> None:
    hosts = Hosts.at("http://127.0.0.1:8787/")
    assert [hosts.queue, hosts.run, hosts.rest, hosts.media] == [
        "http://127.0.0.1:8787/queue.fal.run",
        "http://127.0.0.1:8787/fal.run",
        "http://127.0.0.1:8787/rest.fal.ai",
        "http://127.0.0.1:8787/v3.fal.media",
    ]


@pytest.mark.parametrize(
    "base",
    [
        "queue.fal.run",
        "ftp://x",
        "http://a\x00b",
        "http://",
        "http://me:pw@127.0.0.1",
        "x:y",
        "http://a/?b",
        "http://a/#b",
    ],
)
def test_a_malformed_base_url_is_rejected_without_repeating_it(base: str) -> None:
    with pytest.raises(falqueue.UsageError) as caught:
        Hosts.at(base)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("base", "local"),
    [
        ("http://127.0.0.1:8787", True),
        ("http://[::1]:8787", True),
        ("http://localhost", True),
        ("http://localhost.evil.example", False),
        ("http://falmock:8787", False),
        (None, False),
    ],
)
def test_only_loopback_addresses_are_local(base: str | None, local: bool) -> None:
    assert Hosts.at(base).local is local


@pytest.mark.parametrize(
    ("url", "trusted"),
    [
        ("https://v3.fal.media", True),
        ("https://v3b.fal.media/files/x", True),
        ("https://fal.media/files/x", True),
        ("http://v3.fal.media", False),
        ("https://fal.media.evil.example", False),
        ("https://evilfal.media", False),
        ("https://me@v3.fal.media", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_an_upload_token_is_sent_to_hosts_of_fal_only(url: str, trusted: bool) -> None:
    assert Hosts().may_receive_upload_token(url) is trusted


def test_an_upload_token_of_an_emulator_is_sent_to_the_emulator_only() -> None:
    hosts = Hosts.at("http://127.0.0.1:8787")
    assert [
        hosts.may_receive_upload_token(url) for url in ("http://127.0.0.1:8787/x", "https://v3.fal.media")
    ] == [True, False]
