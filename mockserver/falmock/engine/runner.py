"""The runner: turns a request into an outcome.

fal's runners are FastAPI applications (PROTOCOL.md 13). Their responses to a wrong path, method, content type
or body are FastAPI's, and this module makes them with the same pydantic.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
import math
import random
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import unquote_to_bytes

from falmock.engine.files import decide, new_path
from falmock.engine.ids import rng
from falmock.engine.observer import Warned, warn_of_model
from falmock.faults import effects
from falmock.media import (
    MAX_BYTES,
    Decoder,
    Fetcher,
    FetchError,
    Measurer,
    Picture,
    Recording,
    Renderer,
    RenderFailed,
)
from falmock.protocol import pydantic_1, validation
from falmock.protocol.errors import InvalidBody, Refusal, StorageFull, compact
from falmock.protocol.hosts import MEDIA, BaseURL
from falmock.protocol.model_errors import ModelError
from falmock.protocol.outcomes import REJECTION, UNBILLED, Outcome
from falmock.system import transient
from falmock.system.descriptors import with_descriptors

if TYPE_CHECKING:
    from pydantic import BaseModel

    from falmock.catalogue import Catalogue, Entry, Model
    from falmock.engine.clock import Clock
    from falmock.engine.files import Files
    from falmock.engine.observer import Observer
    from falmock.engine.rows import Request, StoredFile
    from falmock.media import Specification
    from falmock.settings import Settings

log = logging.getLogger("falmock.engine.runner")

Loc = tuple[str | int, ...]
NOT_FETCHED: Final = (
    "because it is on another machine: the output does not show it. Use an upload, a data URI, or --fetch"
)
SHORT: Final = 64 * 1024  # characters of a data URI; decoding it here is faster than in a thread
EXACT: Final = "To emulate it exactly: falmock models add FILE"
UNCERTAIN: Final = {"types": "the types of an npm package", "guess": "a guess"}


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """A request with its model and validated input."""

    model: Model
    model_input: BaseModel


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs models, with the tools to read input files and to make media."""

    settings: Settings
    catalogue: Catalogue
    files: Files
    clock: Clock
    seed: int
    observer: Observer
    renderer: Renderer
    decoder: Decoder
    measurer: Measurer
    fetcher: Fetcher

    def prepare(self, request: Request, body: bytes) -> Outcome | PreparedRun:
        """Find the model and validate its input."""
        model = self.catalogue.get(request.endpoint)
        if model is None:
            hint = warn_of_model(self.observer, self.catalogue, request.endpoint)
            refused = Outcome.refused(HTTPStatus.NOT_FOUND, f"Path /{request.path} not found")
            return replace(refused, headers={**refused.headers, **hint})
        self._warn_of(model.entry)
        if request.method != "POST":
            return Outcome(
                HTTPStatus.METHOD_NOT_ALLOWED,
                compact({"detail": "Method Not Allowed"}),
                {"allow": "POST"},
                seconds=REJECTION,
            )
        try:
            limits = self.settings.limits
            return PreparedRun(model, validation.read(model.input, body, request.content_type, limits))
        except Refusal as refusal:
            if isinstance(refusal, InvalidBody) and (
                model.entry.validation == 1 or "pydantic_1" in request.injections
            ):
                refusal.body["detail"] = pydantic_1.rewrite(refusal.body["detail"], body)
            if isinstance(refusal, InvalidBody) and (known_from := UNCERTAIN.get(model.entry.certainty)):
                self.observer.warn(
                    Warned.APPROXIMATE,
                    model.endpoint,
                    f"an input was refused with 422, but this model is known only from {known_from}: "
                    f"fal may accept it. Exact: falmock models pull {model.endpoint}",
                )
            return Outcome(refusal.status, refusal.content(), UNBILLED, seconds=REJECTION)

    def _warn_of(self, entry: Entry) -> None:
        if entry.retired is not None:
            text = f"fal has not listed this model since {entry.retired}; it may be gone there"
            self.observer.warn(Warned.UNLISTED, entry.endpoint, text)
        if entry.certainty == "guess":
            made = f"any input is accepted, and the output is a guess: {entry.medium}"
            self.observer.warn(
                Warned.GUESS, entry.endpoint, f"this model is not in the catalogue; {made}. {EXACT}"
            )

    async def perform(self, assignment: PreparedRun, request: Request) -> Outcome:
        """Run the model; return its outcome.

        Raises:
            OSError, RenderFailed, sqlite3.OperationalError: a resource such as disk space is missing (see
                `transient`); the caller repeats the run.
        """
        model = assignment.model
        try:
            done = await model.perform(model.entry, assignment.model_input, _Tools(self, assignment, request))
        except ModelError as error:
            return Outcome(error.status, compact(error.body), UNBILLED, seconds=error.seconds)
        except (RenderFailed, StorageFull) as error:
            if transient.reason(error) is not None:
                raise
            log.error("request %s: rendering failed: %s", request.id, error)  # noqa: TRY400 - one line
            failure = ModelError("internal_server_error", ("body",))
            return Outcome(failure.status, compact(failure.body), UNBILLED)
        except Exception as error:
            if transient.reason(error) is not None:
                raise
            log.exception("request %s: the model failed; this is a bug in falmock", request.id)
            return Outcome(HTTPStatus.INTERNAL_SERVER_ERROR, compact({"detail": "Internal Server Error"}))
        headers = _price_headers(model, model.units(assignment.model_input, done.made), request.run_seconds)
        return Outcome(HTTPStatus.OK, compact(effects.result(request.injections, done.output)), headers)


