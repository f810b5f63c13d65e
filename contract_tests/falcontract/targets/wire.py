"""The wire: runs a program with plain HTTP calls, without retries."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import httpx

from falcontract.steps import HOSTS, JWKS_PATH, REFERENCE
from falcontract.targets.receivers import Receivers
from falcontract.traces import Event, Exchange, Trace

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator
    from contextlib import AbstractAsyncContextManager

    from falcontract.steps import Program, Step
    from falcontract.targets.base import Session, Target

USUAL_METHOD: Final = {"submit": "POST", "cancel": "PUT"}
LONGEST_ANSWER: Final = 20.0  # real seconds; only a stream in place of another answer takes as long
TIMEOUT: Final = httpx.Timeout(60).as_dict()
RECEIVERS: Final = "{receivers}"  # in an input: the base URL of the program's receivers


async def run(program: Program, target: Target) -> Trace:
    async with target.open(program) as session:
        wire = Wire(program, session, target.name)
        await wire.run()
        return wire.trace


class Wire:
    """One run of a program on the target of this name."""

    def __init__(self, program: Program, session: Session, name: str) -> None:
        self.trace = Trace(
            program, name, session.hosts["queue"], exact_time=session.exact_time, facts=session.facts
        )
        self.session = session
        self._begun = session.now()
        self._links: dict[str, dict[str, str]] = {}
        self._index = 0
        self._receivers = Receivers(session, self._begun, self._read_status)

    async def run(self) -> None:
        async with AsyncExitStack() as stack:
            if any(step.webhook for step in self.trace.program.steps):
                await stack.enter_async_context(self.receiving())
            for index, step in enumerate(self.trace.program.steps):
                self._index = index
                for _ in range(step.times):
                    await self.do(step)
            await self.finish()

    def receiving(self) -> AbstractAsyncContextManager[None]:
        """Listen for webhooks; for callers that add the steps one by one."""
        return self._receivers.open()

    async def finish(self) -> None:
        """Record the webhooks and the key set after the last step."""
        self.trace.deliveries = self._receivers.arrived
        if self._receivers.arrived:
            answer = await self._get(self.session.hosts["rest"] + JWKS_PATH, {})
            self.trace.jwks = answer.json() if answer.is_success else None
        self.trace.ended = True

    async def add(self, step: Step) -> None:
        """Append a step to the program and do it."""
        program = self.trace.program
        self._index = len(program.steps)
        self.trace.program = replace(program, steps=(*program.steps, step))
        for _ in range(step.times):
            await self.do(step)

    async def do(self, step: Step) -> None:
        match step.do:
            case "wait":
                await self.session.pass_time(step.seconds)
            case "until":
                await self._until(step)
            case "lock" | "unlock" | "restart":
                await change_target(self.session, step)
            case "client":
                pass
            case _:
                self._record(await self.send(step))

    def _record(self, e: Exchange) -> None:
        self.trace.exchanges.append(e)
        if e.step.do == "submit" and e.ok and isinstance(e.json, dict):
            self._links[e.step.job] = {k: v for k, v in e.json.items() if isinstance(v, str)}
        if e.step.save:
            self._links[e.step.save] = dict(_texts(e))

    async def _until(self, step: Step) -> None:
        end = self.session.now() + step.seconds
        while True:
            e = await self.send(step)
            self._record(e)
            if e.state == step.state or not e.ok or self.session.now() >= end:
                return
            await self.session.pass_time(self.session.poll_seconds)

    async def send(self, step: Step) -> Exchange:
        """Send the call of a step, and return the exchange without recording it."""
        url = self._url(step)
        headers, content = self._headers(step), self._content(step)
        url, addressing = self._addressed(step, url)
        headers |= addressing
        at = self.session.now() - self._begun
        method = step.method or USUAL_METHOD.get(step.do, "GET")
        reader = _AnswerReader(self.session, self._begun)
        reading = reader.read(_request(method, url, headers, content))
        if step.do == "stream" or (step.do == "call" and step.seconds):
            await self.session.drive(asyncio.create_task(reading), step.seconds)
        else:
            with suppress(TimeoutError):
                await asyncio.wait_for(reading, LONGEST_ANSWER)
        return Exchange(
            step=step,
            index=self._index,
            at=at,
            method=method,
            url=url,
            request_headers={k: v for k, v in headers.items() if k.lower() != "authorization"},
            request_body=content,
            request_id=self._links.get(step.job, {}).get("request_id", ""),
            **reader.answer(),
        )

    def _url(self, step: Step) -> str:
        if step.path or step.do == "submit":
            path = self._resolved(step.path) or f"/{step.endpoint}"
            url = path if path.startswith("http") else self.session.hosts[step.host] + path
        elif step.do == "fetch":
            url = self._media_url(step.job)
        else:
            url = self._link(step, self._links.get(step.job, {}))
        query = self._resolved(step.query)
        if step.webhook:
            query = f"fal_webhook={quote(self._receivers.url(step), safe='')}" + (query and f"&{query}")
        return f"{url}?{query}" if query else url

    def _resolved(self, text: str) -> str:
        """Replace references to jobs and saved answers; one that leads nowhere stays."""

        def value(found: re.Match[str]) -> str:
            return self._links.get(found["name"], {}).get(found["member"] or "request_id", found[0])

        return REFERENCE.sub(value, text)

    def _addressed(self, step: Step, url: str) -> tuple[str, dict[str, str]]:
        """Return the URL and the headers that name the host in the way of `Step.via`."""
        root = self.session.root
        name = next((one for one in HOSTS if url.startswith(self.session.hosts.get(one, "-") + "/")), None)
        if not step.via or (name is None and step.via != "host"):
            return url, {}
        host = HOSTS[name] if name else httpx.URL(url).host
        rest = url.removeprefix(self.session.hosts[name] if name else f"http://{host}")
        return {
            "host": (root + rest, {"Host": host}),
            "target": (root + "/", {"x-fal-target-url": f"https://{host}{rest}"}),
            "bare": (root + rest, {}),
        }[step.via]

    def _link(self, step: Step, links: dict[str, str]) -> str:
        """Return the URL from the submit's answer, or a placeholder if the submit failed."""
        base = links.get("response_url", f"{self.session.hosts['queue']}/no/such/requests/job-was-not-made")
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
            urls = [text for name, text in _texts(e) if name.endswith(".url") and text.startswith("http")]
            if e.ok and urls:
                return urls[0]
        return f"{self.session.hosts['rest']}/no-file-was-made"

    def _headers(self, step: Step) -> dict[str, str]:
        headers = {name: self._resolved(value) for name, value in step.headers.items()}
        key = None if step.do == "fetch" else self.session.keys[step.key]
        if key is not None:
            headers.setdefault("Authorization", key)
        has_body = step.do == "submit" or step.body is not None or step.input is not None
        if has_body and step.content_type is not None:
            headers["Content-Type"] = step.content_type
        return headers

    def _content(self, step: Step) -> bytes:
        if step.body is not None and step.do == "call":
            return self._resolved(step.body).encode()
        if step.body is not None:
            return step.body.encode("utf-8", "surrogateescape")
        if step.input is None:
            return b""
        return json.dumps(step.input).replace(RECEIVERS, self._receivers.base).encode()

    async def _get(self, url: str, headers: dict[str, str]) -> httpx.Response:
        answer = await self.session.transport.handle_async_request(_request("GET", url, headers))
        await answer.aread()
        return answer

    async def _read_status(self, request_id: str, step: Step) -> str | None:
        """Read the status of a job while a webhook waits for its answer."""
        for links in self._links.values():
            if links["request_id"] == request_id:
                key = self.session.keys[step.key]
                answer = await self._get(links["status_url"], {"Authorization": key} if key else {})
                return str(answer.json().get("status"))
        return None


