"""An emulator that is closed leaves nothing."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from typing import TYPE_CHECKING, Any

import httpx
from emulated import BASE, ENDPOINT, HOSTED, KEY

from falmock.app import create_app, open_emulator
from falmock.engine import opening
from falmock.settings import Settings, Span

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


async def test_an_emulator_that_closes_while_its_first_run_begins_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    usual = opening.new_runner
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def late(*given: Any, **named: Any) -> Any:
        begun.set()
        may_end.wait()
        try:
            return usual(*given, **named)
        finally:
            ended.set()

    monkeypatch.setattr(opening, "new_runner", late)
    async with open_emulator(Settings(queue_seconds=Span(0, 0))) as emulator:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(create_app(emulator)), base_url=BASE
        ) as http:
            await http.post(f"/{ENDPOINT}", json={"prompt": "A chef", "image_url": HOSTED}, headers=KEY)
        await asyncio.to_thread(begun.wait)
        asyncio.get_running_loop().call_later(0.3, may_end.set)  # when all else is closed

    await asyncio.to_thread(ended.wait)
    assert left_in(tmp_path) == []


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())
