"""Selects requests by state, names and text, as an SQL condition, so that an open page costs little."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from falmock.engine.lifecycle import State

_ENDPOINT: Final = "iif(path = '', application, application || '/' || path)"
_NAMES: Final = ("id", _ENDPOINT, "caller", "test", "error_type")
_INPUT: Final = "(SELECT data FROM payloads WHERE request_id = requests.id AND kind = 'input')"


class Condition(StrEnum):
    """The state of a request, or a state with its outcome."""

    IN_QUEUE = "in_queue"
    IN_PROGRESS = "in_progress"
    HELD = "held"
    COMPLETED = "completed"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


_CONDITIONS: Final = {
    Condition.IN_QUEUE: f"state = '{State.IN_QUEUE}'",
    Condition.IN_PROGRESS: f"state = '{State.IN_PROGRESS}'",
    Condition.HELD: f"state != '{State.COMPLETED}' AND held",
    Condition.COMPLETED: f"state = '{State.COMPLETED}'",
    Condition.SUCCEEDED: "status < 400",
    Condition.FAILED: "status >= 400",
}


@dataclass(frozen=True, slots=True)
class Selection:
    """Selects the requests that match all given fields.

    Attributes:
        endpoint: a pattern, in which `*` matches any text.
        caller: a key id.
        text: part of the id, the endpoint, the caller, the test, the error type or the input, in any case.
            Inputs that are kept in files are not searched.
    """

    condition: Condition | None = None
    endpoint: str | None = None
    caller: str | None = None
    test: str | None = None
    text: str | None = None

    def sql(self) -> tuple[str, list[Any]]:
        """Return the condition for a row of `requests`, and its parameters."""
        terms, parameters = ["true"], list[Any]()
        if self.condition is not None:
            terms.append(_CONDITIONS[self.condition])
        for column, value in (("caller", self.caller), ("test", self.test)):
            if value is not None:
                terms.append(f"{column} = ?")
                parameters.append(value)
        if self.endpoint is not None:
            terms.append(f"{_ENDPOINT} GLOB ?")
            parameters.append(self.endpoint)
        if self.text is not None:
            escaped = json.dumps(self.text)[1:-1]  # the input is JSON, with or without escapes
            terms.append(
                f"({' OR '.join(f'instr(lower({column}), ?)' for column in _NAMES)}"
                f" OR instr(lower(CAST({_INPUT} AS TEXT)), ?) OR instr(lower(CAST({_INPUT} AS TEXT)), ?))"
            )
            needle = _lower(self.text)
            parameters += [needle] * (len(_NAMES) + 1) + [_lower(escaped)]
        return " AND ".join(terms), parameters


def _lower(text: str) -> str:
    """Return a text with the letters A to Z in lower case, as SQLite's `lower` does."""
    return text.encode(errors="replace").lower().decode()
