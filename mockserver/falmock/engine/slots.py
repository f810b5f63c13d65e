"""A limited number of slots, shared fairly between keys."""

from __future__ import annotations

from collections import Counter, deque


class Slots:
    """Items wait for slots. Their keys take turns, and each key has a limit.

    While half of the slots or more are taken, each key gets one slot at most, so that a few keys cannot take
    all of them.

    Args:
        total: number of slots.
        each: number of slots for one key.
    """

    def __init__(self, *, total: int, each: int) -> None:
        self._total = total
        self._each = each
        self._all_taken = 0
        self._taken: Counter[str] = Counter()
        self._waiting: dict[str, deque[str]] = {}  # keys in the order of their turns

    def join(self, key: str, item: str) -> None:
        """Let an item wait for a slot."""
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
        """Free a slot of a key."""
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
