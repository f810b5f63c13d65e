"""An attempt at a webhook as it was recorded: parsed and masked only when the journal is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from falmock.inspection.received_call import KEPT, OVERHEAD, join_headers
from falmock.inspection.redaction import compacted
from falmock.protocol.calls import Operation

if TYPE_CHECKING:
    from falmock.engine import observer


@dataclass(frozen=True, slots=True, repr=False)  # the fields hold secrets
class RawAttempt:
    """See `entries.Attempt` for the fields. Headers are as `join_headers` returns them."""

    id: int
    at: float
    real: float
    took: float
    request_id: str
    endpoint: str
    caller: str
    test: str | None
    url: str
    number: int
    headers: bytes
    body: bytes
    size: int
    status: int | None
    answer_headers: bytes
    answer: bytes
    error: str | None
    fault: str | None

    @classmethod
    def of(cls, attempt: observer.Attempt, *, id: int, real: float) -> RawAttempt:  # noqa: A002 - of the field
        """Return the record of an attempt that has ended."""
        headers = [(name.encode(), value.encode()) for name, value in attempt.headers.items()]
        return cls(
            id=id,
            at=attempt.at,
            real=real,
            took=attempt.took,
            request_id=attempt.request_id,
            endpoint=attempt.endpoint,
            caller=attempt.caller,
            test=attempt.test,
            url=attempt.url,
            number=attempt.number,
            headers=join_headers(headers),
            body=compacted(attempt.body)[:KEPT],
            size=len(attempt.body),
            status=attempt.status,
            answer_headers=join_headers(attempt.answer_headers),
            answer=attempt.answer,
            error=attempt.error,
            fault=attempt.fault,
        )

    @property
    def operation(self) -> Operation:
        return Operation.WEBHOOK

    @property
    def weight(self) -> int:
        """Bytes that are parsed when the attempt is read."""
        texts = (self.headers, self.body, self.answer_headers, self.answer)
        return 2 * OVERHEAD + sum(map(len, texts))
