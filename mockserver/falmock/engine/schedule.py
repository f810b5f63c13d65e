"""The times of the next attempts at webhooks, and the order in which those that are due are made."""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING

from falmock.engine.delivery import receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from falmock.engine.slots import Slots

DueAttempt = tuple[float, str, str]  # a time, a request id and a URL


class Schedule:
    """When attempts are due. The sender checks whether an attempt is still wanted.

    Args:
        slots: for the attempts in progress; their key is the receiver.
        wake: called when an attempt is due earlier than any other.
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

    def give_back(self, receiver: str) -> None:
        """Free a slot of a receiver."""
        self._slots.give_back(receiver)
