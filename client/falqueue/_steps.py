"""Steps, which flows yield, and the two drivers that carry them out.

A flow is a generator that yields a step, receives its result, and finally returns a value. It does no I/O, so
that each flow is written once: `run` drives it with a blocking client, `arun` on an event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import httpx

T = TypeVar("T")

CONNECT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """Send a request; the result is the response. With `stream`, read the body with `ReadChunk`."""

    method: str
    url: str
    params: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | Callable[[], Iterator[bytes]] | None = None
    auth: httpx.Auth | None = None
    timeout: float | None = 120.0
    stream: bool = False


@dataclass(frozen=True, slots=True)
class ReadChunk:
    """Read the next bytes of the streamed response; the result is empty at its end."""


@dataclass(frozen=True, slots=True)
class Sleep:
    seconds: float


@dataclass(frozen=True, slots=True)
class RunBlocking:
    """Call a function that may block; the result is its return value."""

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Emit:
    """Pass a value to the caller and continue the flow."""

    value: Any


Operation: TypeAlias = HttpRequest | ReadChunk | Sleep | RunBlocking
Step: TypeAlias = Operation | Emit
Flow: TypeAlias = Generator[Step, Any, T]


def iterate(
    flow: Flow[Any], http: httpx.Client, sleep: Callable[[float], object]
) -> Generator[Any, None, None]:
    """Drive `flow` with a blocking client and yield the values that it emits."""
    driver = _Driver(http, sleep)
    with closing(flow), closing(driver):
        try:
            step = next(flow)
            while True:
                if isinstance(step, Emit):
                    yield step.value
                    step = flow.send(None)
                    continue
                try:
                    result = driver.do(step)
                except Exception as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(result)
        except StopIteration:
            return


def run(
    flow: Flow[T],
    http: httpx.Client,
    sleep: Callable[[float], object],
    watch: Callable[[Any], object] | None = None,
) -> T:
    """Drive `flow` to its end and return its value. Call `watch` with each value that it emits."""
    values: list[T] = []
    with closing(iterate(_keep_value(flow, values), http, sleep)) as emitted:
        for value in emitted:
            if watch:
                watch(value)
    return values[0]


class _Driver:
    """Carries out the steps of one flow, with at most one streamed response at a time."""

    def __init__(self, http: httpx.Client, sleep: Callable[[float], object]) -> None:
        self._http, self._sleep = http, sleep
        self._response: httpx.Response | None = None
        self._chunks: Iterator[bytes]

    def do(self, step: Operation) -> Any:
        match step:
            case HttpRequest():
                return self._send(step)
            case ReadChunk():
                return next(self._chunks, b"")
            case Sleep(seconds):
                return self._sleep(seconds)
            case RunBlocking(function):
                return function()

    def _send(self, step: HttpRequest) -> httpx.Response:
        content = step.content() if callable(step.content) else step.content
        request = _request(self._http, step, content)
        if not step.stream:
            return self._http.send(request, auth=step.auth)
        self.close()
        self._response = self._http.send(request, auth=step.auth, stream=True)
        if self._response.is_error:
            self._response.read()
        else:
            self._chunks = filter(None, self._response.iter_raw())
        return self._response

    def close(self) -> None:
        if self._response:
            self._response.close()


async def aiterate(
    flow: Flow[Any], http: httpx.AsyncClient, sleep: Callable[[float], Awaitable[object]]
) -> AsyncGenerator[Any, None]:
    """Drive `flow` on an event loop and yield the values that it emits."""
    with closing(flow):
        async with aclosing(_AsyncDriver(http, sleep)) as driver:
            try:
                step = next(flow)
                while True:
                    if isinstance(step, Emit):
                        yield step.value
                        step = flow.send(None)
                        continue
                    try:
                        result = await driver.do(step)
                    except Exception as error:
                        step = flow.throw(error)
                    else:
                        step = flow.send(result)
            except StopIteration:
                return


async def arun(
    flow: Flow[T],
    http: httpx.AsyncClient,
    sleep: Callable[[float], Awaitable[object]],
    watch: Callable[[Any], object] | None = None,
) -> T:
    """Drive `flow` to its end and return its value. Call `watch` with each value that it emits."""
    values: list[T] = []
    async with aclosing(aiterate(_keep_value(flow, values), http, sleep)) as emitted:
        async for value in emitted:
            if watch:
                watch(value)
    return values[0]


class _AsyncDriver:
    """`_Driver` on an event loop; functions that may block run in threads."""

    def __init__(self, http: httpx.AsyncClient, sleep: Callable[[float], Awaitable[object]]) -> None:
        self._http, self._sleep = http, sleep
        self._response: httpx.Response | None = None
        self._chunks: AsyncIterator[bytes]

    async def do(self, step: Operation) -> Any:
        match step:
            case HttpRequest():
                return await self._send(step)
            case ReadChunk():
                return await anext(self._chunks, b"")
            case Sleep(seconds):
                return await self._sleep(seconds)
            case RunBlocking(function):
                return await asyncio.to_thread(function)

    async def _send(self, step: HttpRequest) -> httpx.Response:
        content = _in_threads(step.content()) if callable(step.content) else step.content
        request = _request(self._http, step, content)
        if not step.stream:
            return await self._http.send(request, auth=step.auth)
        await self.aclose()
        self._response = await self._http.send(request, auth=step.auth, stream=True)
        if self._response.is_error:
            await self._response.aread()
        else:
            self._chunks = (chunk async for chunk in self._response.aiter_raw() if chunk)
        return self._response

    async def aclose(self) -> None:
        if self._response:
            await self._response.aclose()


async def _in_threads(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(next, chunks, b""):
        yield chunk


def _keep_value(flow: Flow[T], values: list[T]) -> Flow[None]:
    values.append((yield from flow))


def _request(http: httpx.Client | httpx.AsyncClient, step: HttpRequest, content: Any) -> httpx.Request:
    return http.build_request(
        step.method,
        step.url,
        params=step.params,
        headers=dict(step.headers),
        content=content,
        timeout=httpx.Timeout(step.timeout, connect=min(step.timeout or CONNECT_SECONDS, CONNECT_SECONDS)),
    )
