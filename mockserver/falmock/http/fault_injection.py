"""What goes wrong with a call: instead of its answer, or with its answer on the way."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response

from falmock.engine.emulator import ROW_BODY, parse_input
from falmock.faults.rules import Injection, MatchContext, load
from falmock.faults.triggers import MAGIC_HEADER, from_header, magic, might_be_magic
from falmock.faults.vocabulary import Fault, FaultError, platform_error
from falmock.protocol.errors import (
    ConcurrencyLimit,
    GatewayTimeout,
    NotFound,
    PlatformError,
    RateLimited,
    UserLocked,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from falmock.engine.emulator import Emulator
    from falmock.protocol.calls import Call
    from falmock.protocol.errors import Refusal

SUBMITS: Final = ("submit", "run")
LINE: Final = "falmock.line"  # in the scope: the connection, where it can be broken

BAD_GATEWAY: Final = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    "<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)


class Connection(Protocol):
    """The connection that a call came on. What calls it does not answer any more."""

    async def drop(self) -> None:
        """Break it; what was sent before still arrives."""
        ...

    async def hang(self) -> None:
        """Stay silent until the caller has left."""
        ...


class FaultInjector:
    """A host on which what is planned goes wrong.

    Args:
        host: the application that answers for a fal host.
        emulator: has the plan.
    """

    def __init__(self, host: ASGIApp, emulator: Emulator) -> None:
        self._host = host
        self._emulator = emulator
        self._plan = emulator.plan

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call, or not."""
        call: Call = scope["falmock.call"]
        header = Headers(scope=scope).get(MAGIC_HEADER)
        submits = call.operation in SUBMITS
        suspect = (
            header or call.operation == "download" or self._plan.watches(call.operation, call.request_id)
        )
        if not (submits or suspect):
            await self._host(scope, receive, send)
            return
        body = b""
        if submits:
            body, receive = await _peek(receive, self._emulator.settings.max_body)
            if not (suspect or might_be_magic(body)):
                await self._host(scope, receive, send)
                return
        injection = await self._strike(call, scope, body, header)
        if injection is None:
            await self._host(scope, receive, send)
            return
        self._plan.observed(injection)
        scope["falmock.fault"] = injection.fault.name
        await _WAYS.get(injection.fault.name, _refuse)(injection.fault, self._host, scope, receive, send)

    async def _strike(self, call: Call, scope: Scope, body: bytes, header: str | None) -> Injection | None:
        """Return what goes wrong with a call; what goes wrong later is noted in the scope."""
        asked = cache(lambda: parse_input(body))  # parsed once, if at all
        if len(body) > ROW_BODY:  # parsing takes a while
            await asyncio.to_thread(asked)
        scope["falmock.input"] = asked
        most = self._emulator.settings.limits.faults
        try:
            faults = from_header(header or "", most)
            if might_be_magic(body):
                faults += magic(asked(), most - len(faults))
        except FaultError as error:
            raise PlatformError("bad_request", str(error)) from None
        submits = call.operation in SUBMITS
        now = [fault for fault in faults if _strikes_now(fault, call.operation, submits=submits)]
        if submits:
            scope["falmock.faults.vocabulary"] = tuple(fault for fault in faults if fault not in now)
        if now:
            return Injection(now[0])
        if call.operation == "download" and (carried := self._of_file(scope["path"])) is not None:
            return carried
        if not self._plan.watches(call.operation, call.request_id):
            return None
        return self._plan.injection(self._moment(call, asked))

    def _of_file(self, path: str) -> Injection | None:
        file = self._emulator.files.live(path, self._emulator.clock.now())
        injections = load(file.faults) if file else {}
        return next((injection for name, injection in injections.items() if name in _OF_FILES), None)

    def _moment(self, call: Call, asked: Callable[[], Mapping[str, Any]]) -> MatchContext:
        context = partial(MatchContext, call.operation, caller=call.caller, test=call.test)
        request = self._emulator.store.request(call.request_id) if call.request_id else None
        if request is None:
            return context(endpoint=call.endpoint, asked=asked)
        return context(
            endpoint="/".join(filter(None, (request.application, request.path))),
            request=request.id,
            asked=cache(lambda: parse_input(self._emulator.kept_body(request))),
        )