def _request(method: str, url: str, headers: dict[str, str], content: bytes = b"") -> httpx.Request:
    return httpx.Request(
        method,
        _parsed(url),
        headers={"User-Agent": "falcontract", **headers},
        content=content or None,
        extensions={"timeout": TIMEOUT},
    )


@lru_cache(maxsize=256)  # a program reads a job many times
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)


class _AnswerReader:
    """Reads one answer, and keeps the part that arrived if the connection breaks."""

    def __init__(self, session: Session, begun: float) -> None:
        self._session, self._begun = session, begun
        self._response: httpx.Response | None = None
        self._body = b""
        self._events: list[Event] = []
        self._error = ""
        self._rest = b""

    async def read(self, request: httpx.Request) -> None:
        try:
            response = await self._session.transport.handle_async_request(request)
            try:
                self._response = response
                async for chunk in response.aiter_raw():
                    self._add(chunk)
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            self._error = f"{type(error).__name__}: {error}"
        except asyncio.CancelledError:
            self._error = "the answer did not end"
            raise

    def _add(self, chunk: bytes) -> None:
        self._body += chunk
        if not self._is_stream():
            return
        at = self._session.now() - self._begun
        *complete, self._rest = (self._rest + chunk).split(b"\n\n")
        self._events += [Event(at, _data(message)) for message in complete]

    def _is_stream(self) -> bool:
        kind = self._response.headers.get("content-type", "") if self._response is not None else ""
        return bool(kind.startswith("text/event-stream"))

    def answer(self) -> dict[str, Any]:
        """Return the members of an `Exchange` that describe the answer."""
        return {
            "status": self._response.status_code if self._response is not None else 0,
            "headers": dict(self._response.headers) if self._response is not None else {},
            "body": self._body,
            "events": tuple(self._events),
            "done_at": self._session.now() - self._begun,
            "error": self._error,
        }


def _texts(e: Exchange) -> Iterator[tuple[str, str]]:
    """Yield the text members of an answer at any depth, the parts of those that are URLs, and its ETag."""
    yield "etag", e.headers.get("etag", "").strip('"')
    yield "text", e.json if isinstance(e.json, str) else ""
    left = [("", e.json)]
    while left:
        name, value = left.pop()
        if isinstance(value, dict):
            left += [(f"{name}.{key}".lstrip("."), item) for key, item in reversed(value.items())]
        elif isinstance(value, list):
            left += [(f"{name}.{index}".lstrip("."), item) for index, item in reversed([*enumerate(value)])]
        elif isinstance(value, str) and name:
            yield name, value
            yield f"{name}.path", value.partition("?")[0]
            yield f"{name}.query", value.partition("?")[2]


async def change_target(session: Session, step: Step) -> None:
    """Lock or unlock an account, or start the target again; `Program.needs` has been checked."""
    if step.do == "restart":
        assert session.restart is not None  # noqa: S101
        await session.restart()
    else:
        assert session.lock is not None  # noqa: S101
        session.lock(step.key, step.do == "lock")


def _data(message: bytes) -> str | None:
    lines = [line for line in message.decode(errors="replace").split("\n") if line.startswith("data:")]
    return "\n".join(line[5:].removeprefix(" ") for line in lines) if lines else None
