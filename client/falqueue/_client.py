"""The blocking client."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeVar, Unpack, overload

import httpx

from falqueue import _steps
from falqueue._requests import RunOptions, SubmitOptions, SubscribeOptions
from falqueue._session import USER_AGENT, open_session

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
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


class Client:
    """A client of fal's queue.

    Args:
        credentials: a key `id:secret`; by default `FAL_KEY`, or `FAL_KEY_ID` and `FAL_KEY_SECRET`.
            An emulator on this machine needs no key.
        options: `base_url` names an emulator (by default `FALQUEUE_BASE_URL`, or else fal is used);
            `retries` and `polls` are the waits between attempts and between polls.
        transport, sleep: for tests, as the options `clock`, `wall_clock` and `rng`.

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
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], object] = time.sleep,
        **options: Unpack[ClientOptions],
    ) -> None:
        self._session = open_session(credentials, **options)
        self._flows, self._start = self._session.flows, self._session.start
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
    def submit(self, request: Any, arguments: Any = None, /, **options: Any) -> Any:
        """Submit a job: a typed request, or an endpoint id and its arguments.

        The arguments may contain paths, bytes and Pillow images at any depth. Files up to 1 MiB are sent
        inside the input, larger ones are uploaded first. `check` validates a typed request beforehand.

        Raises:
            InvalidInput: the check failed.
            Refused: fal refused it; there is no job.
            NotSent: fal could not be reached; there is no job.
            SubmitUnconfirmed: there may be a job; it is not sent again.

        >>> client.submit(Veo2ImageToVideo(prompt="It waves", image_url=picture), priority="low").endpoint
        'fal-ai/veo2/image-to-video'
        """
        return self._run(self._start(self._flows.submit, SubmitOptions, request, arguments, **options))

    def status(self, handle: Handle[Any], *, logs: bool = False) -> Status:
        """Return the status of a job.

        Raises:
            NotFound: fal does not know the request, or not any more.
            UnknownStatus: none of fal's three statuses.

        >>> isinstance(client.status(handle), (Queued, InProgress, Completed))
        True
        """
        return self._run(self._flows.status(handle, logs=logs))

    def events(self, handle: Handle[Any], *, logs: bool = False) -> Generator[Status, None, None]:
        """Poll until the job is completed. Yield each status, with the log entries that are new.

        >>> [*client.events(handle)][-1].__class__.__name__
        'Completed'
        """
        return self._iterate(self._flows.events(handle, logs=logs))

    def stream(self, handle: Handle[Any], *, logs: bool = False) -> Generator[Status, None, None]:
        """Yield each status that fal sends (server-sent events), with the log entries that are new.

        A broken stream is opened again.

        >>> [*client.stream(handle)][-1].__class__.__name__
        'Completed'
        """
        return self._iterate(self._flows.stream(handle, logs=logs))

    def result(self, handle: Handle[T]) -> T:
        """Fetch the output of a completed job. Only this shows whether the job succeeded.

        Raises:
            RequestFailed: the job failed; the subclass says why.
            StillInProgress: there is no result yet.
            Unavailable: the gateway failed. The output may exist: fetch again, do not submit again.

        >>> client.result(handle).video.content_type
        'video/mp4'
        """
        return self._run(self._flows.result(handle))

    def cancel(self, handle: Handle[Any]) -> Cancellation:
        """Ask fal to cancel a job. A runner may still finish it; see `result`.

        >>> client.cancel(handle)
        <Cancellation.ALREADY_COMPLETED: 'ALREADY_COMPLETED'>
        """
        return self._run(self._flows.cancel(handle))

    def wait(self, handle: Handle[T], **options: Unpack[WaitOptions]) -> T:
        """Wait for a job, submitted by this or another process, and return its output.

        When `timeout` passes, the job is cancelled at fal, or its output returned if it has just completed.
        If your program is interrupted while it waits, the job is not cancelled.

        Raises:
            TookTooLong: the timeout passed. It has the handle and fal's answer to the cancel.
            RequestFailed: the job failed; the subclass says why.
            Unreachable: the network failed. The job is not affected.

        >>> client.wait(Handle.from_text(str(handle), Veo2ImageToVideo), timeout=600).video.content_type
        'video/mp4'
        """
        flow = self._flows.wait(handle, options)
        return self._run(flow, watch=options.get("on_update"))

    @overload
    def subscribe(
        self, request: TypedRequest[T], /, *, check: bool = False, **options: Unpack[SubscribeOptions]
    ) -> T: ...
    @overload
    def subscribe(
        self, endpoint: str, arguments: Mapping[str, Any], /, **options: Unpack[SubscribeOptions]
    ) -> Json: ...
    def subscribe(self, request: Any, arguments: Any = None, /, **options: Any) -> Any:
        """`submit` and `wait` in one call, with the options and exceptions of both.

        >>> arguments = {"prompt": "It waves", "image_url": picture}
        >>> client.subscribe("fal-ai/veo2/image-to-video", arguments, timeout=600)["video"]["file_name"]
        'output.mp4'
        """
        flow = self._start(self._flows.subscribe, SubscribeOptions, request, arguments, **options)
        return self._run(flow, watch=options.get("on_update"))

    @overload
    def run(
        self, request: TypedRequest[T], /, *, check: bool = False, **options: Unpack[RunOptions]
    ) -> T: ...
    @overload
    def run(self, endpoint: str, arguments: Mapping[str, Any], /, **options: Unpack[RunOptions]) -> Json: ...
    def run(self, request: Any, arguments: Any = None, /, **options: Any) -> Any:
        """Run a job on the synchronous host. If the connection breaks, the output is lost, but billed.

        >>> client.run(Veo2ImageToVideo(prompt="It waves", image_url=picture)).video.file_name
        'output.mp4'
        """
        return self._run(self._start(self._flows.run, RunOptions, request, arguments, **options))

    def upload(
        self,
        file: bytes | PathLike[str] | BinaryIO,
        *,
        name: str | None = None,
        content_type: str | None = None,
        lifecycle: Lifecycle | None = None,
    ) -> str:
        """Upload a file to fal's media host and return its URL. Files above 100 MiB are sent in parts.

        An open file must be seekable and is sent from its start. Name and type are guessed if not given.

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
        """Download a file of an output, or a URL. `target` exists only once the file is complete.

        After a broken connection, this call or a later one continues with the part on disk.

        Raises:
            TransferFailed: the file could not be downloaded, or has another length than announced.

        >>> client.download(client.upload(b"Hello", name="hello.txt"), "hello.txt").read_text()
        'Hello'
        """
        return self._run(self._session.download(file, target), watch=on_progress)

    def verify_webhook(self, body: bytes, headers: Mapping[str, str]) -> Delivery:
        """Verify a webhook with fal's keys, which are fetched and cached for a day.

        Raises:
            WebhookRejected: not sent by fal. Answer 401 without details.

        >>> client.verify_webhook(b"{}", {})
        Traceback (most recent call last):
        falqueue.HeaderMissing: x-fal-webhook-request-id is missing
        """
        return self._run(self._session.keys.verify(body, headers))

    def close(self) -> None:
        """Close the connections. `with` does it for you.

        >>> Client().close()
        """
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
