"""The negative control: aimock, a peer whose differences from fal were measured, must not pass.

A suite that finds nothing anywhere proves nothing. Needs node, and aimock from npm in some folder.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

from falcontract import suite
from falcontract.steps import Program, Step, cancel, result, status, submit, until
from falcontract.targets import KEY_A, KEY_B, Session, authorization_headers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from falcontract.suite import PropertyResult

VERSION: Final = "1.43.0"  # that NEEDS.md 2.2 measured

# Each row of NEEDS.md 2.2: what aimock does, the property that objects, and in which words.
DIFFERENCES: Final = {
    "a submit without image_url succeeds": ("P15", "an input that the schema would have refused is refused"),
    "a submit without a key is taken": ("P23", "no usable key is a 401"),
    "a status while queued is a 200": ("P4", "IN_QUEUE comes with 202"),
    "a trailing slash is a 404": ("P28", "the code is the same with a slash"),
    "there is no status stream": ("P32", "a stream is answered 200"),
    "a result before the end is a 202 with a status": ("P10", "a result before COMPLETED is a 400"),
    "the URLs keep the sub-path": ("P2", "response_url drops the sub-path"),
    "logs are told without being asked for": ("P29", "nothing was asked for, nothing is told"),
    "a cancel is answered CANCELLED": ("P34", "the answer is a known word"),
    "a cancelled job is CANCELLED for ever": ("P3", "the status is one of three"),
    "a webhook is ignored": ("P42", "a webhook is delivered"),
    "errors have another service's shape": ("P20", "an unknown id is not found"),
    "the video cannot be fetched": ("P12", "the video can be fetched"),
    "a submit does not tell the status": ("P1", "a new job is IN_QUEUE"),
}


class _PeerTransport(httpx.AsyncBaseTransport):
    """Leads fal's names to the peer, the way that it asks for; nothing goes anywhere else."""

    def __init__(self, base: str) -> None:
        self._base = httpx.URL(base)
        self._inner = httpx.AsyncHTTPTransport(verify=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        headers = httpx.Headers(request.headers)
        headers["x-fal-target-host"] = request.url.host
        path = b"/fal" + request.url.raw_path
        url = request.url.copy_with(scheme="http", host=self._base.host, port=self._base.port, raw_path=path)
        led = httpx.Request(
            request.method, url, headers=headers, stream=request.stream, extensions=request.extensions
        )
        return await self._inner.handle_async_request(led)

    async def aclose(self) -> None:
        await self._inner.aclose()


@dataclass
class Peer:
    """A running aimock as a target; its jobs move when they are polled, so time need not pass."""

    base: str
    name: str = f"aimock {VERSION}"
    abilities: frozenset[str] = frozenset({"receive", "second-key", "pass-time"})

    @asynccontextmanager
    async def open(self, program: Program) -> AsyncIterator[Session]:
        """See `Target`."""
        del program
        async with _PeerTransport(self.base) as line:
            yield Session(
                line=line,
                hosts={"queue": "https://queue.fal.run", "rest": "https://rest.fal.ai"},
                keys=authorization_headers(KEY_A, KEY_B),
                now=time.monotonic,
                wall=time.time,
                pass_time=_no_time,
            )


async def _no_time(seconds: float) -> None:
    del seconds
    await asyncio.sleep(0)


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[Peer]:
    """Start aimock out of a folder into which npm installed it.

    Raises:
        RuntimeError: there is no node, or aimock does not start.
    """
    node = shutil.which("node")
    if node is None:
        raise RuntimeError("there is no node to run aimock with")
    script = Path(__file__).with_name("peer.mjs")
    process = await asyncio.create_subprocess_exec(
        node, str(script), str(folder), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        line = (await process.stdout.readline()).decode().strip()
        if not line:
            raise RuntimeError(f"aimock does not start; npm install @copilotkit/aimock@{VERSION} in {folder}")
        yield Peer(line)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _program(name: str, *steps: Step) -> Program:
    return Program(name=name, steps=steps)


def programs() -> list[Program]:
    """Return the suite's programs, some of them polled further: this peer moves by polls."""
    known = {p.name: p for p in suite.programs_for(suite.select_properties())}
    names = (
        "lifecycle",
        "bad-credentials",
        "trailing-slash",
        "stream",
        "early-result",
        "logs",
        "webhook-ok",
        "unknown-id",
        "cancel-unknown",
    )
    polled = [
        _program("schema", submit(given={"prompt": "x"}), until("COMPLETED", seconds=20), result()),
        _program("cancel-queued", submit(), status(), cancel(), status(), result()),
    ]
    return [*(known[name] for name in names), *polled]


async def look(folder: Path) -> list[PropertyResult]:
    """Run the suite's programs on aimock and judge what came."""
    async with started(folder) as peer:
        traces = await suite.run_programs(programs(), peer, doors=False)
        return suite.judge(suite.select_properties(), traces, peer)


def flagged(shown: Sequence[PropertyResult]) -> dict[str, bool]:
    """Return which of the known differences the suite found, by name."""
    found: set[tuple[Any, str]] = {(one.property.id, f.claim.text) for one in shown for f in one.findings}
    return {name: difference in found for name, difference in DIFFERENCES.items()}
