"""Figures about many requests: counts and times, cost and errors."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from falmock.inspection.ledger import billed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from falmock.engine.pages import Pages, Summary

WIDTHS: Final = (
    *(1, 2, 5, 10, 15, 30),
    *(count * 60 for count in (1, 2, 5, 10, 15, 30)),
    *(count * 3600 for count in (1, 2, 3, 6, 12)),
    *(count * 86_400 for count in (1, 2, 7, 14, 28, 91, 182, 364, 3640)),
)  # seconds of a bucket
MOST_BUCKETS: Final = 60
FEWEST_BUCKETS: Final = 30
MOST_REQUESTS: Final = 20_000  # that figures are made of, in a tenth of a second
SORTED_AT_ONCE: Final = 10  # buckets in one step
FAILED: Final = 400  # HTTP status, and above
CANCELLED: Final = 499  # HTTP status
_TYPE: Final = re.compile(rb'"type":\s*"([^"\\]{1,100})"')  # in a text, the quotes have backslashes


@dataclass(slots=True)
class Counts:
    """How many requests succeeded, failed, were cancelled, or are not completed."""

    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    open: int = 0

    def add(self, status: int | None) -> None:
        """Count a request by the HTTP status of its outcome; None before it."""
        if status is None:
            self.open += 1
        elif status < FAILED:
            self.succeeded += 1
        elif status == CANCELLED:
            self.cancelled += 1
        else:
            self.failed += 1

    @property
    def total(self) -> int:
        """The number of all."""
        return self.succeeded + self.failed + self.cancelled + self.open


@dataclass(frozen=True, slots=True)
class Spread:
    """The median and the 90th percentile (`most`) of some times, in seconds."""

    median: float
    most: float

    @classmethod
    def of(cls, spans: list[float]) -> Spread | None:
        """Sort times, and return their spread; None if there are none."""
        if not spans:
            return None
        spans.sort()
        return cls(*(spans[math.ceil(len(spans) * share) - 1] for share in (0.5, 0.9)))


@dataclass(frozen=True, slots=True)
class Bucket:
    """The requests that were submitted within one interval.

    Attributes:
        at: its start, in unix seconds of the emulator's clock.
        queue, run: the times in the queue, and the times running.
    """

    at: int
    counts: Counts
    queue: Spread | None
    run: Spread | None


@dataclass(slots=True)
class Cost:
    """The cost of some requests; `usd` is None if no price is known."""

    requests: int = 0
    usd: float | None = None

    def add(self, other: Cost) -> None:
        """Add the cost of other requests."""
        self.requests += other.requests
        if other.usd is not None:
            self.usd = (self.usd or 0.0) + other.usd


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures about requests.

    Attributes:
        width: of each bucket, in seconds.
        buckets: in order, also those without requests.
        counts, queue, run: see `Bucket`, of all requests.
        models: the cost by endpoint, the highest first.
        tests: the same by test; requests without a test are under None.
        errors: how many requests each type of error ended, the most frequent first.
    """

    width: int
    buckets: Sequence[Bucket]
    counts: Counts
    queue: Spread | None
    run: Spread | None
    usd: float
    models: Sequence[tuple[str, Cost]]
    tests: Sequence[tuple[str | None, Cost]]
    errors: Sequence[tuple[str, int]]


