"""falqueue, the client under test. Only this module imports it."""

from __future__ import annotations

import asyncio
import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

import falqueue
from falcontract.clients.base import FALQUEUE, Reading, can_take
from falcontract.steps import HOSTS, JWKS_PATH, Step
from falcontract.traces import NO_ANSWER, Sent, without_repeats

if TYPE_CHECKING:
    from falcontract.targets.base import Session
    from falcontract.targets.receivers import Receivers
    from falcontract.traces import Exchange

CANCELLED: Final = 499
AGES: Final = (-600, -301, -300, 0, 300, 301, 600)  # seconds
REST: Final = HOSTS["rest"]
UNKNOWN: Final = Step(do="client")  # until the run notes the step
LONGEST_TEXT: Final = 200  # characters of an error in a reading


class _Listing(httpx.AsyncBaseTransport):
    """Lists the calls that pass."""

    def __init__(self, inner: httpx.AsyncBaseTransport, sent: list[Sent]) -> None:
        self._inner, self._sent = inner, sent

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = None
        try:
            answer = await self._inner.handle_async_request(request)
            return answer
        finally:
            status = answer.status_code if answer is not None else NO_ANSWER
            key = "authorization" in request.headers
            self._sent.append(Sent(FALQUEUE, UNKNOWN, request.method, str(request.url), key, status))

    async def aclose(self) -> None:
        await self._inner.aclose()


class FalqueueAdapter:
    """One run of a program through falqueue; the receivers get the webhooks that its submits register."""

    name = FALQUEUE

    def __init__(self, session: Session, base: str, receivers: Receivers) -> None:
        self._session, self._base, self._receivers = session, base, receivers
        self.sent: list[Sent] = []
        self._handles: dict[str, falqueue.Handle[dict[str, Any]]] = {}
        self._clients: dict[str, falqueue.AsyncClient] = {}

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    def _client(self, key: str) -> falqueue.AsyncClient:
        if key not in self._clients:
            self._clients[key] = falqueue.AsyncClient(
                _credentials(self._session.keys.get(key)),
                base_url=self._base,
                transport=_Listing(self._session.new_transport(), self.sent),
                sleep=self._session.pass_time,
                clock=self._session.now,
                wall_clock=self._session.wall,
                rng=lambda: 0.5,
            )
        return self._clients[key]

    async def do(self, step: Step) -> Reading | None:
        """Wait, download, upload or verify a webhook."""
        client = self._client(step.key)
        try:
            match step.action:
                case "wait":
                    return (
                        "output",
                        await client.wait(self._handles[step.job], timeout=step.seconds or None),
                    )
                case "download":
                    return await self._download(client, await client.result(self._handles[step.job]))
                case "upload":
                    url = await client.upload((step.body or "").encode(), name="notes.txt")
                    return await self._download(client, {"video": {"url": url}})
            return await self._verify(client)
        except falqueue.TookTooLong as error:
            return ("took too long", error.cancellation and error.cancellation.value)
        except (falqueue.FalqueueError, LookupError) as error:  # LookupError: no webhook arrived, or no video
            return ("error", type(error).__name__)

    async def _download(self, client: falqueue.AsyncClient, output: Any) -> Reading:
        with tempfile.TemporaryDirectory() as folder:
            file = await client.download(output["video"]["url"], Path(folder) / "file")
            return ("file", len(file.read_bytes()), output["video"].get("file_size"))

    async def _verify(self, client: falqueue.AsyncClient) -> Reading:
        """Return the ages, in seconds, at which the client accepts the first delivery."""
        first = self._receivers.arrived[0]
        jwks = await client.verify_webhook(first.body, first.headers)
        stamp = int(first.headers["x-fal-webhook-timestamp"])
        answer = await self._session.transport.handle_async_request(
            httpx.Request("GET", f"{self._base}/{REST}{JWKS_PATH}", extensions={"timeout": {}})
        )
        keys = falqueue.keys_of(json.loads(await answer.aread()))
        accepted = []
        for age in AGES:
            with suppress(falqueue.WebhookRejected):
                falqueue.verify(first.body, first.headers, keys, now=stamp + age)
                accepted.append(age)
        return ("verified", jwks.status, *accepted)

    async def take(self, step: Step) -> Reading | None:
        """Do a step and return the reading; None if falqueue cannot do it."""
        if not can_take(step) or (step.do != "submit" and step.job not in self._handles):
            return None
        try:
            return await self._take(step)
        except falqueue.RequestFailed as error:
            return ("failed", error.status_code, error.error_type)
        except falqueue.Refused as error:
            return ("refused", error.status_code)
        except (falqueue.FalqueueError, httpx.HTTPError) as error:
            return ("error", type(error).__name__, str(error)[:LONGEST_TEXT])

    async def _take(self, step: Step) -> Reading:
        client = self._client(step.key)
        match step.do:
            case "submit":
                options = _options(step) | (
                    {"webhook_url": self._receivers.url(step)} if step.webhook else {}
                )
                self._handles[step.job] = await client.submit(step.endpoint, step.input, **options)
                return ("accepted",)
            case "result":
                return ("output", await client.result(self._handles[step.job]))
            case "cancel":
                return ("cancel", (await client.cancel(self._handles[step.job])).value)
            case "stream":
                return await self._stream(client, step)
            case _:
                return _status(await client.status(self._handles[step.job], logs="logs=1" in step.query))

    async def _stream(self, client: falqueue.AsyncClient, step: Step) -> Reading:
        states: list[Reading] = []

        async def read() -> None:
            async for status in client.stream(self._handles[step.job], logs="logs=1" in step.query):
                states.append(_status(status))  # noqa: PERF401 - keeps the states of a stream that breaks

        task = asyncio.create_task(read())
        await self._session.drive(task, step.seconds)
        if not task.cancelled():
            task.result()
        return ("stream", *without_repeats(states))

    def expected(self, e: Exchange) -> Reading:
        if e.step.do == "stream" and e.ok:
            states = [_raw_status(event.json) for event in e.events if event.data is not None]
            return ("stream", *without_repeats(states))
        if e.step.do == "cancel" and isinstance(e.state, str):
            return ("cancel", e.state)
        if e.ok:
            readings = {"submit": ("accepted",), "result": ("output", e.json)}
            return readings.get(e.step.do) or _raw_status(e.json)
        if e.step.do == "result" and (failure := _failure(e)):
            return failure
        return ("refused", e.status)


