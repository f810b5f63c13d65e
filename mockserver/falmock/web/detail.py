"""One request: its course, input, result, logs, webhook, calls and cost; and forms that steer it."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from falmock.engine.delivery import without_secrets
from falmock.engine.lifecycle import State
from falmock.faults.vocabulary import FAULTS, JOB, FaultError, parse
from falmock.http.listing import in_turns
from falmock.inspection.entries import Attempt, Exchange, JournalFilter
from falmock.inspection.lint import RULES, check
from falmock.inspection.recorded import Transition
from falmock.protocol import bodies
from falmock.protocol.errors import RequestNotFound
from falmock.web import answers, media
from falmock.web.answers import Done, Rejected, form, origin
from falmock.web.live import Page, Regions
from falmock.web.site import badge, pretty
from falmock.web.snippets import snippets
from falmock.web.timeline import draw
from falmock.web.webhooks import WAYS, verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from markupsafe import Markup
    from starlette.requests import Request

    from falmock.engine.rows import Request as Stored
    from falmock.inspection.entries import JournalEntry
    from falmock.web.site import Site

PATH: Final = "/ui/requests/{id}"
CALLS: Final = 100  # exchanges that are shown: the first 20 and the last 80
LONGEST: Final = 32 * 1024  # characters of a JSON text that are shown
# The errors that the form offers, by their heading in the documents.
ENDINGS: Final = {
    group: [kind.name for kind in FAULTS.values() if kind.group == group and JOB in kind.on]
    for group in ("model errors", "platform errors")
}


class RequestPage(Page):
    """The page of one request."""

    path = PATH

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        manual = site.emulator.manual
        self.actions = {
            f"{PATH}/hold": partial(self._steer, manual.hold, "The request is held."),
            f"{PATH}/release": partial(self._steer, manual.release, "The request is released."),
            f"{PATH}/finish": partial(self._steer, manual.finish, "The request ends now."),
            f"{PATH}/fail": self._fail,
        }
        self.parts = {
            f"{PATH}/input.json": self._input,
            f"{PATH}/input/{{label}}": self._file,
            f"{PATH}/calls/{{call}}": self._call,
        }

    async def show(self, request: Request) -> Response:
        found = self._found(request)
        address = f"{origin(request)}{PATH.format(id=found.id)}"
        body = self._site.redact.text(
            self._emulator.payloads.kept_body(found)[:LONGEST].decode(errors="replace")
        )
        return self.page(
            request,
            "request.html",
            title=f"{found.endpoint} {found.id[-8:]}",
            regions=await self.look(request),
            request=found,
            has_model=self._emulator.catalogue.get(found.endpoint) is not None,
            endings=ENDINGS,
            snippets=snippets(
                found.endpoint, body.encode(), origin=origin(request), input_address=f"{address}/input.json"
            ),
        )

    async def look(self, request: Request) -> Regions:
        entries = await self._entries(self._found(request))
        found = self._found(request)  # again: other calls were answered meanwhile
        now = self._emulator.clock.now()
        transitions = [entry for entry in entries if isinstance(entry, Transition)]
        calls = [entry for entry in entries if isinstance(entry, Exchange)]
        attempts = [entry for entry in entries if isinstance(entry, Attempt)]
        delivery = self._emulator.store.delivery(found.id)
        logs = self._emulator.logs(found)
        model = self._emulator.catalogue.get(found.endpoint)
        render = partial(self._site.render, request=found, endings=ENDINGS)
        parts = {
            "clock": self._site.clock(),
            "head": render(
                "request_head.html",
                badge=badge(found),
                position=self._emulator.position(found) if found.state == State.IN_QUEUE else None,
            ),
            "course": render("request_course.html", timeline=draw(found, transitions, now)),
            "facts": render(
                "request_facts.html",
                charge=self._site.ledger.charge(found),
                price=model.entry.price if model else None,
                has_model=model is not None,
            ),
            "input": self._shown_input(found),
            "result": self._shown_result(found),
            "webhook": render(
                "request_webhook.html",
                delivery=delivery,
                ways=WAYS,
                url=found.webhook and self._site.redact.text(without_secrets(found.webhook)),
            ),
            "findings": render(
                "request_findings.html",
                findings=check(entries, catalogue=self._emulator.catalogue, now=now),
                rules=RULES,
            ),
            "calls-left-out": render(
                "request_calls.html", left_out=max(0, len(calls) - CALLS), total=len(calls)
            ),
            "logs-count": render("request_logs.html", total=len(logs)),
        }
        lists = {
            "attempts": {
                f"attempt-{attempt.id}": render(
                    "request_attempt.html", attempt=attempt, verdict=verdict(self._site, attempt, delivery)
                )
                for attempt in attempts
            },
            "logs": {f"log-{n}": self._log_line(n, line) for n, line in enumerate(logs)},
            "calls": {f"call-{call.id}": render("request_call.html", call=call) for call in _few(calls)},
        }
        return Regions(parts, lists, moving=found.state != State.COMPLETED and self._emulator.clock.scale > 0)

    def _found(self, request: Request) -> Stored:
        found = self._emulator.request(str(request.path_params["id"]).lower())
        if found is None:
            raise RequestNotFound
        return found

    async def _entries(self, found: Stored) -> list[JournalEntry]:
        pieces = in_turns(self._site.journal.pieces(JournalFilter(request=found.id)))
        return [entry async for piece in pieces for entry in piece]

    def _log_line(self, number: int, line: dict[str, Any]) -> Markup:
        at = datetime.fromisoformat(line["timestamp"]).replace(tzinfo=UTC).timestamp()
        return self._site.render("request_log.html", number=number, line=line, at=at)

    def _shown_input(self, found: Stored) -> Markup:
        body = self._emulator.payloads.kept_body(found)
        address = f"{PATH.format(id=found.id)}/input/"
        return self._value("input", found, body, found.content_type, address=address)

    def _shown_result(self, found: Stored) -> Markup:
        headers = self._site.redact.headers(
            (name.encode(), str(text).encode()) for name, text in json.loads(found.headers).items()
        )
        return self._value("result", found, self._emulator.output(found), "application/json", headers=headers)

    def _value(
        self,
        name: str,
        found: Stored,
        body: bytes | None,
        content_type: str | None,
        *,
        address: str = "",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Markup:
        value = None if body is None else bodies.load_or_none(body)
        shown = None
        if body is not None:
            shown = self._site.redact.body(body[:LONGEST] if value is None else body, content_type)
        text = "" if shown is None else pretty(shown)
        return self._site.render(
            f"request_{name}.html",
            request=found,
            media=media.find(value, self._emulator, address),
            text=text[:LONGEST],
            cut=len(text) > LONGEST,
            size=None if body is None else len(body),
            headers=headers,
        )

    # Parts that are loaded later

    async def _input(self, request: Request) -> Response:
        """Return the body of the submission as it came, so that it can be sent again."""
        body = self._emulator.payloads.kept_body(self._found(request))
        return _sandboxed(request, body, "application/octet-stream")

    async def _file(self, request: Request) -> Response:
        """Return a file that is a data URI in the input."""
        found = self._found(request)
        value = bodies.load_or_none(self._emulator.payloads.kept_body(found))
        uri = dict(media.texts(value)).get(request.path_params["label"], "")
        content = await asyncio.to_thread(media.decode, uri)
        if content is None:
            raise Rejected(404, "There is no such file in the input.")
        return _sandboxed(request, content[1], content[0])

    async def _call(self, request: Request) -> Response:
        found = self._found(request)
        number = str(request.path_params["call"])
        for entry in await self._entries(found):
            if isinstance(entry, Exchange | Attempt) and str(entry.id) == number:
                if answers.wants_part(request):
                    return answers.html(request, self._site.render("call_body.html", call=entry))
                title = f"Call {entry.id}" if isinstance(entry, Exchange) else f"Attempt {entry.number}"
                return self.page(
                    request, "call.html", title=title, regions=Regions(), call=entry, request=found
                )
        raise Rejected(404, "The journal does not have this call any more.")

    # Forms

    async def _steer(self, act: Callable[[str], Stored], text: str, request: Request) -> Done:
        found = act(self._found(request).id)
        return Done(text, PATH.format(id=found.id))

    async def _fail(self, request: Request) -> Done:
        fault = (await form(request)).get("fault", "")
        found = self._found(request)
        try:
            self._emulator.manual.fail(found.id, parse(fault))
        except FaultError as error:
            raise Rejected(422, f"{error}.") from None
        return Done(f"The request failed with {fault}.", PATH.format(id=found.id))


def _few(calls: list[Exchange]) -> list[Exchange]:
    first = CALLS // 5
    return calls if len(calls) <= CALLS else [*calls[:first], *calls[len(calls) - CALLS + first :]]


def _sandboxed(request: Request, content: bytes, kind: str) -> Response:
    headers = {**answers.headers(request), "content-security-policy": "sandbox; default-src 'none'"}
    return Response(content, headers=headers, media_type=kind)
