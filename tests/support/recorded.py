"""An emulator whose answers are the same on each run, byte for byte, for the tests of the wire."""

from __future__ import annotations

import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from answers import FixedRenderer
from emulated import BASE, Mock

from falmock.app import create_app, open_emulator
from falmock.engine.clock import ManualClock
from falmock.settings import Settings, Span

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from falmock.catalogue import Catalogue


@asynccontextmanager
async def recorded(catalogue: Catalogue | None = None, **settings: Any) -> AsyncIterator[Mock]:
    """Open an emulator with the seed 1: a request waits for one second and runs for four."""
    usual: dict[str, Any] = {"seed": 1, "queue_seconds": Span(1, 1), "run_seconds": Span(4, 4)}
    clock = ManualClock()
    with tempfile.TemporaryDirectory() as folder:
        renderer: Any = FixedRenderer(Path(folder))
        async with (
            open_emulator(Settings(**(usual | settings)), clock, renderer, catalogue=catalogue) as emulator,
            httpx.AsyncClient(transport=httpx.ASGITransport(create_app(emulator)), base_url=BASE) as http,
        ):
            yield Mock(emulator, clock, http)