def _strikes_now(fault: Fault, operation: str, *, submits: bool) -> bool:
    """Tell whether a fault that was asked for strikes this very call, or the request that it submits."""
    if submits:
        return operation in fault.kind.on
    if operation not in fault.kind.may:
        raise PlatformError("bad_request", f"{fault.name} cannot strike on {operation}")
    return True


async def _peek(receive: Receive, limit: int) -> tuple[bytes, Receive]:
    """Read a body up to a limit; return it with a `receive` that gives it once more."""
    messages: deque[Message] = deque()
    pieces: list[bytes] = []
    size = 0
    more = True
    while more and size <= limit:
        message = await receive()
        messages.append(message)
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        more = message.get("more_body", False)

    async def again() -> Message:
        return messages.popleft() if messages else await receive()

    return b"".join(pieces), again


def refusal(fault: Fault) -> Refusal:
    """Return the answer that a fault consists of."""
    if fault.name in PlatformError.STATUS:
        return platform_error(fault)
    return _REFUSALS[fault.name](fault.options)


_REFUSALS: Final[dict[str, Callable[[Mapping[str, Any]], Refusal]]] = {
    "locked": lambda options: UserLocked(options["reason"]),
    "rate_limited": lambda _: RateLimited(),
    "concurrency_limit": lambda options: ConcurrencyLimit(options["limit"]),
    "gateway_timeout": lambda _: GatewayTimeout(),
    "media_missing": lambda _: NotFound(),
    "media_expired": lambda _: NotFound(),
}


async def _refuse(fault: Fault, host: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    del host
    refused = refusal(fault)
    request_id = scope["falmock.call"].request_id
    headers = {**refused.headers, **({"x-fal-request-id": request_id} if request_id else {})}
    response = Response(refused.content(), refused.status, headers, "application/json")
    await response(scope, receive, send)


async def _bad_gateway(fault: Fault, host: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    del fault, host
    await HTMLResponse(BAD_GATEWAY, 502, {"server": "nginx"})(scope, receive, send)


async def _reset(fault: Fault, host: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    del fault, host, receive, send
    await _line(scope).drop()


async def _hang(fault: Fault, host: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    del fault, host, receive, send
    await _line(scope).hang()


async def _lose(fault: Fault, host: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    del fault, send

    async def nowhere(message: Message) -> None:
        del message

    await host(scope, receive, nowhere)
    await _line(scope).drop()


async def _truncate(fault: Fault, host: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    del fault
    cut = False

    async def half(message: Message) -> None:
        nonlocal cut
        if cut:
            return
        if body := message.get("body", b""):
            cut = True
            await send({**message, "body": body[: len(body) // 2], "more_body": True})
            await _line(scope).drop()
        else:
            await send(message)

    await host(scope, receive, half)


async def _slow(fault: Fault, host: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    waited = False

    async def slowly(message: Message) -> None:
        nonlocal waited
        body = message.get("body", b"")
        if body and not waited:
            waited = True
            await send({**message, "body": body[: len(body) // 2], "more_body": True})
            await asyncio.sleep(fault.options["seconds"])
            message = {**message, "body": body[len(body) // 2 :]}
        await send(message)

    await host(scope, receive, slowly)


_WAYS: Final[dict[str, Callable[[Fault, ASGIApp, Scope, Receive, Send], Awaitable[None]]]] = {
    "bad_gateway": _bad_gateway,
    "connection_reset": _reset,
    "hang": _hang,
    "answer_lost": _lose,
    "truncated_body": _truncate,
    "media_truncated": _truncate,
    "media_slow": _slow,
}
_OF_FILES: Final = ("media_missing", "media_slow", "media_truncated")


def _line(scope: Scope) -> Connection:
    line: Connection = scope.get(LINE) or _NoLine()
    return line


class _NoLine:
    """The caller is in this process, and has no connection that could break: it gets an exception."""

    async def drop(self) -> None:
        raise ConnectionResetError("the connection was reset, as a fault has it")

    async def hang(self) -> None:
        raise TimeoutError("no answer comes, as a fault has it")