def _credentials(header: str | None) -> falqueue.Credentials:
    if header is None:
        return falqueue.Credentials.anonymous()
    return falqueue.Credentials(header.removeprefix("Key "))


def _options(step: Step) -> Any:
    """Return the keyword arguments that produce the step's headers."""
    options: dict[str, Any] = {}
    if (seconds := step.header("x-fal-request-timeout")) is not None:
        options["start_timeout"] = float(seconds)
    if (priority := step.header("x-fal-queue-priority")) is not None:
        options["priority"] = priority
    if step.header("x-fal-no-retry") is not None:
        options["no_retry"] = True
    if (lifecycle := step.header("x-fal-object-lifecycle-preference")) is not None:
        seconds_kept = json.loads(lifecycle)["expiration_duration_seconds"]
        options["lifecycle"] = falqueue.Lifecycle(seconds=seconds_kept)
    return options


def _status(status: falqueue.Status) -> Reading:
    match status:
        case falqueue.Queued(position=position):
            return ("IN_QUEUE", position)
        case falqueue.InProgress():
            return ("IN_PROGRESS",)
        case _:
            return ("COMPLETED",)


def _raw_status(body: Any) -> Reading:
    state = body.get("status") if isinstance(body, dict) else body
    return (state, body.get("queue_position")) if state == "IN_QUEUE" else (state,)


def _failure(e: Exchange) -> Reading | None:
    """Return the reading of a failed job; None if the result itself was refused (PROTOCOL.md 4.6, 13, 14)."""
    detail, kind = e.get("detail"), e.error_type
    if kind is None and e.details:
        kind = e.details[0]["type"]
    if kind is None and e.status == CANCELLED:
        kind = "client_cancelled"
    if kind is None and not str(detail).startswith("Path "):
        return None
    return ("failed", e.status, kind)
