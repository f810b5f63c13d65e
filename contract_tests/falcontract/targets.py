"""Targets: where a program can be run, and what each of them is able to do.

A target opens a session for one program. The emulator is started here and nowhere else.
"""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from falcontract.steps import Json, Program

# What a target may be able to do; a rule that needs more is skipped by name.
ABILITIES: Final = {
    "configure": "be told its timing, limits and keys before it starts",
    "pass-time": "let an hour pass in a moment",
    "receive": "reach a webhook receiver on this machine",
    "second-key": "know two accounts",
    "known-keys": "refuse the key of an account that does not exist",
    "stand-still": "keep its clock still between steps, so that it is known what must be said when",
    "lock": "lock an account while it has requests",
    "faults": "fail on demand in ways that only a fault plan can bring about",
}

KEY_A: Final = "00000000-aaaa-4aaa-8aaa-000000000000:" + "a" * 32
KEY_B: Final = "00000000-bbbb-4bbb-8bbb-000000000000:" + "b" * 32
UNKNOWN_ACCOUNT: Final = "00000000-cccc-4ccc-8ccc-000000000000:" + "c" * 32


def authorization_headers(key: str, second: str | None = None) -> dict[str, str | None]:
    """Return the Authorization header for each way in which a step may name its credentials."""
    return {
        "a": f"Key {key}",
        "b": f"Key {second}" if second else None,
        "none": None,
        "bearer": f"Bearer {key}",
        "garbage": "Key garbage",
        "half": f"Key {key.partition(':')[0]}",
        "unknown": f"Key {UNKNOWN_ACCOUNT}",
    }


@dataclass
class Session:
    """A target, opened for one program.

    Attributes:
        line: carries the requests of the wire as they are: nothing is repeated, and no redirect followed.
        hosts: address of each fal host, without a trailing slash: "queue" and "rest".
        keys: Authorization headers, as `authorization_headers` gives them.
        now: the target's clock in seconds.
        wall: unix seconds, for signatures.
        pass_time: lets time pass.
        facts: what is known of its timing and limits, see `timing`.
        exact_time: the clock moves only when told to.
        due: when something happens next by itself, on an exact clock; infinity for never.
        poll_seconds: how long to wait between two polls.
        turn: real seconds that an answer may need to come through after the clock was moved.
        lock: locks the account of a key id, where the target can.
        transport: makes a transport that leads to the target, for a client of its own.
    """

    line: httpx.AsyncBaseTransport
    hosts: Mapping[str, str]
    keys: Mapping[str, str | None]
    now: Callable[[], float]
    wall: Callable[[], float]
    pass_time: Callable[[float], Awaitable[None]]
    facts: Json = field(default_factory=dict)
    exact_time: bool = False
    due: Callable[[], float] = lambda: math.inf
    poll_seconds: float = 0.5
    turn: float = 0.0
    lock: Callable[[str], None] | None = None
    transport: Callable[[], httpx.AsyncBaseTransport] = httpx.AsyncHTTPTransport

    async def drive(self, task: asyncio.Task[Any], seconds: float) -> None:
        """Let time pass until a task is done, for so many seconds at most; then give it up."""
        if not self.exact_time:
            await asyncio.wait({task}, timeout=seconds)
        else:
            end = self.now() + seconds
            while await self._not_done(task) and self.now() < end:
                # From one event to the next: a stream shall observe of each before the other comes.
                await self.pass_time(min(max(self.due() - self.now(), LEAST), STREAM_STEP))
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _not_done(self, task: asyncio.Task[Any]) -> bool:
        for _ in range(TURNS):
            if task.done():
                return False
            await asyncio.sleep(self.turn / TURNS)
        return True


STREAM_STEP: Final = 0.5  # seconds of a manual clock between two looks at an open stream
LEAST: Final = 2**-10  # seconds, so that time goes on even if what is due is never done
TURNS: Final = 12  # of the event loop that a woken stream may need to write


class Target(Protocol):
    """Something that programs are run on."""

    @property
    def name(self) -> str:
        """How reports call it."""
        ...

    @property
    def abilities(self) -> frozenset[str]:
        """Which of `ABILITIES` it has."""
        ...

    def open(self, program: Program) -> AbstractAsyncContextManager[Session]:
        """Open it for one program, as fresh as it can be."""
        ...


FAL_DOMAINS: Final = (".fal.run", ".fal.ai", ".fal.media", ".falrun.com")


class FalAddressError(ValueError):
    """The address is fal's own: only a reviewed plan may send there, see `live`."""


class Address:
    """Any base URL that stands for all of fal's hosts, as an emulator does. It is never fal's own.

    Args:
        base: as "http://127.0.0.1:8787".
        key: the credentials to use.
        second: those of another account, if there are any.

    Raises:
        FalAddressError: the address is fal's.
        ValueError: it is no http(s) address.
    """

    def __init__(self, base: str, *, key: str = KEY_A, second: str | None = KEY_B) -> None:
        url = httpx.URL(base)
        if url.scheme not in {"http", "https"} or not url.host:
            raise ValueError(f"{base} is no http(s) address")
        if f".{url.host.rstrip('.')}".endswith(FAL_DOMAINS):
            raise FalAddressError(
                f"{url.host} is fal's own: use --target live, which sends a reviewed plan and nothing else"
            )
        self.name = base.rstrip("/")
        self.abilities = frozenset({"receive"} | ({"second-key"} if second else set()))
        self._keys = authorization_headers(key, second)

    @asynccontextmanager
    async def open(self, program: Program) -> AsyncIterator[Session]:
        """See `Target`."""
        del program
        async with httpx.AsyncHTTPTransport(verify=False) as line:
            # An emulator's certificate is its own; this target is never fal, and its key opens nothing.
            yield Session(
                line=line,
                hosts={"queue": f"{self.name}/queue.fal.run", "rest": f"{self.name}/rest.fal.ai"},
                keys=self._keys,
                now=time.monotonic,
                wall=time.time,
                pass_time=asyncio.sleep,
            )
