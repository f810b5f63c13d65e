"""The first door: a raw wire. No retries, nothing parsed that is not needed for the next step."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import httpx

from falcontract.programs import JWKS_PATH
from falcontract.receivers import Receivers
from falcontract.traces import Event, Exchange, Trace

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from falcontract.steps import Program, Step
    from falcontract.targets import Session, Target

USUAL_METHOD: Final = {"submit": "POST", "cancel": "PUT"}
USUAL_PATH: Final = {"status": "/status", "until": "/status", "result": "", "cancel": "/cancel"}
PATIENCE: Final = httpx.Timeout(60).as_dict()  # seconds, for each of connecting, writing and reading
RECEIVERS: Final = "{receivers}"  # in an input: the address of this program's webhook receivers


async def run(program: Program, target: Target) -> Trace:
    """Run a program on a target through the raw wire."""
    async with target.open(program) as session:
        wire = Wire(program, session, target.name)
        await wire.run()
        return wire.trace


class Wire:
    """One program under way.

    Args:
        program: to be run.
        session: of the target.
        name: of the target.
    """

    def __init__(self, program: Program, session: Session, name: str) -> None:
        self.trace = Trace(
            program, name, session.hosts["queue"], exact_time=session.exact_time, facts=session.facts
        )
        self.session = session
        self._begun = session.now()
        self._links: dict[str, dict[str, str]] = {}
        self._index = 0
        self._receivers = Receivers(session, self._begun, self._peek)

    async def run(self) -> None:
        """Do all steps."""
        async with AsyncExitStack() as stack:
            if any(step.webhook for step in self.trace.program.steps):
                await stack.enter_async_context(self._receivers.open())
            for index, step in enumerate(self.trace.program.steps):
                self._index = index
                for _ in range(step.times):
                    await self.do(step)
            await self.finish()

    def receiving(self) -> AbstractAsyncContextManager[None]:
        """Listen for webhooks while this is open; for who does the steps one by one."""
        return self._receivers.open()

    async def finish(self) -> None:
        """Note what arrived, now that nothing more will be asked."""
        self.trace.deliveries = self._receivers.arrived
        if self._receivers.arrived:
            await self._fetch_keys()
        self.trace.ended = True

    async def add(self, step: Step) -> None:
        """Do one step more than the program had; for who makes it up while it runs."""
        program = self.trace.program
        self._index = len(program.steps)
        self.trace.program = replace(program, steps=(*program.steps, step))
        for _ in range(step.times):
            await self.do(step)

    async def do(self, step: Step) -> None:
        """Do one step."""
        match step.do:
            case "wait":
                await self.session.pass_time(step.seconds)
            case "until":
                await self._until(step)
            case "lock":
                assert self.session.lock is not None  # noqa: S101 - programs are only run where they can be
                self.session.lock(step.key)
            case _:
                self._keep(await self.ask(step))

    def _keep(self, e: Exchange) -> None:
        self.trace.exchanges.append(e)
        if e.step.do == "submit" and e.ok and isinstance(e.json, dict):
            self._links[e.step.job] = {k: v for k, v in e.json.items() if isinstance(v, str)}

    async def _until(self, step: Step) -> None:
        end = self.session.now() + step.seconds
        while True:
            e = await self.ask(step)
            self._keep(e)
            if e.state == step.state or not e.ok or self.session.now() >= end:
                return
            await self.session.pass_time(self.session.poll_seconds)

    async def ask(self, step: Step) -> Exchange:
        """Send what a step says, and return what came back; the trace does not have it."""
        url = self._url(step)
        headers, content = self._headers(step), self._content(step)
        at = self.session.now() - self._begun
        method = step.method or USUAL_METHOD.get(step.do, "GET")
        request = _request(method, url, headers, content)
        hearing = _AnswerReader(self.session, self._begun)
        if step.do == "stream":
            task = asyncio.create_task(hearing.listen(request))
            await self.session.drive(task, step.seconds)
        else:
            await hearing.listen(request)
        return Exchange(
            step=step,
            index=self._index,
            at=at,
            method=method,
            url=url,
            sent={name: value for name, value in headers.items() if name.lower() != "authorization"},
            content=content,
            request_id=self._links.get(step.job, {}).get("request_id", ""),
            **hearing.heard(),
        )

    def _url(self, step: Step) -> str:
        links = self._links.get(step.job, {})
        if step.path or step.do == "submit":
            path = step.path or f"/{step.endpoint}"
            for job, known in self._links.items():
                path = path.replace("{" + job + "}", known.get("request_id", ""))
            url = self.session.hosts[step.host] + path
        elif step.do == "fetch":
            url = self._media_url(step.job)
        else:
            url = self._link(step, links)
        query = step.query
        if step.webhook:
            query = f"fal_webhook={quote(self._receivers.url(step), safe='')}" + (query and f"&{query}")
        return f"{url}?{query}" if query else url

    def _link(self, step: Step, links: dict[str, str]) -> str:
        """Return the URL that the submit gave, verbatim; where it gave none, where it should have led."""
        missing = f"{self.session.hosts['queue']}/no/such/requests/job-was-not-made"
        base = links.get("response_url", missing)
        match step.do:
            case "status" | "until":
                return links.get("status_url", f"{base}/status")
            case "stream":
                return links.get("status_url", f"{base}/status") + "/stream"
            case "cancel":
                return links.get("cancel_url", f"{base}/cancel")
            case _:
                return base

    def _media_url(self, job: str) -> str:
        for e in reversed(self.trace.of("result", job)):
            if e.ok and isinstance(video := e.get("video"), dict) and isinstance(video.get("url"), str):
                return str(video["url"])
        return f"{self.session.hosts['rest']}/no-video-was-made"

    def _headers(self, step: Step) -> dict[str, str]:
        headers = dict(step.headers)
        key = None if step.do == "fetch" else self.session.keys[step.key]
        if key is not None:
            headers["Authorization"] = key
        carries = step.do == "submit" or step.body is not None or step.input is not None
        if carries and step.content_type is not None:
            headers["Content-Type"] = step.content_type
        return headers

    def _content(self, step: Step) -> bytes:
        if step.body is not None:
            return step.body.encode("utf-8", "surrogateescape")
        if step.input is None:
            return b""
        return json.dumps(step.input).replace(RECEIVERS, self._receivers.base).encode()

    async def _fetch_keys(self) -> None:
        answer = await self._get(self.session.hosts["rest"] + JWKS_PATH, {})
        self.trace.jwks = answer.json() if answer.is_success else None

    async def _get(self, url: str, headers: dict[str, str]) -> httpx.Response:
        answer = await self.session.line.handle_async_request(_request("GET", url, headers))
        await answer.aread()
        return answer

    async def _peek(self, request_id: str, step: Step) -> str | None:
        """Read a status while a webhook waits for its answer."""
        url = next(
            (known["status_url"] for known in self._links.values() if known["request_id"] == request_id), None
        )
        if url is None:
            return None
        key = self.session.keys[step.key]
        answer = await self._get(url, {"Authorization": key} if key else {})
        return str(answer.json().get("status"))


def _request(method: str, url: str, headers: dict[str, str], content: bytes = b"") -> httpx.Request:
    told = {"User-Agent": "falcontract", **headers}
    return httpx.Request(method, url, headers=told, content=content or None, extensions={"timeout": PATIENCE})


class _AnswerReader:
    """What is heard of one answer; it keeps what came when the answer is broken off."""

    def __init__(self, session: Session, begun: float) -> None:
        self._session, self._begun = session, begun
        self._answer: httpx.Response | None = None
        self._body = b""
        self._events: list[Event] = []
        self._error = ""
        self._rest = b""

    async def listen(self, request: httpx.Request) -> None:
        try:
            answer = await self._session.line.handle_async_request(request)
            try:
                self._answer = answer
                async for piece in answer.aiter_raw():
                    self._take(piece)
            finally:
                await answer.aclose()
        except httpx.HTTPError as error:
            self._error = f"{type(error).__name__}: {error}"
        except asyncio.CancelledError:
            self._error = "it did not end"
            raise

    def _take(self, piece: bytes) -> None:
        self._body += piece
        if not self._is_stream():
            return
        at = self._session.now() - self._begun
        *whole, self._rest = (self._rest + piece).split(b"\n\n")
        for message in whole:
            self._events.append(Event(at, _data(message)))

    def _is_stream(self) -> bool:
        kind = self._answer.headers.get("content-type", "") if self._answer is not None else ""
        return bool(kind.startswith("text/event-stream"))

    def heard(self) -> dict[str, Any]:
        return {
            "status": self._answer.status_code if self._answer is not None else 0,
            "headers": dict(self._answer.headers) if self._answer is not None else {},
            "body": self._body,
            "events": tuple(self._events),
            "done_at": self._session.now() - self._begun,
            "error": self._error,
        }


def _data(message: bytes) -> str | None:
    lines = [line for line in message.decode(errors="replace").split("\n") if line.startswith("data:")]
    return "\n".join(line[5:].removeprefix(" ") for line in lines) if lines else None
