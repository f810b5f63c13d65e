"""fal's Python client (PyPI: fal-client), where it is installed. Only this module imports it.

The client has fal's addresses built in, so its calls are redirected to the target. It cannot read a result
early, because it waits for the end, and it does not support the status streams of the queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import fal_client
import httpx
from fal_client.auth import AuthCredentials
from fal_client.client import AsyncBackupDomainTransport

from falcontract.clients.base import FAL_CLIENT, Reading, can_take

if TYPE_CHECKING:
    from falcontract.steps import Step
    from falcontract.targets.base import Session
    from falcontract.traces import Exchange, Sent

QUEUE: Final = "queue.fal.run"
RETRIED: Final = (408, 409, 429)  # HTTP statuses on which the client retries, up to ten times
RETRIES: Final = "retries"
LONGEST_TEXT: Final = 200  # characters of an error in a reading


class _Stopped(Exception):
    """Ends a call. It is not an httpx error, because the client would retry after one."""


class _Redirect(httpx.AsyncBaseTransport):
    """Sends calls for fal's queue to the target, and refuses all others and the first retry."""

    def __init__(self, inner: httpx.AsyncBaseTransport, base: str) -> None:
        self._inner, self._base = inner, httpx.URL(base)
        self._retried: set[tuple[str, httpx.URL]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        call = (request.method, url)
        if call in self._retried:
            self._retried.clear()
            raise _Stopped(RETRIES)
        if url.host == QUEUE:
            url = self._base.copy_with(raw_path=f"/{QUEUE}".encode() + url.raw_path)
            request.headers["Host"] = url.netloc.decode()
        if url.netloc != self._base.netloc:
            raise _Stopped(f"{url.host} is not the target: nothing was sent")
        redirected = httpx.Request(
            request.method, url, headers=request.headers, stream=request.stream, extensions=request.extensions
        )
        answer = await self._inner.handle_async_request(redirected)
        if answer.status_code in RETRIED:
            self._retried.add(call)
        return answer

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Client(fal_client.AsyncClient):
    """fal's client with a transport of our choice; it has no argument for one."""

    def __init__(self, key: str, transport: httpx.AsyncBaseTransport) -> None:
        super().__init__(key)
        self.http = httpx.AsyncClient(
            transport=AsyncBackupDomainTransport(transport=transport),
            headers={"Authorization": AuthCredentials("Key", key).header_value},
        )

    @property
    async def _client(self) -> httpx.AsyncClient:
        return self.http


class FalClientAdapter:
    """One run of a program through fal's client."""

    name = FAL_CLIENT

    def __init__(self, session: Session, base: str) -> None:
        self._session, self._base = session, base
        self._handles: dict[str, fal_client.AsyncRequestHandle] = {}
        self.sent: list[Sent] = []  # not recorded: the properties about it are of falqueue
        self._clients: dict[str, _Client] = {}

    async def do(self, step: Step) -> None:
        """Skip a step that only clients can do."""
        del step

    async def close(self) -> None:
        for client in self._clients.values():
            await client.http.aclose()

    async def take(self, step: Step) -> Reading | None:
        """Do a step and return the reading; None if the client cannot do it."""
        has_key = self._session.keys.get(step.key) is not None
        if not can_take(step) or not has_key or step.webhook or step.do == "stream":
            return None
        if step.do != "submit" and step.job not in self._handles:
            return None
        try:
            return await self._take(step)
        except _Stopped as error:
            return (str(error),)
        except fal_client.FalClientHTTPError as error:
            return ("error", error.status_code, error.error_type)
        except (KeyError, ValueError, httpx.HTTPError) as error:  # the client does not validate answers
            return ("invalid answer", type(error).__name__, str(error)[:LONGEST_TEXT])

    async def _take(self, step: Step) -> Reading | None:
        client = self._client(step.key)
        match step.do:
            case "submit":
                headers = dict(step.headers)
                self._handles[step.job] = await client.submit(step.endpoint, step.input, headers=headers)
                return ("accepted",)
            case "cancel":
                await self._handle(step).cancel()
                return ("cancelled",)
            case "result":
                if not isinstance(await self._handle(step).status(), fal_client.Completed):
                    return None
                return ("output", await self._handle(step).get())
            case _:
                return _status(await self._handle(step).status(with_logs="logs=1" in step.query))

    def _client(self, key: str) -> _Client:
        if key not in self._clients:
            header = str(self._session.keys[key])
            transport = _Redirect(self._session.new_transport(), self._base)
            self._clients[key] = _Client(header.removeprefix("Key "), transport)
        return self._clients[key]

    def _handle(self, step: Step) -> fal_client.AsyncRequestHandle:
        """Return the handle of a job, with the credentials of the step."""
        known = self._handles[step.job]
        return fal_client.AsyncRequestHandle(
            request_id=known.request_id,
            response_url=known.response_url,
            status_url=known.status_url,
            cancel_url=known.cancel_url,
            client=self._client(step.key).http,
        )

    def expected(self, e: Exchange) -> Reading:
        """Return the reading that follows from a raw answer; a failed job reads like a refusal."""
        if e.status in RETRIED:
            return (RETRIES,)
        if not e.ok:
            return ("error", e.status, e.error_type)
        match e.step.do:
            case "submit":
                return ("accepted",)
            case "cancel":
                return ("cancelled",)
            case "result":
                return ("output", e.json)
            case _:
                return (e.state, e.get("queue_position")) if e.state == "IN_QUEUE" else (e.state,)


def _status(status: fal_client.Status) -> Reading:
    if isinstance(status, fal_client.Queued):
        return ("IN_QUEUE", status.position)
    return ("IN_PROGRESS",) if isinstance(status, fal_client.InProgress) else ("COMPLETED",)
