"""The interface of an observer of the engine. `inspection.journal.Journal` implements it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from falmock.catalogue import Catalogue
    from falmock.engine.rows import Request

HOW: Final = "falmock models add FILE, or --unknown-models generic"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One POST of a webhook, or the decision not to send it."""

    request_id: str
    endpoint: str
    caller: str
    test: str | None
    at: float  # emulated time of the start
    took: float  # real seconds
    url: str
    number: int  # 1 for the first attempt
    headers: dict[str, str]
    body: bytes
    status: int | None  # None without a response
    answer_headers: list[tuple[bytes, bytes]]
    answer: bytes  # it may be cut
    error: str | None  # why there is no response
    fault: str | None  # name of the fault that shaped the attempt


class Warned(StrEnum):
    """The kinds of warnings."""

    MODEL = "models"  # an endpoint that is not emulated
    KEY = "keys"  # credentials of a wrong form
    INPUT = "inputs"  # a file that was not fetched
    GUESS = "guesses"  # an endpoint that is not in the catalogue is emulated
    APPROXIMATE = "approximate"  # an input was refused because of facts that are not certain
    UNLISTED = "unlisted"  # an endpoint that fal does not list any more


class Observer(Protocol):
    """Gets every step of a request and every webhook attempt, after the commit, and warnings."""

    def step(self, request: Request, event: str, at: float) -> None:
        """Handle a step: "submit", "hold", "release", or a value of `lifecycle.Event`."""
        ...

    def attempt(self, attempt: Attempt) -> None:
        """Handle an attempt that has ended."""
        ...

    def warn(self, of: Warned, subject: str, text: str) -> None:
        """Warn the user of something that their program may not notice, once for each subject.

        The subject is an endpoint, a form of a key, or a URL. It is masked and may be shortened.
        """
        ...

    def forget(self, *, test: str | None, caller: str | None) -> None:
        """Drop what belongs to a test and a caller; None matches all."""
        ...


def warn_of_model(observer: Observer, catalogue: Catalogue, endpoint: str) -> dict[str, str]:
    """Warn that the catalogue does not have an endpoint; return a header that says what to do."""
    nearest = catalogue.nearest(endpoint)
    hint = f"{'' if nearest is None else f'did you mean {nearest}? '}to add this model: {HOW}"
    observer.warn(Warned.MODEL, endpoint, f"this model is not in the catalogue, so the answer is 404; {hint}")
    return {"x-falmock-hint": hint}
