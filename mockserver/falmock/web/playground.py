"""The form of a model: filled from a request, read from a call, and turned into a submission."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException

from falmock.engine.delivery import is_deliverable
from falmock.engine.files import DEFAULT_TYPE
from falmock.engine.queue import LOW, NORMAL
from falmock.engine.submission import Submission
from falmock.faults.triggers import faults_in_header, faults_in_input
from falmock.faults.vocabulary import OF_A_REQUEST, FaultError
from falmock.http.context import CONTEXT, CallContext
from falmock.http.reading import CONTENT_TYPE, FORM, with_files
from falmock.protocol import authorities, bodies
from falmock.protocol.errors import BodyTooLarge, RequestNotFound
from falmock.protocol.hosts import MEDIA, BaseURL
from falmock.web import fields
from falmock.web.answers import Rejected
from falmock.web.fields import MORE, VALUE
from falmock.web.schemas import dump

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.datastructures import FormData
    from starlette.requests import Request

    from falmock.engine.rows import Request as Stored
    from falmock.faults.vocabulary import Fault
    from falmock.protocol.endpoints import Endpoint
    from falmock.web.fields import Field
    from falmock.web.site import Site

CALLER: Final = "page"  # the key id of requests from the form
OPTIONS: Final = ("webhook", "priority", "test", "fault")  # the names of their controls
FILE: Final = "file."  # before the name of a field: the name of the control for its files
LONGEST_TEST: Final = 200  # characters
LONGEST_VALUE: Final = 50_000  # characters of a value in a control; a longer one is taken from its request
LONGEST_SHOWN: Final = 200  # characters of a value that is taken from its request
PIECE: Final = 1024 * 1024  # bytes


@dataclass(slots=True)
class Draft:
    """The contents of a form."""

    texts: dict[str, str] = field(default_factory=dict)  # by the names of controls
    source: Stored | None = None  # the request that it repeats
    kept: dict[str, str] = field(default_factory=dict)  # values of that request, as shown, by their fields
    keeps_webhook: bool = False  # whether it takes the webhook of that request
    note: str = ""  # one sentence for the user
    problems: dict[str, str] = field(default_factory=dict)  # one sentence each, by the names of controls

    def text(self, name: str) -> str:
        return self.texts.get(name, "")

    @property
    def has_options(self) -> bool:
        """Whether an option is set, or wrong."""
        return self.keeps_webhook or any(self.text(name) or name in self.problems for name in OPTIONS)


class Playground:
    """Reads the forms of all models of one emulator."""

    def __init__(self, site: Site) -> None:
        self._emulator = site.emulator
        self._redact = site.redact

    def repeating(self, request_id: str, known: Sequence[Field]) -> Draft:
        """Return a form with the input and the options of a request."""
        source = self._stored(request_id)
        options = {"test": source.test or "", "priority": "low" if source.priority == LOW else ""}
        draft = Draft(options, source, keeps_webhook=source.webhook is not None)
        value = self._input(source)
        if isinstance(value, dict):
            self._fill(draft, value, known)
        elif value is not None and not known:
            draft.texts[MORE] = dump(value, indent=2)
        else:
            draft.note = "The input of that request is no JSON object, or is gone, so the fields are empty."
        return draft

    async def received(self, request: Request, known: Sequence[Field]) -> tuple[Draft, Any]:
        """Return the form in a call, and its input. Its files are then on the CDN."""
        settings = self._emulator.settings
        if not request.headers.get("content-type", "").startswith(FORM):
            raise Rejected(415, f"The form is sent as {FORM}.")
        most = settings.max_upload + settings.max_body
        try:
            async with with_files(request, most=most, longest=settings.max_body) as form:
                pairs = ((name, text) for name, text in form.items() if isinstance(text, str))
                draft = Draft({name: text.replace("\r\n", "\n") for name, text in pairs})
                names = [name for name in form.getlist("keep") if isinstance(name, str)]
                await self._upload(request, form, known, draft)
        except MultiPartException as error:
            raise Rejected(400, f"The form cannot be read: {error.message}") from None
        except BodyTooLarge:
            raise Rejected(413, "The form has more bytes than an upload may have.") from None
        value: Any = None
        if source := draft.text("request"):
            draft.source = self._stored(source)
            draft.keeps_webhook = "keep_webhook" in draft.texts
            value = self._input(draft.source)
        kept = {name: value[name] for name in names if isinstance(value, dict) and name in value}
        draft.kept = {name: self._masked(name, each)[1] for name, each in kept.items()}
        composed, draft.problems = fields.compose(known, draft.texts, kept)
        return draft, composed

    async def submission(self, request: Request, endpoint: Endpoint, draft: Draft, value: Any) -> Submission:
        """Return the submission of a form, and add the problems of its options to the draft."""
        problems = draft.problems
        body = dump(value).encode()
        if len(body) > self._emulator.settings.max_body:
            problems[MORE] = f"The input has more than {self._emulator.settings.max_body} bytes."
        test = draft.text("test").strip() or None
        if test is not None and len(test) > LONGEST_TEST:
            problems["test"] = f"The name of a test has at most {LONGEST_TEST} characters."
        return Submission(
            endpoint=endpoint,
            caller=CALLER,
            origin=str(self._base_url(request)),
            method="POST",
            content_type="application/json",
            body=body,
            test=test,
            webhook=await self._webhook(draft),
            priority=LOW if draft.text("priority") == "low" else NORMAL,
            faults=self._faults(draft, value),
        )

    # Values of a request

    def _stored(self, request_id: str) -> Stored:
        found = self._emulator.request(request_id.lower())
        if found is None:
            raise RequestNotFound
        return found

    def _input(self, source: Stored) -> Any:
        """Return the input of a request; None if it is gone or not JSON."""
        return bodies.load_or_none(self._emulator.payloads.kept_body(source))

    def _fill(self, draft: Draft, value: dict[str, Any], known: Sequence[Field]) -> None:
        by_name = {each.name: each for each in known}
        rest = {}
        for name, each in value.items():
            as_it_is, shown = self._masked(name, each)
            if not as_it_is or len(dump(each)) > LONGEST_VALUE:
                draft.kept[name] = shown
            elif name in by_name and (texts := fields.show(by_name[name], each)) is not None:
                draft.texts |= texts
            else:
                rest[name] = each
        if rest:
            draft.texts[MORE] = dump(rest, indent=2)

    def _masked(self, name: str, value: Any) -> tuple[bool, str]:
        """Return whether a page shows a value unchanged, and the start of the text that it shows."""
        masked = self._redact.json({name: value})
        shown = next(iter(masked.values()))
        text = shown if isinstance(shown, str) else dump(shown)
        return masked == {name: value}, text[:LONGEST_SHOWN]

    # Files

    async def _upload(self, request: Request, form: FormData, known: Sequence[Field], draft: Draft) -> None:
        """Put the files of a form on the CDN, and their URLs into its texts."""
        for each in known:
            files = [
                file
                for file in form.getlist(f"{FILE}{each.name}")
                if isinstance(file, UploadFile) and (file.filename or file.size)
            ]
            if each.control in {"file", "files"} and files:
                urls = [await self._publish(request, file) for file in files]
                if each.control == "files":
                    urls = [*draft.text(f"{VALUE}{each.name}").splitlines(), *urls]
                draft.texts[f"{VALUE}{each.name}"] = "\n".join(urls)

    async def _publish(self, request: Request, file: UploadFile) -> str:
        uploads = self._emulator.uploads
        kind = file.content_type or ""
        upload = uploads.announce(
            name=file.filename or "file",
            content_type=kind if re.fullmatch(CONTENT_TYPE, kind) else DEFAULT_TYPE,
            owner=CALLER,
            lifecycle=None,
        )
        uploads.publish(upload, await uploads.receive(_pieces(file)))
        return self._base_url(request).url(MEDIA, upload.path)

    def _base_url(self, request: Request) -> BaseURL:
        """Return the base URL, as for a submit to the emulator's own address."""
        context: CallContext = request.scope[CONTEXT]
        public = self._emulator.settings.public_url
        if public is None:
            return BaseURL("bare", request.scope["scheme"], str(context.authority))
        url = authorities.parse_url(public)
        return BaseURL("bare", url.scheme, str(url.authority))

    # Options

    async def _webhook(self, draft: Draft) -> str | None:
        url = draft.text("webhook").strip()
        if not url:
            return draft.source.webhook if draft.source is not None and draft.keeps_webhook else None
        if not is_deliverable(url):
            draft.problems["webhook"] = "This is no address that begins with http:// or https://."
        elif (why := await self._emulator.dialler.objection(url)) is not None:
            draft.problems["webhook"] = f"A webhook cannot be sent there: {why}."
        return url

    def _faults(self, draft: Draft, value: Any) -> tuple[Fault, ...]:
        """Return the faults that the option and the texts of the input ask for."""
        most = self._emulator.settings.limits.faults
        try:
            faults = faults_in_header(draft.text("fault"), most)
            faults += faults_in_input(value if isinstance(value, dict) else {}, most - len(faults))
        except FaultError as error:
            draft.problems["fault"] = f"{error}."
            return ()
        for fault in faults:
            if not set(OF_A_REQUEST) & set(fault.kind.on):
                draft.problems["fault"] = f"{fault.name} is a fault of calls, and the page makes none."
        return tuple(faults)


async def _pieces(file: UploadFile) -> AsyncIterator[bytes]:
    while piece := await file.read(PIECE):
        yield piece
