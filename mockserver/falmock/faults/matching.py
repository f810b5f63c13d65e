"""The facts of a request or a call that rules are matched against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from falmock.faults.vocabulary import FILE, JOB, WEBHOOK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OF_A_REQUEST: Final = (JOB, WEBHOOK, FILE)  # faults in these places are chosen when a request is accepted


@dataclass(frozen=True, slots=True)
class MatchContext:
    """A request or call to match rules with.

    Attributes:
        place: as in `vocabulary.PLACES`.
        endpoint: the endpoint, or the application where only that is known.
        caller: the key id.
        test: the test's name.
        request: the request id.
        model_input: returns the input if that is a JSON object, otherwise an empty one.
    """

    place: str
    endpoint: str | None = None
    caller: str | None = None
    test: str | None = None
    request: str | None = None
    model_input: Callable[[], Mapping[str, Any]] = dict
