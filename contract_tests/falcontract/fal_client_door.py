"""A third door: fal's own Python client, where it is installed (PyPI: fal-client).

The one place where this package uses it. The client has fal's addresses built in; its requests for them are
led to the target, and to nowhere else. It has no word for some things that the protocol says: it waits for
a result instead of being told that it is too early, and it does not know status streams of the queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import fal_client
import httpx
from fal_client.auth import AuthCredentials
from fal_client.client import AsyncBackupDomainTransport

from falcontract.doors import FAL_CLIENT, Verdict, can

if TYPE_CHECKING:
    from falcontract.steps import Step
    from falcontract.targets import Session
    from falcontract.traces import Exchange

QUEUE: Final = "queue.fal.run"
ASKED_AGAIN: Final = (408, 409, 429)  # the client sends again what is answered so, up to ten times
AGAIN: Final = "asks again"


class _Enough(Exception):
    """Nothing more is sent. It is none of httpx's errors: after those the client would wait and try again."""


class _Led(httpx.AsyncBaseTransport):
    """Leads fal's queue to the target, and nobody anywhere else."""

    def __init__(self, inner: httpx.AsyncBaseTransport, base: str) -> None:
        self._inner, self._base = inner, httpx.URL(base)
        self._refused: set[tuple[str, httpx.URL]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        asked = (request.method, url)
        if asked in self._refused:
            self._refused.clear()
            raise _Enough(AGAIN)
        if url.host == QUEUE:
            path = f"/{QUEUE}".encode() + url.raw_path
            url = self._base.copy_with(raw_path=path)
            request.headers["Host"] = url.netloc.decode()
        if url.netloc != self._base.netloc:
            raise _Enough(f"{url.host} is not the target: nothing was sent")
        led = httpx.Request(
            request.method, url, headers=request.headers, stream=request.stream, extensions=request.extensions
        )
        answer = await self._inner.handle_async_request(led)
        if answer.status_code in ASKED_AGAIN:
            self._refused.add(asked)
        return answer

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Client(fal_client.AsyncClient):
    """fal's client with the transport handed in; it has no argument for one."""

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
    """One program under way through fal's client.

    Args:
        session: of the target.
        base: of the target, all hosts in one.
    """

    name = FAL_CLIENT

    def __init__(self, session: Session, base: str) -> None:
        self._session, self._base = session, base
        self._handles: dict[str, fal_client.AsyncRequestHandle] = {}
        self._clients: dict[str, _Client] = {}

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.http.aclose()

    async def ask(self, step: Step) -> Verdict | None:
        """See `ClientAdapter`."""
        if not can(step) or self._session.keys.get(step.key) is None or step.webhook or step.do == "stream":
            return None
        if step.do != "submit" and step.job not in self._handles:
            return None
        try:
            return await self._heard(step)
        except _Enough as end:
            return (str(end),)
        except fal_client.FalClientHTTPError as error:
            return ("error", error.status_code, error.error_type)
        except (KeyError, ValueError, httpx.HTTPError) as error:  # it takes an answer's form on trust
            return ("puzzled", type(error).__name__, str(error)[:200])

    async def _heard(self, step: Step) -> Verdict | None:
        client = self._client(step.key)
        match step.do:
            case "submit":
                self._handles[step.job] = await client.submit(
                    step.endpoint, step.input, headers=dict(step.headers)
                )
                return ("accepted",)
            case "cancel":
                await self._handle(step).cancel()
                return ("cancelled",)
            case "result":
                if not isinstance(await self._handle(step).status(), fal_client.Completed):
                    return None
                return ("output", await self._handle(step).get())
            case _:
                return _state(await self._handle(step).status(with_logs="logs=1" in step.query))

    def _client(self, key: str) -> _Client:
        if key not in self._clients:
            header = str(self._session.keys[key])
            led = _Led(self._session.transport(), self._base)
            self._clients[key] = _Client(header.removeprefix("Key "), led)
        return self._clients[key]

    def _handle(self, step: Step) -> fal_client.AsyncRequestHandle:
        """Return a job's handle in the hands of whoever asks."""
        known = self._handles[step.job]
        return fal_client.AsyncRequestHandle(
            request_id=known.request_id,
            response_url=known.response_url,
            status_url=known.status_url,
            cancel_url=known.cancel_url,
            client=self._client(step.key).http,
        )

    def reading(self, e: Exchange) -> Verdict:
        """See `ClientAdapter`: this client does not tell a failed job from a refusal."""
        if e.status in ASKED_AGAIN:
            return (AGAIN,)
        if not e.ok:
            return ("error", e.status, e.get("error_type") or e.headers.get("x-fal-error-type"))
        match e.step.do:
            case "submit":
                return ("accepted",)
            case "cancel":
                return ("cancelled",)
            case "result":
                return ("output", e.json)
            case _:
                return (e.state, e.get("queue_position")) if e.state == "IN_QUEUE" else (e.state,)


def _state(status: fal_client.Status) -> Verdict:
    if isinstance(status, fal_client.Queued):
        return ("IN_QUEUE", status.position)
    return ("IN_PROGRESS",) if isinstance(status, fal_client.InProgress) else ("COMPLETED",)
