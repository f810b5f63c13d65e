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


async def test_a_bare_path_is_answered_with_the_public_url(public: Mock) -> None:
    assert (await submit(public, f"/{ENDPOINT}")).startswith(f"{PUBLIC}/fal-ai/veo2/requests/")


async def test_so_is_a_path_with_a_hosts_name(public: Mock) -> None:
    url = await submit(public, f"/queue.fal.run/{ENDPOINT}")

    assert url.startswith(f"{PUBLIC}/queue.fal.run/fal-ai/veo2/")


async def test_the_public_name_is_one_of_its_own(public: Mock) -> None:
    url = await submit(public, f"/{ENDPOINT}", Host="falmock.internal:9443")

    assert url.startswith(f"{PUBLIC}/")


async def test_who_called_fals_own_name_is_answered_with_that(public: Mock) -> None:
    url = await submit(public, f"/{ENDPOINT}", Host="queue.fal.run")

    assert url.startswith("http://queue.fal.run/fal-ai/")


async def test_the_video_is_at_the_public_url(public: Mock) -> None:
    done = await public.finish()

    assert done.json()["video"]["url"].startswith(f"{PUBLIC}/v3b.fal.media/files/")


@pytest.mark.parametrize("url", ["falmock:8787", "ftp://x", "http://x/path", "http://u:p@x", ""])
def test_a_public_url_is_scheme_host_and_port(url: str) -> None:
    with pytest.raises(SettingsError, match="--public-url"):
        Settings(public_url=url)
