"""For Python tests: what httpx clients say to fal's hosts goes to an emulator in the same process.

No port is opened and no program is started. Any call for a host of fal's that is not emulated is an
error. What is not fal's is none of this module's business. It needs respx: `pip install falmock[testing]`.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

import httpx
import respx
from anyio.from_thread import start_blocking_portal

from falmock.app import create_app, open_emulator
from falmock.hosts import FAL_DOMAINS, is_served
from falmock.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator

    from starlette.types import ASGIApp

    from falmock.emulator import Emulator

_FAL: Final = rf"(^|\.)({'|'.join(map(re.escape, FAL_DOMAINS))})\.?$"


class LeakError(AssertionError):
    """A test called a host of fal's that is not emulated."""

    def __init__(self, host: str) -> None:
        super().__init__(f"a call for {host}, which falmock does not emulate, would have left this machine")


@contextmanager
def offline(settings: Settings | None = None) -> Iterator[Emulator]:
    """Open an emulator, and lead what httpx clients say to fal there, for the length of a block.

    Clients may be synchronous or asynchronous. The emulator lives in a thread of its own, with the
    system's clock; a status stream comes in one piece when it is over.
    """
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(_open(settings or Settings())) as (emulator, loop),
        redirected(create_app(emulator), loop),
    ):
        yield emulator


@contextmanager
def redirected(app: ASGIApp, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Lead what httpx clients say to fal to an application, for the length of a block.

    Args:
        app: of an open emulator.
        loop: in which the emulator was opened. Synchronous clients must be in another thread.
    """
    transport = httpx.ASGITransport(app)

    async def answer(request: httpx.Request) -> httpx.Response:
        response = await transport.handle_async_request(request)
        content = await response.aread()
        return httpx.Response(response.status_code, headers=response.headers, content=content)

    def lead(request: httpx.Request) -> httpx.Response | Awaitable[httpx.Response]:
        if not is_served(request.url.host.rstrip(".")):
            raise LeakError(request.url.host)
        here = _running_loop()
        if here is loop:
            return answer(request)
        there = asyncio.run_coroutine_threadsafe(answer(request), loop)
        return there.result() if here is None else asyncio.wrap_future(there)

    with respx.mock(assert_all_called=False) as router:
        router.route(host__regex=_FAL).mock(side_effect=lead)
        router.route().pass_through()
        yield


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[tuple[Emulator, asyncio.AbstractEventLoop]]:
    async with open_emulator(settings) as emulator:
        yield emulator, asyncio.get_running_loop()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
