"""A semaphore with a limit for each key, fair between keys."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Slots:
    """A semaphore with a limit for each key.

    Waiting keys take turns. While half of the slots or more are taken, each key gets one slot at most, so
    that a few keys cannot take all of them.

    Args:
        total: number of slots.
        each: number of slots for one key.
    """

    def __init__(self, *, total: int, each: int) -> None:
        self._total = total
        self._each = each
        self._all_taken = 0
        self._taken: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # keys in the order of their turns

    @asynccontextmanager
    async def slot(self, key: str) -> AsyncIterator[None]:
        """Wait for a slot, and keep it for the length of a block."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(turn)
        self._grant()
        try:
            await turn
            yield
        finally:
            if turn.cancelled() or not turn.done():
                self._leave(key, turn)
            else:
                self._give_back(key)
            self._grant()

    def _grant(self) -> None:
        while (key := self._next_key()) is not None:
            turns = self._waiting.pop(key)
            turn = turns.popleft()
            if turns:
                self._waiting[key] = turns  # at the end: the other keys come first now
            if not turn.done():
                turn.set_result(None)
                self._taken[key] += 1
                self._all_taken += 1

    def _next_key(self) -> str | None:
        if self._all_taken >= self._total:
            return None
        limit = self._each if 2 * self._all_taken < self._total else 1
        return next((key for key in self._waiting if self._taken[key] < limit), None)

    def _give_back(self, key: str) -> None:
        self._all_taken -= 1
        self._taken[key] -= 1
        if not self._taken[key]:
            del self._taken[key]

    def _leave(self, key: str, turn: asyncio.Future[None]) -> None:
        turns = self._waiting.get(key)
        if turns is not None and turn in turns:
            turns.remove(turn)
            if not turns:
                del self._waiting[key]