def counting(
    store: Pages,
    price: Callable[[str], float | None],
    *,
    newest: int = MOST_REQUESTS,
    since: float | None = None,
    now: float = 0.0,
) -> Generator[None, None, Figures]:
    """Make the figures in steps of a few ms.

    Args:
        price: returns the US dollars of a unit of an endpoint, or None.
        newest: how many requests count, the newest.
        since: requests submitted earlier do not count; the buckets reach from there to `now`.
    """
    submits = store.submits(newest) if since is None else (since, now)
    tally = _Tally(*(submits or (0.0, 0.0)))
    if submits is not None:
        for summaries in store.summaries(submits[0]):
            for summary in summaries:
                tally.add(summary)
            yield
    buckets = []
    for number in range(len(tally.slots)):
        buckets.append(tally.bucket(number))
        if number % SORTED_AT_ONCE == 0:
            yield
    queue = Spread.of([span for slot in tally.slots for span in slot.queue])
    yield
    run = Spread.of([span for slot in tally.slots for span in slot.run])
    yield
    costs = tally.costs(price)
    return Figures(
        width=tally.width,
        buckets=buckets,
        counts=tally.counts,
        queue=queue,
        run=run,
        usd=sum(cost.usd or 0.0 for cost in costs.values()),
        models=_by(costs, 0),
        tests=_by(costs, 1),
        errors=sorted(tally.errors.items(), key=lambda each: (-each[1], each[0])),
    )


@dataclass(slots=True)
class _Slot:
    """The contents of a bucket while requests are counted."""

    counts: Counts = field(default_factory=Counts)
    queue: list[float] = field(default_factory=list)
    run: list[float] = field(default_factory=list)


class _Tally:
    """Counts requests that were submitted between two times."""

    def __init__(self, first: float, last: float) -> None:
        fits = (width for width in WIDTHS if last - first <= width * (MOST_BUCKETS - 2))
        self.width = next(fits, WIDTHS[-1])
        self.start = math.floor(first / self.width) * self.width
        needed = math.floor((last - self.start) / self.width) + 1
        self.slots = [_Slot() for _ in range(min(max(needed, FEWEST_BUCKETS), MOST_BUCKETS))]
        self.counts = Counts()
        self.errors: Counter[str] = Counter()
        self._requests: Counter[tuple[str, str | None]] = Counter()
        self._units: defaultdict[tuple[str, str | None], float] = defaultdict(float)

    def add(self, summary: Summary) -> None:
        """Count a request."""
        number = int((summary.submitted_at - self.start) // self.width)
        slot = self.slots[min(max(number, 0), len(self.slots) - 1)]
        status, started_at, completed_at = summary.status, summary.started_at, summary.completed_at
        slot.counts.add(status)
        self.counts.add(status)
        if (left_at := completed_at if started_at is None else started_at) is not None:
            slot.queue.append(left_at - summary.submitted_at)
        if started_at is not None and completed_at is not None:
            slot.run.append(completed_at - started_at)
        names = summary.endpoint, summary.test
        self._requests[names] += 1
        if status is not None:
            self._units[names] += billed(summary.headers)
            if status >= FAILED and status != CANCELLED:
                self.errors[_error(summary)] += 1

    def bucket(self, number: int) -> Bucket:
        """Return a bucket."""
        slot, at = self.slots[number], self.start + number * self.width
        return Bucket(at, slot.counts, Spread.of(slot.queue), Spread.of(slot.run))

    def costs(self, price: Callable[[str], float | None]) -> dict[tuple[str, str | None], Cost]:
        """Return the cost by endpoint and test."""
        prices = {endpoint: price(endpoint) for endpoint, _ in self._requests}
        return {
            names: Cost(count, None if (usd := prices[names[0]]) is None else self._units[names] * usd)
            for names, count in self._requests.items()
        }


def _by(costs: Mapping[tuple[Any, ...], Cost], place: int) -> list[tuple[Any, Cost]]:
    """Return the costs by endpoint or by test, the highest first."""
    sums: defaultdict[Any, Cost] = defaultdict(Cost)
    for names, cost in costs.items():
        sums[names[place]].add(cost)
    return sorted(sums.items(), key=lambda each: (-(each[1].usd or 0), -each[1].requests, each[0] or ""))


def _error(summary: Summary) -> str:
    """Return the type of an error, or its HTTP status if it has no type."""
    if summary.error_type is not None:
        return summary.error_type
    found = _TYPE.search(summary.beginning or b"")
    return found[1].decode(errors="replace") if found else f"HTTP {summary.status}"
