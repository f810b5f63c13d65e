"""Negative control: aimock, another emulator, differs from fal in known ways, and the suite must find them.

It needs node, and aimock installed by npm.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx

from falcontract import suite
from falcontract.steps import cancel, program, result, status, submit, until
from falcontract.targets.base import KEY_A, KEY_B, Session, authorization_headers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from falcontract.steps import Program
    from falcontract.suite import PropertyResult

VERSION: Final = "1.43.0"  # the version with the differences below

# The known differences of aimock from fal, and the (property, claim) that each must violate.
DIFFERENCES: Final = {
    "a submit without image_url succeeds": ("P15", "refused"),
    "a submit without a key is accepted": ("P23", "no-key"),
    "a status while queued is a 200": ("P4", "code"),
    "a trailing slash is a 404": ("P28", "code"),
    "a status stream does not exist": ("P32", "code"),
    "an early result is a 202 with a status": ("P10", "code"),
    "the URLs keep the sub-path": ("P2", "response_url"),
    "logs come without a request": ("P29", "null"),
    "a cancel is answered CANCELLED": ("P34", "word"),
    "a cancelled job stays CANCELLED": ("P3", "status"),
    "a webhook is ignored": ("P42", "delivered"),
    "errors have the form of another service": ("P20", "not-found"),
    "the video cannot be downloaded": ("P12", "download"),
    "a submit is answered without a status": ("P1", "status"),
}
PROGRAMS: Final = (
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


class _PeerTransport(httpx.AsyncBaseTransport):
    """Sends calls for fal's hosts to the peer, in the form that it expects."""

    def __init__(self, base: str) -> None:
        self._base = httpx.URL(base)
        self._inner = httpx.AsyncHTTPTransport(verify=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        headers = httpx.Headers(request.headers)
        headers["x-fal-target-host"] = request.url.host
        path = b"/fal" + request.url.raw_path
        url = request.url.copy_with(scheme="http", host=self._base.host, port=self._base.port, raw_path=path)
        redirected = httpx.Request(
            request.method, url, headers=headers, stream=request.stream, extensions=request.extensions
        )
        return await self._inner.handle_async_request(redirected)

    async def aclose(self) -> None:
        await self._inner.aclose()


@dataclass
class Peer:
    """A running aimock as a target. Its jobs advance when they are polled, so no time needs to pass."""

    base: str
    name: str = f"aimock {VERSION}"
    abilities: frozenset[str] = frozenset({"receive", "second-key", "pass-time"})

    @asynccontextmanager
    async def open(self, program: Program) -> AsyncIterator[Session]:
        """Open a connection pool; the peer keeps its state."""
        del program
        async with _PeerTransport(self.base) as transport:
            yield Session(
                transport=transport,
                hosts={"queue": "https://queue.fal.run", "rest": "https://rest.fal.ai"},
                keys=authorization_headers(KEY_A, KEY_B),
                now=time.monotonic,
                wall=time.time,
                pass_time=_pass_no_time,
            )


async def _pass_no_time(seconds: float) -> None:
    del seconds
    await asyncio.sleep(0)


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[Peer]:
    """Start the aimock that npm installed in a folder.

    Raises:
        RuntimeError: node is missing, or aimock does not start.
    """
    node = shutil.which("node")
    if node is None:
        raise RuntimeError("node is not installed")
    script = Path(__file__).with_name("peer.mjs")
    process = await asyncio.create_subprocess_exec(
        node, str(script), str(folder), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        base = (await process.stdout.readline()).decode().strip()
        if not base:
            raise RuntimeError(f"aimock does not start; npm install @copilotkit/aimock@{VERSION} in {folder}")
        yield Peer(base)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def programs() -> list[Program]:
    """Return programs of the suite; two of them with more polls, which this peer needs."""
    known = {p.name: p for p in suite.programs_for(suite.select_properties())}
    return [
        *(known[name] for name in PROGRAMS),
        program("schema", submit(given={"prompt": "x"}), until("COMPLETED", seconds=20), result()),
        program("cancel-queued", submit(), status(), cancel(), status(), result()),
    ]


async def run(folder: Path) -> list[PropertyResult]:
    async with started(folder) as peer:
        traces = await suite.run_programs(programs(), peer, clients=False)
        return suite.judge(suite.select_properties(), traces, peer)


def found_differences(results: Sequence[PropertyResult]) -> dict[str, bool]:
    """Return for each known difference whether the suite found it."""
    found = {(result.property.id, f.claim.key) for result in results for f in result.findings}
    return {name: difference in found for name, difference in DIFFERENCES.items()}
