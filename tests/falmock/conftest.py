"""An emulator for each test: in process, offline, with a manual clock."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from emulated import Mock, opened
from respx.mocks import HTTPCoreMocker

from falmock.engine.clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

HTTPCoreMocker.add_targets("falmock.system.transport.Pool")  # respx answers falmock's own calls too


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def renders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache of clips for all tests: most of them ask for the same."""
    return tmp_path_factory.mktemp("renders")


@pytest.fixture
async def start(renders: Path) -> AsyncIterator[Callable[..., Awaitable[Mock]]]:
    """Start an emulator with the given settings; by default one second in the queue, four running."""
    async with AsyncExitStack() as stack:

        async def start(*, clock: ManualClock | None = None, **settings: Any) -> Mock:
            return await stack.enter_async_context(opened(renders, clock or ManualClock(), **settings))

        yield start


@pytest.fixture
async def mock(start: Callable[..., Awaitable[Mock]]) -> Mock:
    """An emulator as it comes."""
    return await start()
