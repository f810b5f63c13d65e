"""Returned URLs, when clients reach the emulator under another address than the one that they call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from emulated import ENDPOINT, GOOD, KEY, Mock

from falmock.settings import Settings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PUBLIC = "https://falmock.internal:9443"


@pytest.fixture
async def public(start: Callable[..., Awaitable[Mock]]) -> Mock:
    return await start(public_url=PUBLIC)


async def submit(mock: Mock, path: str, **headers: str) -> str:
    answer = await mock.http.post(path, json=GOOD, headers=KEY | headers)
    url: str = answer.json()["status_url"]
    return url


async def test_call_with_a_bare_path_gets_urls_with_the_public_url(public: Mock) -> None:
    assert (await submit(public, f"/{ENDPOINT}")).startswith(f"{PUBLIC}/fal-ai/veo2/requests/")


async def test_call_with_a_host_prefix_gets_urls_with_the_public_url(public: Mock) -> None:
    url = await submit(public, f"/queue.fal.run/{ENDPOINT}")

    assert url.startswith(f"{PUBLIC}/queue.fal.run/fal-ai/veo2/")


async def test_call_to_the_public_name_is_answered(public: Mock) -> None:
    url = await submit(public, f"/{ENDPOINT}", Host="falmock.internal:9443")

    assert url.startswith(f"{PUBLIC}/")


async def test_call_to_fals_own_name_gets_urls_with_that_name(public: Mock) -> None:
    url = await submit(public, f"/{ENDPOINT}", Host="queue.fal.run")

    assert url.startswith("http://queue.fal.run/fal-ai/")


async def test_video_url_has_the_public_url(public: Mock) -> None:
    done = await public.finish()

    assert done.json()["video"]["url"].startswith(f"{PUBLIC}/v3b.fal.media/files/")


@pytest.mark.parametrize("url", ["falmock:8787", "ftp://x", "http://x/path", "http://u:p@x", ""])
def test_public_url_that_is_not_scheme_host_and_port_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="--public-url"):
        Settings(public_url=url)
