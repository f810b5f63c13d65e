"""Handles, and the base classes of the exceptions.

They share a module because they refer to each other: exceptions carry handles, parsing a handle raises.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

from falqueue._types import Json, as_json, origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from falqueue._types import TypedRequest

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

REQUEST_ID: Final = re.compile(r"(?!\.+$)[A-Za-z0-9._~-]+")
ENDPOINT: Final = re.compile(r"[\w.~|-]+(/[\w.~|-]+)+", re.ASCII)


@dataclass(frozen=True, slots=True)
class FieldError:
    """An entry of fal's `detail` list (PROTOCOL.md 14.1, 14.2).

    `input` is the rejected value. fal echoes whole inputs, images included, so the text leaves it out.

    >>> str(FieldError(("body", "duration"), "Input should be '5s'", "literal_error"))
    "duration: Input should be '5s' [literal_error]"
    """

    loc: tuple[str | int, ...]
    message: str
    type: str
    input: Any = field(default=None, repr=False)
    context: Any = field(default=None, repr=False)

    def __str__(self) -> str:
        place = ".".join(map(str, self.loc[1:] if self.loc[:1] == ("body",) else self.loc))
        return f"{place or 'input'}: {self.message} [{self.type}]"


class FalqueueError(Exception):
    """Base class of all exceptions of this package.

    `handle` is the job concerned, if there is one; `errors` are fal's objections to fields of the input.
    """

    def __init__(
        self,
        message: str,
        *,
        handle: Handle[Any] | None = None,
        request_id: str | None = None,
        errors: Iterable[FieldError] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.handle = handle
        self.errors = tuple(errors)
        self._request_id = request_id

    @property
    def request_id(self) -> str | None:
        """fal's id of the request, if known."""
        return self.handle.request_id if self.handle else self._request_id

    def __str__(self) -> str:
        return f"{self.message} (request {self.request_id})" if self.request_id else self.message


class UsageError(FalqueueError, ValueError):
    """The call is wrong. Nothing was sent."""


class InvalidHandle(UsageError):
    """Not the text of a handle, or a handle of a service that this client does not talk to."""


@dataclass(frozen=True, slots=True)
class Handle(Generic[T_co]):
    """A job in fal's queue. Keep it: any process can fetch the output with it, without paying again.

    `str(handle)` is one line without the key; `Handle.from_text` parses it.

    >>> line = "https://queue.fal.run/fal-ai/veo2/requests/019e-4b3e#fal-ai/veo2/image-to-video"
    >>> handle = Handle.from_text(line)
    >>> handle.request_id, handle.endpoint, str(handle) == line
    ('019e-4b3e', 'fal-ai/veo2/image-to-video', True)
    """

    endpoint: str
    request_id: str
    url: str
    output: Callable[[Json], T_co] = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.url}#{self.endpoint}"

    @overload
    @classmethod
    def from_text(cls, text: str) -> Handle[Json]: ...
    @overload
    @classmethod
    def from_text(cls, text: str, model: type[TypedRequest[T]]) -> Handle[T]: ...
    @classmethod
    def from_text(cls, text: str, model: type[TypedRequest[Any]] | None = None) -> Handle[Any]:
        """Parse `str(handle)`. With `model`, `result` returns that model's output type.

        Raises:
            InvalidHandle: not the text of a handle, or a handle of another model.
        """
        url, _, endpoint = text.strip().partition("#")
        request_id = url.rpartition("/requests/")[2]
        if origin(url) is None or not REQUEST_ID.fullmatch(request_id) or not ENDPOINT.fullmatch(endpoint):
            raise InvalidHandle(
                "not a handle; a handle looks like https://queue.fal.run/owner/app/requests/ID#owner/app"
            )
        if model is not None and model.endpoint != endpoint:
            raise InvalidHandle(f"a handle of {endpoint}, not of {model.endpoint}")
        return Handle(endpoint, request_id, url, model.output if model else as_json)
