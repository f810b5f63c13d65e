"""The blocking client."""

from __future__ import annotations

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
    from collections.abc import Callable, Generator, Mapping
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


class Client:
    """A client of fal's queue.

    Args:
        credentials: a key `id:secret`; otherwise `FAL_KEY`, or `FAL_KEY_ID` and `FAL_KEY_SECRET`.
            An emulator on this machine needs none.
        base_url: an emulator that stands for all of fal's hosts; otherwise `FALQUEUE_BASE_URL`,
            otherwise fal itself.
        transport: what carries the requests; a test hands in its own.
        sleep: waits so many seconds.
        clock: seconds that only go forward, for timeouts.
        wall_clock: Unix seconds, for the age of webhooks.
        luck: numbers in [0, 1), which spread the waits.
        retries, polls: the waits between tries, and between polls.

    Raises:
        MissingCredentials: there is no key.

    >>> with Client() as client:
    ...     output = client.subscribe(Veo2ImageToVideo(prompt="It waves", image_url=picture))
    ...     client.download(output.video, "out.mp4").name
    'out.mp4'
    """

    def __init__(
        self,
        credentials: Credentials | str | None = None,
        *,
        base_url: str | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], object] = time.sleep,
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
        self._http = httpx.Client(transport=transport, headers=USER_AGENT)
        self._run = partial(_steps.run, http=self._http, sleep=sleep)
        self._iterate = partial(_steps.iterate, http=self._http, sleep=sleep)

    @overload
    def submit(
        self, request: TypedRequest[T], /, *, check: bool = False, **options: Unpack[SubmitOptions]
    ) -> Handle[T]: ...
    @overload
    def submit(
        self, endpoint: str, arguments: Mapping[str, Any], /, **options: Unpack[SubmitOptions]
    ) -> Handle[Json]: ...
    def submit(
        self,
        request: TypedRequest[Any] | str,
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        check: bool = False,
        **options: Unpack[SubmitOptions],
    ) -> Handle[Any]:
        """Put a job into the queue: a typed request, or an endpoint id and its arguments.

        Paths, bytes and Pillow images anywhere in the arguments are sent along: up to 1 MiB inside the input,
        larger ones uploaded first. With `check` a typed request is checked before anything is sent.

        Raises:
            InvalidInput: the check found something.
            Refused: fal did not take it; no job was made.
            NotSent: fal was not reached; no job was made.
            SubmitUnconfirmed: nobody knows; it is not sent again.

        >>> client.submit(Veo2ImageToVideo(prompt="It waves", image_url=picture), priority="low").endpoint
        'fal-ai/veo2/image-to-video'
        """
        start = self._session.start
        return self._run(start(self._session.flows.submit, request, arguments, options, check=check))

    def status(self, handle: Handle[Any], *, logs: bool = False) -> Status:
        """Ask once how far a job is.

        Raises:
            NotFound: fal has no such request (any more).
            UnknownStatus: fal answered a status that it does not have.

        >>> isinstance(client.status(handle), (Queued, InProgress, Completed))
        True
        """
        return self._run(self._session.flows.status(handle, logs=logs))

    def events(self, handle: Handle[Any], *, logs: bool = False) -> Generator[Status, None, None]:
        """Poll until the job is over; yield each status, with only those log lines that are new.

        >>> [*client.events(handle)][-1].__class__.__name__
        'Completed'
        """
        return self._iterate(self._session.flows.events(handle, logs=logs))

    def stream(self, handle: Handle[Any], *, logs: bool = False) -> Generator[Status, None, None]:
        """Yield each status as fal sends it (server-sent events); opened again if it breaks.

        >>> [*client.stream(handle)][-1].__class__.__name__
        'Completed'
        """
        return self._iterate(self._session.flows.stream(handle, logs=logs))

    def result(self, handle: Handle[T]) -> T:
        """Fetch the output of a job that is over. Nothing else tells whether it went well.

        Raises:
            RequestFailed: there is none; the subclass says why.
            StillInProgress: not yet.
            Unavailable: the gateway did not hand it out; it may be there, so ask again, do not submit again.

        >>> client.result(handle).video.content_type
        'video/mp4'
        """
        return self._run(self._session.flows.result(handle))

    def cancel(self, handle: Handle[Any]) -> Cancellation:
        """Ask fal to stop a job. A runner may finish all the same; the result tells.

        >>> client.cancel(handle)
        <Cancellation.ALREADY_COMPLETED: 'ALREADY_COMPLETED'>
        """
        return self._run(self._session.flows.cancel(handle))

    def wait(self, handle: Handle[T], **options: Unpack[WaitOptions]) -> T:
        """Wait for a job that was submitted before, here or elsewhere, and fetch its output.

        When `timeout` passes, the job is cancelled at fal. If it had finished by then its output is returned.

        Raises:
            TookTooLong: with the handle, and what fal answered to the cancel.
            RequestFailed: there is no output; the subclass says why.
            Unreachable: the line is dead; the job is not.

        >>> client.wait(Handle.from_text(str(handle), Veo2ImageToVideo), timeout=600).video.content_type
        'video/mp4'
        """
        flow = self._session.flows.wait(handle, options)
        return self._run(flow, watch=options.get("on_update"))

    @overload
    def subscribe(
        self, request: TypedRequest[T], /, *, check: bool = False, **options: Unpack[SubscribeOptions]
    ) -> T: ...
    @overload
    def subscribe(
        self, endpoint: str, arguments: Mapping[str, Any], /, **options: Unpack[SubscribeOptions]
    ) -> Json: ...
    def subscribe(
        self,
        request: TypedRequest[Any] | str,
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        check: bool = False,
        **options: Unpack[SubscribeOptions],
    ) -> Any:
        """Do what `submit` and `wait` do, with the settings and the exceptions of both.

        >>> arguments = {"prompt": "It waves", "image_url": picture}
        >>> client.subscribe("fal-ai/veo2/image-to-video", arguments, timeout=600)["video"]["file_name"]
        'output.mp4'
        """
        flow = self._session.start(self._session.flows.subscribe, request, arguments, options, check=check)
        return self._run(flow, watch=options.get("on_update"))

    @overload
    def run(
        self, request: TypedRequest[T], /, *, check: bool = False, **options: Unpack[RunOptions]
    ) -> T: ...
    @overload
    def run(self, endpoint: str, arguments: Mapping[str, Any], /, **options: Unpack[RunOptions]) -> Json: ...
    def run(
        self,
        request: TypedRequest[Any] | str,
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        check: bool = False,
        **options: Unpack[RunOptions],
    ) -> Any:
        """Run a job on the synchronous host. If the line breaks, its output is lost and paid for.

        >>> client.run(Veo2ImageToVideo(prompt="It waves", image_url=picture)).video.file_name
        'output.mp4'
        """
        return self._run(
            self._session.start(self._session.flows.run, request, arguments, options, check=check)
        )

    def upload(
        self,
        file: bytes | PathLike[str] | BinaryIO,
        *,
        name: str | None = None,
        content_type: str | None = None,
        lifecycle: Lifecycle | None = None,
    ) -> str:
        """Bring a file to fal's media host and return its URL; above 100 MiB it goes in parts.

        An open file has to be seekable and is sent from its start. Name and type are guessed if not given.

        >>> client.upload(b"Hello", name="hello.txt").endswith("hello.txt")
        True
        """
        return self._run(self._session.upload(file, name, content_type, lifecycle))

    def download(
        self,
        file: File | str,
        target: str | PathLike[str],
        *,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> Path:
        """Fetch a file of an output, or a URL, to `target`, which appears only when it is whole.

        What arrived before the line broke is kept beside it and resumed, in this call or a later one.

        Raises:
            TransferFailed: it could not be fetched, or has another length than announced.

        >>> client.download(client.upload(b"Hello", name="hello.txt"), "hello.txt").read_text()
        'Hello'
        """
        url, size = (file.url, file.file_size) if isinstance(file, File) else (file, None)
        flow = self._session.downloads.fetch(url, Path(target), size)
        return self._run(flow, watch=on_progress)

    def verify_webhook(self, body: bytes, headers: Mapping[str, str]) -> Delivery:
        """Verify a delivery with fal's own keys, which are fetched and kept for a day.

        Raises:
            WebhookRejected: not fal's. Answer the sender 401 and nothing more.

        >>> client.verify_webhook(b"{}", {})
        Traceback (most recent call last):
        falqueue.HeaderMissing: x-fal-webhook-request-id is missing
        """
        return self._run(self._session.keys.verify(body, headers))

    def close(self) -> None:
        """Close the connections, as `with` does.

        >>> Client().close()
        """
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
