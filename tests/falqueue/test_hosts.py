"""Where requests go, and where credentials may."""

from __future__ import annotations

import pytest

import falqueue
from falqueue._hosts import Hosts


def test_without_a_base_it_is_fal() -> None:
    assert Hosts.at(None) == Hosts()


def test_a_base_stands_for_all_hosts() -> None:
    hosts = Hosts.at("http://127.0.0.1:8787/")
    assert [hosts.queue, hosts.run, hosts.rest, hosts.media] == [
        "http://127.0.0.1:8787/queue.fal.run",
        "http://127.0.0.1:8787/fal.run",
        "http://127.0.0.1:8787/rest.fal.ai",
        "http://127.0.0.1:8787/v3.fal.media",
    ]


@pytest.mark.parametrize(
    "base", ["queue.fal.run", "ftp://x", "http://a\x00b", "http://", "http://me:pw@127.0.0.1", "x:y"]
)
def test_what_is_no_base_is_refused_and_not_repeated(base: str) -> None:
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
def test_only_loopback_is_local(base: str | None, local: bool) -> None:
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
        ("https://me@v3.fal.media", True),
        ("https://[", False),
        ("", False),
    ],
)
def test_an_upload_token_goes_to_fals_hosts_only(url: str, trusted: bool) -> None:
    assert Hosts().trusts(url) is trusted


def test_an_upload_token_of_an_emulator_stays_there() -> None:
    hosts = Hosts.at("http://127.0.0.1:8787")
    assert [hosts.trusts(url) for url in ("http://127.0.0.1:8787/x", "https://v3.fal.media")] == [True, False]
