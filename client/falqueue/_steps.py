"""What a flow asks of its driver, and the two drivers.

A flow is a generator: it yields a step, gets the step's outcome back, and in the end returns its value. It
does no I/O and knows no event loop, so each flow is written once and `run` and `arun` drive it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import httpx

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ask:
    """Send a request. The whole answer comes back; with `stream` only its head, unless it is an error."""

    method: str
    url: str
    params: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | Callable[[], Iterator[bytes]] | None = None
    auth: httpx.Auth | None = None
    timeout: float | None = 120.0
    stream: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """The next bytes of the streamed answer, none at its end."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Work:
    """Do what may block: files, pictures. Its return value comes back."""

    job: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Emit:
    """Show a value to whoever watches."""

    value: Any


Step: TypeAlias = Ask | Read | Pause | Work | Emit
Flow: TypeAlias = Generator[Step, Any, T]

CONNECT_SECONDS = 15.0


def iterate(flow: Flow[T], http: httpx.Client, sleep: Callable[[float], object]) -> Generator[Any, None, T]:
    """Drive `flow` with a blocking client; yield what it emits, return what it returns."""
    hands = _Hands(http, sleep)
    with closing(flow), closing(hands):
        try:
            step = next(flow)
            while True:
                if isinstance(step, Emit):
                    yield step.value
                    step = flow.send(None)
                    continue
                try:
                    outcome = hands.do(step)
                except Exception as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(outcome)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


def run(
    flow: Flow[T],
    http: httpx.Client,
    sleep: Callable[[float], object],
    watch: Callable[[Any], object] | None = None,
) -> T:
    """Drive `flow` to its end and return its value; `watch` is called with what it emits."""
    running = iterate(flow, http, sleep)
    with closing(running):
        try:
            while True:
                value = next(running)
                if watch:
                    watch(value)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


class _Hands:
    """Does the steps of one flow; holds the one answer that is being streamed."""

    def __init__(self, http: httpx.Client, sleep: Callable[[float], object]) -> None:
        self._http, self._sleep = http, sleep
        self._streamed: httpx.Response | None = None
        self._pieces: Iterator[bytes] = iter(())

    def do(self, step: Step) -> Any:
        match step:
            case Ask():
                return self._ask(step)
            case Read():
                return next(filter(None, self._pieces), b"")
            case Pause(seconds):
                return self._sleep(seconds)
            case Work(job):
                return job()
        raise AssertionError(step)  # pragma: no cover

    def _ask(self, ask: Ask) -> httpx.Response:
        content = ask.content() if callable(ask.content) else ask.content
        request = _request(self._http, ask, content)
        if not ask.stream:
            return self._http.send(request, auth=ask.auth)
        self.close()
        self._streamed = self._http.send(request, auth=ask.auth, stream=True)
        if self._streamed.is_error:
            self._streamed.read()
        else:
            self._pieces = self._streamed.iter_raw()
        return self._streamed

    def close(self) -> None:
        if self._streamed:
            self._streamed.close()


async def aiterate(
    flow: Flow[Any], http: httpx.AsyncClient, sleep: Callable[[float], Awaitable[object]]
) -> AsyncGenerator[Any, None]:
    """Drive `flow` on an event loop; yield what it emits."""
    with closing(flow):
        async with aclosing(_AsyncHands(http, sleep)) as hands:
            try:
                step = next(flow)
                while True:
                    if isinstance(step, Emit):
                        yield step.value
                        step = flow.send(None)
                        continue
                    try:
                        outcome = await hands.do(step)
                    except Exception as error:
                        step = flow.throw(error)
                    else:
                        step = flow.send(outcome)
            except StopIteration:
                return


async def arun(
    flow: Flow[T],
    http: httpx.AsyncClient,
    sleep: Callable[[float], Awaitable[object]],
    watch: Callable[[Any], object] | None = None,
) -> T:
    """Drive `flow` to its end and return its value; `watch` is called with what it emits."""
    values: list[T] = []

    def kept() -> Flow[None]:  # an asynchronous generator returns nothing
        values.append((yield from flow))

    async with aclosing(aiterate(kept(), http, sleep)) as emitted:
        async for value in emitted:
            if watch:
                watch(value)
    return values[0]


class _AsyncHands:
    """The same hands on an event loop; what may block works in a thread."""

    def __init__(self, http: httpx.AsyncClient, sleep: Callable[[float], Awaitable[object]]) -> None:
        self._http, self._sleep = http, sleep
        self._streamed: httpx.Response | None = None
        self._pieces: AsyncIterator[bytes] | None = None

    async def do(self, step: Step) -> Any:
        match step:
            case Ask():
                return await self._ask(step)
            case Read():
                return await self._read()
            case Pause(seconds):
                return await self._sleep(seconds)
            case Work(job):
                return await asyncio.to_thread(job)
        raise AssertionError(step)  # pragma: no cover

    async def _ask(self, ask: Ask) -> httpx.Response:
        content = _in_thread(ask.content()) if callable(ask.content) else ask.content
        request = _request(self._http, ask, content)
        if not ask.stream:
            return await self._http.send(request, auth=ask.auth)
        await self.aclose()
        self._streamed = await self._http.send(request, auth=ask.auth, stream=True)
        if self._streamed.is_error:
            await self._streamed.aread()
        else:
            self._pieces = self._streamed.aiter_raw()
        return self._streamed

    async def _read(self) -> bytes:
        if self._pieces is not None:
            async for piece in self._pieces:
                if piece:
                    return piece
        return b""

    async def aclose(self) -> None:
        if self._streamed:
            await self._streamed.aclose()


async def _in_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(next, pieces, b""):
        yield piece


def _request(http: httpx.Client | httpx.AsyncClient, ask: Ask, content: Any) -> httpx.Request:
    timeout = httpx.Timeout(ask.timeout, connect=CONNECT_SECONDS)
    return http.build_request(
        ask.method, ask.url, params=ask.params, headers=dict(ask.headers), content=content, timeout=timeout
    )
