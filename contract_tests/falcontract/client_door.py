"""The second door: the project's own client, which is the subject under test.

The one place where this package uses falqueue. It says of each step what the client made of it; what a
client cannot be made to send, it leaves to the wire.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import httpx

import falqueue
from falcontract.doors import FALQUEUE, Verdict, can

if TYPE_CHECKING:
    from collections.abc import Callable

    from falcontract.steps import Step
    from falcontract.targets import Session
    from falcontract.traces import Exchange

CANCELLED: Final = 499


class FalqueueAdapter:
    """One program under way through the client.

    Args:
        session: of the target.
        base: of the target, all hosts in one.
        hook: gives the address of the receiver that a submit names.
    """

    name = FALQUEUE

    def __init__(self, session: Session, base: str, hook: Callable[[Step], str]) -> None:
        self._session, self._base, self._hook = session, base, hook
        self._handles: dict[str, falqueue.Handle[dict[str, Any]]] = {}
        self._clients: dict[str, falqueue.AsyncClient] = {}

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.close()

    def _client(self, key: str) -> falqueue.AsyncClient:
        if key not in self._clients:
            self._clients[key] = falqueue.AsyncClient(
                _credentials(self._session.keys.get(key)),
                base_url=self._base,
                transport=self._session.transport(),
                sleep=self._session.pass_time,
                clock=self._session.now,
                wall_clock=self._session.wall,
                luck=lambda: 0.5,
            )
        return self._clients[key]

    async def ask(self, step: Step) -> Verdict | None:
        """See `ClientAdapter`."""
        if not can(step) or (step.do != "submit" and step.job not in self._handles):
            return None
        try:
            return await self._heard(step)
        except falqueue.RequestFailed as error:
            return ("failed", error.status_code, error.error_type)
        except falqueue.Refused as error:
            return ("refused", error.status_code)
        except (falqueue.FalqueueError, httpx.HTTPError) as error:
            return ("error", type(error).__name__, str(error)[:200])

    async def _heard(self, step: Step) -> Verdict:
        client = self._client(step.key)
        match step.do:
            case "submit":
                options = _options(step) | ({"webhook_url": self._hook(step)} if step.webhook else {})
                self._handles[step.job] = await client.submit(step.endpoint, step.input, **options)
                return ("accepted",)
            case "result":
                return ("output", await client.result(self._handles[step.job]))
            case "cancel":
                return ("cancel", (await client.cancel(self._handles[step.job])).value)
            case "stream":
                return await self._stream(client, step)
            case _:
                return _state(await client.status(self._handles[step.job], logs="logs=1" in step.query))

    async def _stream(self, client: falqueue.AsyncClient, step: Step) -> Verdict:
        states: list[Verdict] = []

        async def watch() -> None:
            async for one in client.stream(self._handles[step.job], logs="logs=1" in step.query):
                states.append(_state(one))  # noqa: PERF401 - what was heard counts, even if it is broken off

        task = asyncio.create_task(watch())
        await self._session.drive(task, step.seconds)
        if not task.cancelled():
            task.result()
        return ("stream", *_each_once(states))

    def reading(self, e: Exchange) -> Verdict:
        """Return what a raw answer means, in the words that the client's verdict has too."""
        if e.step.do == "stream" and e.ok:
            told = [_told(event.json) for event in e.events if event.data is not None]
            return ("stream", *_each_once(told))
        if e.step.do == "cancel" and isinstance(e.state, str):
            return ("cancel", e.state)
        if e.ok:
            return {"submit": ("accepted",), "result": ("output", e.json)}.get(e.step.do) or _told(e.json)
        if e.step.do == "result" and (failure := _failure(e)):
            return failure
        return ("refused", e.status)


def _each_once(states: list[Verdict]) -> list[Verdict]:
    return [one for one, before in zip(states, [None, *states], strict=False) if one != before]


def _credentials(header: str | None) -> falqueue.Credentials:
    if header is None:
        return falqueue.Credentials.anonymous()
    return falqueue.Credentials(header.removeprefix("Key "))


def _options(step: Step) -> Any:
    headers = {name.lower(): value for name, value in step.headers.items()}
    options: dict[str, Any] = {}
    if "x-fal-request-timeout" in headers:
        options["start_timeout"] = float(headers["x-fal-request-timeout"])
    if "x-fal-queue-priority" in headers:
        options["priority"] = headers["x-fal-queue-priority"]
    if "x-fal-no-retry" in headers:
        options["no_retry"] = True
    if "x-fal-object-lifecycle-preference" in headers:
        told = json.loads(headers["x-fal-object-lifecycle-preference"])
        options["lifecycle"] = falqueue.Lifecycle(seconds=told["expiration_duration_seconds"])
    return options


def _state(status: falqueue.Status) -> Verdict:
    match status:
        case falqueue.Queued(position=position):
            return ("IN_QUEUE", position)
        case falqueue.InProgress():
            return ("IN_PROGRESS",)
        case _:
            return ("COMPLETED",)


def _told(told: Any) -> Verdict:
    state = told.get("status") if isinstance(told, dict) else told
    return (state, told.get("queue_position")) if state == "IN_QUEUE" else (state,)


def _failure(e: Exchange) -> Verdict | None:
    """Tell a job's failure from a refusal to hand the result out (PROTOCOL.md 4.6, 13, 14)."""
    detail = e.get("detail")
    kind = e.get("error_type") or e.headers.get("x-fal-error-type")
    if kind is None and isinstance(detail, list) and detail:
        kind = detail[0]["type"]
    if kind is None and e.status == CANCELLED:
        kind = "client_cancelled"
    if kind is None and not str(detail).startswith("Path "):
        return None
    return ("failed", e.status, kind)
