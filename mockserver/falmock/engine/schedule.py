"""When attempts at webhooks are due, and in which order those that are due are made."""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from typing import TYPE_CHECKING

from falmock.engine.delivery import receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DueAttempt = tuple[float, str, str]  # a time, a request id and a URL


class Slots:
    """Items wait for slots. Their keys take turns, and each key has a limit.

    While half of the slots or more are taken, each key gets one slot at most, so that a few keys cannot take
    all of them.
    """

    def __init__(self, *, total: int, each: int) -> None:
        self._total = total
        self._each = each
        self._all_taken = 0
        self._taken: Counter[str] = Counter()
        self._waiting: dict[str, deque[str]] = {}  # keys in the order of their turns

    def join(self, key: str, item: str) -> None:
        self._waiting.setdefault(key, deque()).append(item)

    def take(self) -> tuple[str, str] | None:
        """Give a slot to the next item; return its key and the item. None if no item may have one now."""
        key = self._next_key()
        if key is None:
            return None
        items = self._waiting.pop(key)
        item = items.popleft()
        if items:
            self._waiting[key] = items  # at the end: the other keys come first
        self._taken[key] += 1
        self._all_taken += 1
        return key, item

    def give_back(self, key: str) -> None:
        self._all_taken -= 1
        self._taken[key] -= 1
        if not self._taken[key]:
            del self._taken[key]

    def clear(self) -> None:
        """Forget the items that wait. Slots that are taken stay taken."""
        self._waiting.clear()

    def _next_key(self) -> str | None:
        if self._all_taken >= self._total:
            return None
        limit = self._each if 2 * self._all_taken < self._total else 1
        return next((key for key in self._waiting if self._taken[key] < limit), None)


class Schedule:
    """When attempts are due. The sender checks whether an attempt is still wanted.

    The keys of the slots are the receivers. `wake` is called when an attempt is due earlier than any other.
    """

    def __init__(self, slots: Slots, wake: Callable[[], None]) -> None:
        self._slots = slots
        self._wake = wake
        self._entries: list[DueAttempt] = []  # a heap

    def replace(self, entries: Iterable[DueAttempt]) -> None:
        """Replace all attempts by others. Attempts in progress keep their slots."""
        self._slots.clear()
        self._entries = list(entries)
        heapq.heapify(self._entries)
        self._wake()

    def add(self, at: float, request_id: str, url: str) -> None:
        earlier = at < self.due()
        heapq.heappush(self._entries, (at, request_id, url))
        if earlier:
            self._wake()

    def due(self) -> float:
        """Return when the next attempt is due, without those that wait for a slot; infinity for never."""
        return self._entries[0][0] if self._entries else math.inf

    def take(self, now: float) -> tuple[str, str] | None:
        """Give a slot to the next attempt that is due; return the receiver and the request id.

        Return None if no attempt is due, or none of those may have a slot now.
        """
        while self._entries and self._entries[0][0] <= now:
            _, request_id, url = heapq.heappop(self._entries)
            self._slots.join(receiver(url), request_id)
        return self._slots.take()
