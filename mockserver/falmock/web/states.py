"""The state of a request in one or two words, and the class of its colour. Pure."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from falmock.engine.lifecycle import State

if TYPE_CHECKING:
    from falmock.engine.rows import Request

CANCELLED = frozenset({"client_cancelled", "client_disconnected"})


class Badge(NamedTuple):
    """The text of a badge, and the class of its colour."""

    text: str
    colour: str


def badge(request: Request) -> Badge:
    if request.state == State.IN_QUEUE:
        return Badge("In queue", "queue")
    if request.state == State.IN_PROGRESS:
        return Badge("In progress", "run")
    status = request.status or 0
    if status < HTTPStatus.BAD_REQUEST:
        return Badge("Completed", "good")
    if request.error_type in CANCELLED or status == 499:  # noqa: PLR2004 - a cancel that the model honoured
        return Badge("Cancelled", "off")
    return Badge(f"Failed {status}", "bad")
