"""A served emulator for each test, called over a socket: header order and framing are those of the wire."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from emulated import Mock, opened, serving
from processes import WITHOUT_TLS

from falmock.engine.clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Start = Callable[..., Awaitable[Mock]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def renders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache of clips for all tests."""
    return tmp_path_factory.mktemp("renders")


@pytest.fixture
async def start(renders: Path) -> AsyncIterator[Start]:
    """Serve an emulator with the given settings: one second in the queue, four running."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Mock:
            mock = await stack.enter_async_context(opened(renders, ManualClock(1_790_000_000.0), **settings))
            address = await stack.enter_async_context(serving(mock.emulator))
            http = await stack.enter_async_context(httpx.AsyncClient(base_url=address, verify=WITHOUT_TLS))
            return replace(mock, http=http)

        yield start


@pytest.fixture
async def mock(start: Start) -> Mock:
    """An emulator as it comes."""
    return await start()