@dataclass(frozen=True, slots=True)
class Published:
    """A file on the CDN."""

    url: str
    file_size: int


def _price_headers(model: Model, units: float | None, run_seconds: float) -> dict[str, str]:
    """Return the headers of a result about its price: units or, for a model billed by time, seconds."""
    price = model.entry.price
    if price is not None and price.is_by_time and math.isfinite(run_seconds):
        return {"x-fal-raw-time": str(run_seconds)}
    return {} if units is None else {"x-fal-billable-units": str(units)}


class _Tools:
    """Implements `catalogue.sources.Tools` for one request."""

    def __init__(self, runner: Runner, assignment: PreparedRun, request: Request) -> None:
        self._runner = runner
        self._request = request
        seeded = compact([runner.seed, assignment.model_input.model_dump()])
        self.seed = int.from_bytes(hashlib.sha256(seeded).digest()[:8])
        self.random = random.Random(self.seed)  # noqa: S311 - no secrets
        self.style = runner.settings.media

    async def picture(self, url: str, *, loc: Loc) -> Picture | None:
        data = await self._fetch(url, loc, "image_load_error", MAX_BYTES)
        return None if data is None else await self._runner.decoder.picture(data, loc=loc, value=url)

    async def recording(self, url: str, *, loc: Loc, medium: Literal["video", "audio"]) -> Recording | None:
        measurer = self._runner.measurer
        data = await self._fetch(url, loc, f"unsupported_{medium}_format", measurer.max_bytes)
        return None if data is None else await measurer.measure(data, medium, loc=loc, value=url)

    async def _fetch(self, url: str, loc: Loc, unreadable: str, limit: int) -> bytes | None:
        """Return an input file, or None if it is not fetched. `unreadable`: the error of a bad data URI."""
        observer = self._runner.observer
        try:
            data = await with_descriptors(lambda: self._data(url.strip(), limit))
        except (FetchError, OSError) as error:
            name = _field(loc)
            why = f"this {name} could not be fetched ({error}), so its requests fail: file_download_error"
            observer.warn(Warned.INPUT, url, why)
            raise ModelError("file_download_error", loc, url) from None
        except (binascii.Error, UnicodeEncodeError):
            raise ModelError(unreadable, loc, url) from None
        if data is None:
            observer.warn(Warned.INPUT, url, f"this {_field(loc)} was not fetched, {NOT_FETCHED}")
        return data

    async def _data(self, url: str, limit: int) -> bytes | None:
        if url[:5].lower() == "data:":
            if len(url) <= SHORT:
                return _decode_data_uri(url)
            return await asyncio.to_thread(_decode_data_uri, url)
        if (file := self._runner.files.find(url, self._runner.clock.now())) is not None:
            return await self._file(file, limit)
        return await self._runner.fetcher.get(url, limit=limit)

    async def _file(self, file: StoredFile, limit: int) -> bytes:
        """Return the bytes of a file of this emulator, if its access list allows the caller."""
        if (decision := decide(file, self._request.caller)) != "allow":
            raise FetchError(f"its access list says {decision} to {self._request.caller}")
        source = self._runner.files.open(file)
        if source is None:
            raise FetchError("it is not on disk")
        with source:
            return await asyncio.to_thread(source.read, limit + 1)

    async def inline(self, spec: Specification) -> str:
        async with self._runner.renderer.hold(spec) as rendered:
            data = await with_descriptors(lambda: asyncio.to_thread(rendered.read_bytes))
        return f"data:{spec.content_type};base64,{base64.b64encode(data).decode()}"

    async def publish(self, spec: Specification, *, name: str) -> Published:
        runner, request = self._runner, self._request
        rendered = await runner.renderer.render(spec)
        now = runner.clock.now()
        file = runner.files.publish(
            rendered,
            new_path(rng(runner.seed, request.seq, request.attempts, name), name, now),
            content_type=spec.content_type,
            owner=request.caller,
            lifecycle=request.lifecycle,
            now=now,
            faults=request.faults,
            request_id=request.id,
        )
        url = BaseURL.parse(request.origin).url(MEDIA, file.path)
        return Published(url, file.size)


def _field(loc: Loc) -> str:
    """Return the name of an input field, such as `image_urls.0`."""
    return ".".join(map(str, loc[1:]))


def _decode_data_uri(uri: str) -> bytes:
    """Return the bytes of a data URI as Python's urllib does, with `;base64` in any case (PROTOCOL.md 8.5).

    In base64, characters of another alphabet are skipped, such as line breaks, and the padding must be there.

    Raises:
        binascii.Error: invalid base64.
        UnicodeEncodeError: it contains half of a surrogate pair.
    """
    head, comma, data = uri.partition(",")
    if not comma:
        raise binascii.Error("no comma")
    raw = unquote_to_bytes(data)
    return base64.decodebytes(raw) if head.lower().endswith(";base64") else raw
