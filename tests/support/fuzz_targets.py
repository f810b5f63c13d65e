"""Everything in falmock that reads bytes from outside, as functions from bytes to nothing.

A target returns, or raises an exception that its parser documents. Anything else is a defect.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Final

from falmock.engine.delivery import is_deliverable
from falmock.engine.object_lifecycle import Lifecycle, LifecycleError
from falmock.faults import scenarios, triggers
from falmock.faults.scenarios import ScenarioError
from falmock.faults.vocabulary import FaultError, parse
from falmock.inspection import entries
from falmock.inspection.entries import JournalError
from falmock.inspection.redaction import Redactor
from falmock.media import pixels
from falmock.models.veo import ImageToVideoInput
from falmock.protocol import endpoints, validation
from falmock.protocol.authorities import AuthorityError
from falmock.protocol.errors import Refusal
from falmock.protocol.hosts import NotServedError, locate
from falmock.settings import SettingsError, Span

if TYPE_CHECKING:
    from collections.abc import Callable


def host(data: bytes) -> None:
    """Read a Host header and a path."""
    authority, _, path = _text(data).partition("\n")
    with contextlib.suppress(AuthorityError, NotServedError, Refusal):
        locate({"host": authority}, "http", f"/{path}", own_names=(), own_authority="localhost")


def endpoint(data: bytes) -> None:
    """Read an endpoint id."""
    endpoints.parse(_text(data))


def webhook(data: bytes) -> None:
    """Read a webhook URL."""
    is_deliverable(_text(data))


def body(data: bytes) -> None:
    """Read and validate an input, and write its errors."""
    kind, _, content = data.partition(b"\n")
    try:
        validation.read(ImageToVideoInput, content, _text(kind) or None)
    except Refusal as refusal:
        refusal.content()


def magic(data: bytes) -> None:
    """Read the faults that a prompt asks for."""
    with contextlib.suppress(FaultError):
        triggers.faults_in_input({"prompt": _text(data), "image_url": _text(data)})


def fault(data: bytes) -> None:
    """Read a fault and its options, and write it again."""
    with contextlib.suppress(FaultError):
        read = parse(_text(data))
        assert parse(str(read)) == read


def scenario(data: bytes) -> None:
    """Read a scenario's TOML file."""
    with contextlib.suppress(ScenarioError):
        scenarios.read(_text(data), name="fuzzed", where="the text")


def lifecycle(data: bytes) -> None:
    """Read an object lifecycle header."""
    with contextlib.suppress(LifecycleError):
        Lifecycle.parse(_text(data))


def journal_file(data: bytes) -> None:
    """Read a journal as JSON lines."""
    with contextlib.suppress(JournalError):
        entries.read(_text(data))


def picture(data: bytes) -> None:
    """Decode an input image."""
    with contextlib.suppress(pixels.Broken, pixels.TooLarge, pixels.Unsupported):
        pixels.decode(data, max_pixels=2_000_000)


def span(data: bytes) -> None:
    """Read a duration of the command line."""
    with contextlib.suppress(SettingsError):
        Span.parse(_text(data))


def redacted(data: bytes) -> None:
    """Mask the secrets of a JSON body."""
    with contextlib.suppress(ValueError, RecursionError):
        json.dumps(Redactor().json(json.loads(data)))


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    each.__name__: each
    for each in (
        host,
        endpoint,
        webhook,
        body,
        magic,
        fault,
        scenario,
        lifecycle,
        journal_file,
        picture,
        span,
        redacted,
    )
}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
