"""The client for asyncio."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeVar, Unpack, overload

import httpx

from falqueue import _steps
from falqueue._requests import RunOptions, SubmitOptions, SubscribeOptions
from falqueue._session import USER_AGENT, open_session

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
    from os import PathLike
    from pathlib import Path

    from falqueue._credentials import Credentials
    from falqueue._downloads import Progress
    from falqueue._handle import Handle
    from falqueue._requests import Lifecycle, WaitOptions
    from falqueue._session import ClientOptions
    from falqueue._statuses import Cancellation, Status
    from falqueue._types import Json, TypedRequest
    from falqueue._veo2 import File
    from falqueue._webhooks import Delivery

T = TypeVar("T")


class AsyncClient:
    """`Client` for asyncio: the same methods, awaited. `events` and `stream` are async iterators.

    Files are read and written in threads. `sleep` is awaited. Cancelling a task does not cancel its job.

    >>> async def main() -> str:
    ...     async with AsyncClient() as client:
    ...         output = await client.subscribe(Veo2ImageToVideo(prompt="It waves", image_url=picture))
    ...         return (await client.download(output.video, "out.mp4")).name
    >>> asyncio.run(main())
    'out.mp4'
    """

    def __init__(
        self,
        credentials: Credentials | str | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        **options: Unpack[ClientOptions],
    ) -> None:
        self._session = open_session(credentials, **options)
        self._flows, self._start = self._session.flows, self._session.start
        self._http = httpx.AsyncClient(transport=transport, headers=USER_AGENT)
        self._run = partial(_steps.arun, http=self._http, sleep=sleep)
        self._iterate = partial(_steps.aiterate, http=self._http, sleep=sleep)

    @overload
    async def submit(
        self, request: TypedRequest[T], /, *, check: bool = False, **options: Unpack[SubmitOptions]
    ) -> Handle[T]: ...
    @overload
    async def submit(
        self, endpoint: str, arguments: Mapping[str, Any], /, **options: Unpack[SubmitOptions]
    ) -> Handle[Json]: ...
    async def submit(self, request: Any, arguments: Any = None, /, **options: Any) -> Any:
        return await self._run(self._start(self._flows.submit, SubmitOptions, request, arguments, **options))

    async def status(self, handle: Handle[Any], *, logs: bool = False) -> Status:
        return await self._run(self._flows.status(handle, logs=logs))

    def events(self, handle: Handle[Any], *, logs: bool = False) -> AsyncGenerator[Status, None]:
        return self._iterate(self._flows.events(handle, logs=logs))

    def stream(self, handle: Handle[Any], *, logs: bool = False) -> AsyncGenerator[Status, None]:
        return self._iterate(self._flows.stream(handle, logs=logs))

    async def result(self, handle: Handle[T]) -> T:
        return await self._run(self._flows.result(handle))

    async def cancel(self, handle: Handle[Any]) -> Cancellation:
        return await self._run(self._flows.cancel(handle))

    async def wait(self, handle: Handle[T], **options: Unpack[WaitOptions]) -> T:
        flow = self._flows.wait(handle, options)
        return await self._run(flow, watch=options.get("on_update"))

    @overload
    async def subscribe(
        self, request: TypedRequest[T], /, *, check: bool = False, **options: Unpack[SubscribeOptions]
    ) -> T: ...
    @overload
    async def subscribe(
        self, endpoint: str, arguments: Mapping[str, Any], /, **options: Unpack[SubscribeOptions]
    ) -> Json: ...
    async def subscribe(self, request: Any, arguments: Any = None, /, **options: Any) -> Any:
        flow = self._start(self._flows.subscribe, SubscribeOptions, request, arguments, **options)
        return await self._run(flow, watch=options.get("on_update"))

    @overload
    async def run(
        self, request: TypedRequest[T], /, *, check: bool = False, **options: Unpack[RunOptions]
    ) -> T: ...
    @overload
    async def run(
        self, endpoint: str, arguments: Mapping[str, Any], /, **options: Unpack[RunOptions]
    ) -> Json: ...
    async def run(self, request: Any, arguments: Any = None, /, **options: Any) -> Any:
        return await self._run(self._start(self._flows.run, RunOptions, request, arguments, **options))

    async def upload(
        self,
        file: bytes | PathLike[str] | BinaryIO,
        *,
        name: str | None = None,
        content_type: str | None = None,
        lifecycle: Lifecycle | None = None,
    ) -> str:
        return await self._run(self._session.upload(file, name, content_type, lifecycle))

    async def download(
        self,
        file: File | str,
        target: str | PathLike[str],
        *,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> Path:
        return await self._run(self._session.download(file, target), watch=on_progress)

    async def verify_webhook(self, body: bytes, headers: Mapping[str, str]) -> Delivery:
        return await self._run(self._session.keys.verify(body, headers))

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
