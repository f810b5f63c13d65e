"""An attempt at a webhook as it was recorded: parsed and masked only when the journal is read."""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Final

from falmock.engine import observer
from falmock.inspection.received_call import KEPT, OVERHEAD
from falmock.inspection.redaction import compacted
from falmock.protocol.calls import Operation

_NAMES: Final = tuple(field.name for field in fields(observer.Attempt))
_values: Final = attrgetter(*_NAMES)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)  # the fields hold secrets
class RawAttempt(observer.Attempt):
    """See `entries.Attempt` for the fields. The body is shortened; `size` is its number of bytes."""

    id: int
    real: float
    size: int

    @classmethod
    def of(cls, attempt: observer.Attempt, *, id: int, real: float) -> RawAttempt:  # noqa: A002 - of the field
        """Return the record of an attempt that has ended."""
        kept = dict(zip(_NAMES, _values(attempt), strict=True))
        kept["body"] = compacted(attempt.body)[:KEPT]
        return cls(**kept, id=id, real=real, size=len(attempt.body))

    @property
    def operation(self) -> Operation:
        return Operation.WEBHOOK

    @property
    def weight(self) -> int:
        """Bytes that are parsed when the attempt is read."""
        texts = (*self.headers.items(), *self.answer_headers, (self.body, self.answer))
        return 2 * OVERHEAD + sum(len(name) + len(value) for name, value in texts)
