"""The client for event loops: the same flows, awaited."""

from __future__ import annotations

import asyncio
import random
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeVar, Unpack, overload

import httpx

from falqueue import _steps
from falqueue._session import USER_AGENT, session
from falqueue._timing import POLLS, RETRIES, Backoff
from falqueue._veo2 import File

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
    from os import PathLike

    from falqueue._credentials import Credentials
    from falqueue._downloads import Progress
    from falqueue._handle import Handle
    from falqueue._requests import (
        Json,
        Lifecycle,
        RunOptions,
        SubmitOptions,
        SubscribeOptions,
        TypedRequest,
        WaitOptions,
    )
    from falqueue._statuses import Cancellation, Status
    from falqueue._webhooks import Delivery

T = TypeVar("T")


class AsyncClient:
    """`Client` for asyncio; each method means what its namesake there means, and is awaited.

    Files are read and written in threads. `sleep` is awaited.

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
        base_url: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        luck: Callable[[], float] = random.random,
        retries: Backoff = RETRIES,
        polls: Backoff = POLLS,
    ) -> None:
        self._session = session(
            credentials,
            base_url,
            clock=clock,
            wall_clock=wall_clock,
            luck=luck,
            retries=retries,
            polls=polls,
        )
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
    async def submit(
        self,
        request: TypedRequest[Any] | str,
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        check: bool = False,
        **options: Unpack[SubmitOptions],
    ) -> Handle[Any]:
        """Do what `Client.submit` does."""
        start = self._session.start
        return await self._run(start(self._session.flows.submit, request, arguments, options, check=check))

    async def status(self, handle: Handle[Any], *, logs: bool = False) -> Status:
        """Do what `Client.status` does."""
        return await self._run(self._session.flows.status(handle, logs=logs))

    def events(self, handle: Handle[Any], *, logs: bool = False) -> AsyncGenerator[Status, None]:
        """Do what `Client.events` does."""
        return self._iterate(self._session.flows.events(handle, logs=logs))

    def stream(self, handle: Handle[Any], *, logs: bool = False) -> AsyncGenerator[Status, None]:
        """Do what `Client.stream` does."""
        return self._iterate(self._session.flows.stream(handle, logs=logs))

    async def result(self, handle: Handle[T]) -> T:
        """Do what `Client.result` does."""
        return await self._run(self._session.flows.result(handle))

    async def cancel(self, handle: Handle[Any]) -> Cancellation:
        """Do what `Client.cancel` does."""
        return await self._run(self._session.flows.cancel(handle))

    async def wait(self, handle: Handle[T], **options: Unpack[WaitOptions]) -> T:
        """Do what `Client.wait` does."""
        flow = self._session.flows.wait(handle, options)
        return await self._run(flow, watch=options.get("on_update"))

    @overload
    async def subscribe(
        self, request: TypedRequest[T], /, *, check: bool = False, **options: Unpack[SubscribeOptions]
    ) -> T: ...
    @overload
    async def subscribe(
        self, endpoint: str, arguments: Mapping[str, Any], /, **options: Unpack[SubscribeOptions]
    ) -> Json: ...
    async def subscribe(
        self,
        request: TypedRequest[Any] | str,
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        check: bool = False,
        **options: Unpack[SubscribeOptions],
    ) -> Any:
        """Do what `Client.subscribe` does."""
        flow = self._session.start(self._session.flows.subscribe, request, arguments, options, check=check)
        return await self._run(flow, watch=options.get("on_update"))

    @overload
    async def run(
        self, request: TypedRequest[T], /, *, check: bool = False, **options: Unpack[RunOptions]
    ) -> T: ...
    @overload
    async def run(
        self, endpoint: str, arguments: Mapping[str, Any], /, **options: Unpack[RunOptions]
    ) -> Json: ...
    async def run(
        self,
        request: TypedRequest[Any] | str,
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        check: bool = False,
        **options: Unpack[RunOptions],
    ) -> Any:
        """Do what `Client.run` does."""
        return await self._run(
            self._session.start(self._session.flows.run, request, arguments, options, check=check)
        )

    async def upload(
        self,
        file: bytes | PathLike[str] | BinaryIO,
        *,
        name: str | None = None,
        content_type: str | None = None,
        lifecycle: Lifecycle | None = None,
    ) -> str:
        """Do what `Client.upload` does."""
        return await self._run(self._session.upload(file, name, content_type, lifecycle))

    async def download(
        self,
        file: File | str,
        target: str | PathLike[str],
        *,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> Path:
        """Do what `Client.download` does."""
        url, size = (file.url, file.file_size) if isinstance(file, File) else (file, None)
        flow = self._session.downloads.fetch(url, Path(target), size)
        return await self._run(flow, watch=on_progress)

    async def verify_webhook(self, body: bytes, headers: Mapping[str, str]) -> Delivery:
        """Do what `Client.verify_webhook` does."""
        return await self._run(self._session.keys.verify(body, headers))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
