"""Injects faults into calls: instead of the answer, or into the answer while it is sent."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from starlette.responses import HTMLResponse

from falmock.engine.files import LARGE_INPUT
from falmock.engine.submission import parse_input
from falmock.faults.effects import Injection
from falmock.faults.triggers import MAGIC_HEADER, faults_in_header, faults_in_input, may_have_triggers
from falmock.faults.vocabulary import Fault, FaultError, MatchContext, platform_error
from falmock.http.context import CONTEXT, CallContext, connection_of
from falmock.protocol import errors
from falmock.protocol.calls import Operation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from falmock.engine.emulator import Emulator
    from falmock.protocol.calls import Call
    from falmock.protocol.errors import Refusal

SUBMITS: Final = frozenset({Operation.SUBMIT, Operation.RUN})
INSPECTED: Final = SUBMITS | {Operation.DOWNLOAD}  # a prompt or a file may ask for faults

BAD_GATEWAY: Final = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    "<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)


class FaultInjector:
    """Injects the faults that rules, headers, prompts and files ask for."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self.rules = emulator.rule_set

    async def __call__(self, host: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call through `host`, with a fault if one applies."""
        context: CallContext = scope[CONTEXT]
        call = context.call
        submits = call.operation in SUBMITS
        header = context.headers.get(MAGIC_HEADER, "")
        body = b""
        if submits:
            body, receive = await _read_body(context, receive, self._emulator.settings.max_body)
            if not (header or may_have_triggers(body) or self.rules.watches(call.operation)):
                await host(scope, receive, send)
                return
        injection = await self._injection(context, scope["path"], body, header)
        if injection is None:
            await host(scope, receive, send)
            return
        self.rules.observed(injection)
        context.fault = injection.fault.name
        effect = _EFFECTS.get(injection.fault.name, _refuse)
        await effect(_Call(injection.fault, host, scope, receive, send))

    async def _injection(self, context: CallContext, path: str, body: bytes, header: str) -> Injection | None:
        """Return the fault for this call; faults for the submitted request are noted in the context."""
        call = context.call
        model_input = cache(lambda: parse_input(body))  # parsed once, if at all
        if len(body) > LARGE_INPUT:  # parsing takes a while
            await asyncio.to_thread(model_input)
        context.model_input = model_input
        most = self._emulator.settings.limits.faults
        try:
            faults = faults_in_header(header, most)
            if may_have_triggers(body):
                faults += faults_in_input(model_input(), most - len(faults))
        except FaultError as error:
            raise errors.PlatformError("bad_request", str(error)) from None
        now = [fault for fault in faults if _affects_call(fault, call.operation)]
        if call.operation in SUBMITS:
            context.later = tuple(fault for fault in faults if fault not in now)
        if now:
            return Injection(now[0])
        if call.operation == Operation.DOWNLOAD and (carried := self._of_file(path)) is not None:
            return carried
        if not self.rules.watches(call.operation, call.request_id):
            return None
        return self.rules.injection(self._match_context(call, model_input))

    def _of_file(self, path: str) -> Injection | None:
        file = self._emulator.files.live(path, self._emulator.clock.now())
        injections = file.injections.items() if file else ()
        return next((injection for name, injection in injections if name in _OF_FILES), None)

    def _match_context(self, call: Call, model_input: Callable[[], Mapping[str, Any]]) -> MatchContext:
        context = partial(MatchContext, call.operation, caller=call.caller, test=call.test)
        request = self._emulator.store.request(call.request_id) if call.request_id else None
        if request is None:
            return context(endpoint=call.endpoint, model_input=model_input)
        return context(
            endpoint=request.endpoint,
            request=request.id,
            model_input=cache(lambda: parse_input(self._emulator.payloads.kept_body(request))),
        )


def _affects_call(fault: Fault, operation: Operation) -> bool:
    """Check whether a fault that a caller asks for affects the call, or the request that it submits.

    Raises:
        PlatformError: it can affect neither.
    """
    if operation in SUBMITS:
        return operation in fault.kind.on
    if operation not in fault.kind.may:
        raise errors.PlatformError("bad_request", f"{fault.name} cannot occur on {operation}")
    return True


async def _read_body(context: CallContext, receive: Receive, limit: int) -> tuple[bytes, Receive]:
    """Read a body up to a limit; return it with a `receive` that returns its messages again."""
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

    body = b"".join(pieces)
    if size <= limit and messages[-1]["type"] == "http.request":
        context.body = body
    return body, again


def refusal(fault: Fault) -> Refusal:
    return _REFUSALS[fault.name](fault.options) if fault.name in _REFUSALS else platform_error(fault)


_REFUSALS: Final[dict[str, Callable[[Mapping[str, Any]], Refusal]]] = {
    "locked": lambda options: errors.UserLocked(options["reason"]),
    "rate_limited": lambda _: errors.RateLimited(),
    "concurrency_limit": lambda options: errors.ConcurrencyLimit(options["limit"]),
    "gateway_timeout": lambda _: errors.GatewayTimeout(),
    "storage_type_refused": lambda _: errors.InvalidStorageType(),
    "media_missing": lambda _: errors.NotFound(),
    "media_expired": lambda _: errors.NotFound(),
}


class _Call(NamedTuple):
    """A call, and the fault of its answer."""

    fault: Fault
    host: ASGIApp
    scope: Scope
    receive: Receive
    send: Send

    async def answer(self, send: Send) -> None:
        """Have the host answer."""
        await self.host(self.scope, self.receive, send)


async def _refuse(call: _Call) -> None:
    refused = refusal(call.fault)
    context: CallContext = call.scope[CONTEXT]
    if context.call.operation is Operation.PLATFORM:
        refused = errors.PlatformRateLimited()
    if context.call.repeats_id(refused.status):
        refused.headers["x-fal-request-id"] = str(context.call.request_id)
    raise refused


async def _bad_gateway(call: _Call) -> None:
    await HTMLResponse(BAD_GATEWAY, 502, {"server": "nginx"})(call.scope, call.receive, call.send)


async def _reset(call: _Call) -> None:
    await connection_of(call.scope).drop()


async def _hang(call: _Call) -> None:
    await connection_of(call.scope).hang()


async def _lose(call: _Call) -> None:
    async def nowhere(_: Message) -> None:
        pass

    await call.answer(nowhere)
    await connection_of(call.scope).drop()


async def _truncate(call: _Call) -> None:
    cut = False

    async def half(message: Message) -> None:
        nonlocal cut
        if cut:
            return
        if body := message.get("body", b""):
            cut = True
            await call.send({**message, "body": body[: len(body) // 2], "more_body": True})
            await connection_of(call.scope).drop()
        else:
            await call.send(message)

    await call.answer(half)


async def _slow(call: _Call) -> None:
    waited = False

    async def slowly(message: Message) -> None:
        nonlocal waited
        body = message.get("body", b"")
        if body and not waited:
            waited = True
            await call.send({**message, "body": body[: len(body) // 2], "more_body": True})
            await asyncio.sleep(call.fault.options["seconds"])
            message = {**message, "body": body[len(body) // 2 :]}
        await call.send(message)

    await call.answer(slowly)


async def _without_cors(call: _Call) -> None:
    call.scope[CONTEXT].no_cors = True  # the guard, which adds the headers, leaves them out
    await call.answer(call.send)


async def _without_reason(call: _Call) -> None:
    connection_of(call.scope).omit_reason()
    await call.answer(call.send)


_EFFECTS: Final[dict[str, Callable[[_Call], Awaitable[None]]]] = {
    "bad_gateway": _bad_gateway,
    "connection_reset": _reset,
    "hang": _hang,
    "answer_lost": _lose,
    "truncated_body": _truncate,
    "media_truncated": _truncate,
    "no_cors": _without_cors,
    "no_reason": _without_reason,
    "media_slow": _slow,
}
_OF_FILES: Final = ("media_missing", "media_slow", "media_truncated")
