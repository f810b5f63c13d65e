"""Count the modules that a call passes through: `python bench/trace.py`.

For each kind of call the table shows

- modules: how many modules of falmock run some of their code,
- moves: how often one module calls into another,
- returns: how many of these moves go to a module that has been left before,
- calls: how many functions are called.

The figures do not depend on the machine. They show how often a reader changes modules to follow a call.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from falmock.app import create_app, open_emulator
from falmock.engine.clock import ManualClock
from falmock.settings import Settings, Span

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from types import FrameType

ENDPOINT = "/fal-ai/veo2/image-to-video"
KEY = {"Authorization": "Key me:secret"}
INPUT = {"prompt": "A lego chef cooking eggs", "image_url": "https://example.com/chef.png"}


@dataclass
class Trace:
    """The modules that were called, in order; one entry for each function call."""

    visits: list[str] = field(default_factory=list)

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        module = frame.f_globals.get("__name__", "")
        if event == "call" and module.startswith("falmock"):
            self.visits.append(module)

    @property
    def modules(self) -> int:
        return len(set(self.visits))

    @property
    def moves(self) -> int:
        return sum(before != after for before, after in zip(self.visits, self.visits[1:], strict=False))

    @property
    def returns(self) -> int:
        return self.moves - (self.modules - 1)


async def traced(call: Awaitable[httpx.Response]) -> tuple[Trace, Any]:
    trace = Trace()
    sys.setprofile(trace)
    try:
        response = await call
    finally:
        sys.setprofile(None)
    response.raise_for_status()
    return trace, response.json() if response.content else None


async def measure() -> dict[str, Trace]:
    """Return a trace of each kind of call, each made once before so that caches are filled."""
    settings = Settings(seed=1, media="plain", queue_seconds=Span(1, 1), run_seconds=Span(4, 4))
    async with (
        open_emulator(settings, ManualClock()) as emulator,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(create_app(emulator)), base_url="http://127.0.0.1:8787", headers=KEY
        ) as http,
    ):
        for _ in range(2):
            submit, accepted = await traced(http.post(ENDPOINT, json=INPUT))
            await http.get(accepted["status_url"])
            status, _ = await traced(http.get(accepted["status_url"]))  # clients poll more than once
            await emulator.timeline.pass_time(10)
            result, _ = await traced(http.get(accepted["response_url"]))
        return {"submit": submit, "status": status, "result": result}


def main() -> None:
    traces = asyncio.run(measure())
    if "--json" in sys.argv[1:]:
        print(json.dumps({name: trace.visits for name, trace in traces.items()}, indent=1))
        return
    print(f"{'':8} {'modules':>8} {'moves':>6} {'returns':>8} {'calls':>6}")
    for name, trace in traces.items():
        print(f"{name:8} {trace.modules:8} {trace.moves:6} {trace.returns:8} {len(trace.visits):6}")


if __name__ == "__main__":
    main()
