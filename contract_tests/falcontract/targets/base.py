"""Targets: where a program can run, and what each target can do."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import httpx

from falcontract.steps import HOSTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
    from contextlib import AbstractAsyncContextManager

    from falcontract.steps import Json, Program

# A property or program that needs an ability which the target lacks is skipped, and the report says so.
ABILITIES: Final = {
    "configure": "timing and limits that can be set",
    "pass-time": "a clock that can be moved",
    "receive": "webhooks to this machine",
    "second-key": "a second account",
    "known-keys": "a list of accounts",
    "stand-still": "a clock that stands still between steps",
    "lock": "accounts that can be locked",
    "faults": "fault rules",
    "restart": "a restart that keeps the state",
    "hosts": "all hosts of fal",
    "addressing": "hosts named by headers",
}


def in_words(abilities: Iterable[str]) -> str:
    """Return abilities as they read after "needs"."""
    return ", ".join(ABILITIES[name] for name in sorted(abilities))


KEY_A: Final = "00000000-aaaa-4aaa-8aaa-000000000000:" + "a" * 32
KEY_B: Final = "00000000-bbbb-4bbb-8bbb-000000000000:" + "b" * 32
KEY_OF_NO_ACCOUNT: Final = "00000000-cccc-4ccc-8ccc-000000000000:" + "c" * 32

STREAM_STEP: Final = 0.5  # seconds that a manual clock moves while a stream is read
SMALLEST_STEP: Final = 2**-10  # seconds; the clock moves on even if a due event never happens
TURNS: Final = 12  # of the event loop, for a stream to write after a change

FAL_DOMAINS: Final = (".fal.run", ".fal.ai", ".fal.media", ".falrun.com")


def authorization_headers(key: str, second: str | None = None) -> dict[str, str | None]:
    """Return the Authorization header for each value of `Step.key`."""
    return {
        "a": f"Key {key}",
        "b": f"Key {second}" if second else None,
        "none": None,
        "bearer": f"Bearer {key}",
        "garbage": "Key garbage",
        "half": f"Key {key.partition(':')[0]}",
        "unknown": f"Key {KEY_OF_NO_ACCOUNT}",
    }


@dataclass
class Session:
    """A target, opened for one program."""

    transport: httpx.AsyncBaseTransport  # sends the calls of the wire: no retries, no redirects
    hosts: Mapping[str, str]  # base URL of each host of `steps.HOSTS` it has, without a trailing slash
    keys: Mapping[str, str | None]  # from `authorization_headers`
    now: Callable[[], float]  # the target's clock in seconds
    wall: Callable[[], float]  # unix seconds, for signatures
    pass_time: Callable[[float], Awaitable[None]]  # waits on the target's clock
    facts: Json = field(default_factory=dict)  # timing and limits, see `model.prediction`
    exact_time: bool = False  # the clock moves only on command
    # time of the next event on an exact clock; infinity for none
    next_event: Callable[[], float] = lambda: math.inf
    poll_seconds: float = 0.5  # interval between polls
    settle_seconds: float = 0.0  # real seconds that an answer may take to arrive after the clock was moved
    # locks (or unlocks) the account of a key, if the target can
    lock: Callable[[str, bool], None] | None = None
    restart: Callable[[], Awaitable[None]] | None = None
    # makes a transport to the target, for another client
    new_transport: Callable[[], httpx.AsyncBaseTransport] = httpx.AsyncHTTPTransport

    @property
    def root(self) -> str:
        """The address of the target, without a host of fal's."""
        return self.hosts["queue"].removesuffix(f"/{HOSTS['queue']}")

    async def drive(self, task: asyncio.Task[Any], seconds: float) -> None:
        """Pass time until a task is done, at most so many seconds; then cancel it."""
        if not self.exact_time:
            await asyncio.wait({task}, timeout=seconds)
        else:
            end = self.now() + seconds
            while await self._is_pending(task) and self.now() < end:
                # Stop at each event, so that a stream can report one before the next happens.
                await self.pass_time(min(max(self.next_event() - self.now(), SMALLEST_STEP), STREAM_STEP))
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _is_pending(self, task: asyncio.Task[Any]) -> bool:
        for _ in range(TURNS):
            if task.done():
                return False
            await asyncio.sleep(self.settle_seconds / TURNS)
        return True


class Target(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def abilities(self) -> frozenset[str]:
        """A subset of `ABILITIES`."""
        ...

    def open(self, program: Program) -> AbstractAsyncContextManager[Session]:
        """Open the target for one program, with as little state as possible."""
        ...


class FalAddressError(ValueError):
    """The address belongs to fal, where only the reviewed plan may be sent, see `live`."""


class Address:
    """An emulator at a base URL, such as "http://127.0.0.1:8787". It replaces those of all of fal's hosts.

    Raises:
        FalAddressError: the address is fal's.
        ValueError: it is not an http(s) URL.
    """

    def __init__(self, base: str) -> None:
        url = httpx.URL(base)
        if url.scheme not in {"http", "https"} or not url.host:
            raise ValueError(f"{base} is not an http(s) URL")
        if f".{url.host.rstrip('.')}".endswith(FAL_DOMAINS):
            raise FalAddressError(
                f"{url.host} belongs to fal: use --target live, which sends the reviewed plan only"
            )
        self.name = base.rstrip("/")
        self.abilities = frozenset({"receive", "hosts", "second-key"})

    @asynccontextmanager
    async def open(self, program: Program) -> AsyncIterator[Session]:
        """Open a connection pool; the emulator keeps its state."""
        del program
        # An emulator has a certificate of a private CA, and the key is not a real one.
        async with httpx.AsyncHTTPTransport(verify=False) as transport:
            yield Session(
                transport=transport,
                hosts={name: f"{self.name}/{host}" for name, host in HOSTS.items()},
                keys=authorization_headers(KEY_A, KEY_B),
                now=time.monotonic,
                wall=time.time,
                pass_time=asyncio.sleep,
            )
