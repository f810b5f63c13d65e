"""The newest entries of a journal, packed, within a limit of memory.

An entry is a tuple of bytes objects, which takes half the memory of an object with its fields, and which the
garbage collector does not visit. Equal texts, such as the headers of polls, are kept once.
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter, itemgetter
from sys import getsizeof
from typing import TYPE_CHECKING, Any, Final, overload

from falmock.inspection.entries import Transition
from falmock.inspection.raw_attempt import RawAttempt
from falmock.inspection.received_call import ReceivedCall
from falmock.protocol.calls import Call, Operation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    # Id, size, all fields but the texts, and the texts of a call
    Packed = tuple[int, int, bytes, *tuple[bytes, ...]]

Held = ReceivedCall | Transition | RawAttempt

SHARED: Final = 100  # recent texts that new ones are compared with
LONGEST_SHARED: Final = 2000  # bytes of such a text
_PLACE: Final = 8 + 16 + 2 * getsizeof(1)  # bytes: in the ring, for the garbage collector, id and size
_TEXTS: Final = ("headers", "request_body", "response_headers", "response_body")
_APART: Final = frozenset({"kind", "call", "chunks", *_TEXTS})  # fields that are stored separately
_KINDS: Final[tuple[type[Held], ...]] = (ReceivedCall, Transition, RawAttempt)
_NAMES: Final = {
    ReceivedCall: tuple(each.name for each in fields(ReceivedCall) if each.name not in _APART),
    Transition: tuple(each.name for each in fields(Transition) if each.name != "kind"),
    RawAttempt: tuple(each.name for each in fields(RawAttempt)),
}
_VALUES: Final = {kind: attrgetter(*names) for kind, names in _NAMES.items()}
_texts: Final = attrgetter(*_TEXTS)


class Ring:
    """Entries in the order in which they ended.

    Args:
        limit: bytes of memory; the oldest entries are dropped first.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: deque[Packed] = deque()
        self._size = 0
        self._shared: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def append(self, entry: Held) -> int:
        """Add an entry; return how many were dropped. The input of a call must be digested."""
        kind = type(entry)
        values: tuple[Any, ...] = (_KINDS.index(kind), _VALUES[kind](entry))
        texts: list[bytes] = []
        size = 0
        if isinstance(entry, ReceivedCall):
            host, operation, endpoint, request_id, caller, test, _ = entry.call
            values += (host, operation.value, endpoint, request_id, caller, test)  # an enum takes much longer
            for text in _texts(entry):
                kept = self._shared.get(text) if len(text) <= LONGEST_SHARED else None
                if kept is None:
                    kept = text
                    size += getsizeof(text)
                    self._share(text)
                texts.append(kept)
        packed = pickle.dumps(values, pickle.HIGHEST_PROTOCOL)
        size += getsizeof(packed) + getsizeof(texts) + _PLACE
        self._entries.append((entry.id, size, packed, *texts))
        self._size += size
        before = len(self._entries)
        while self._size > self._limit:
            self._size -= self._entries.popleft()[1]
        return before - len(self._entries)

    def remove(self, ids: Collection[int]) -> None:
        """Remove the entries with these ids."""
        self._entries = deque(each for each in self._entries if each[0] not in ids)
        self._size = sum(map(itemgetter(1), self._entries))

    def read(self, more: Iterable[ReceivedCall]) -> Sequence[Held]:
        """Return the entries and some calls that have not ended, in the order of their ids.

        A part of the sequence is unpacked when it is read.
        """
        return _Unpacked(sorted([*self._entries, *more], key=_id_of))

    def _share(self, text: bytes) -> None:
        if len(text) <= LONGEST_SHARED:
            if len(self._shared) >= SHARED:
                self._shared.clear()
            self._shared[text] = text


class _Unpacked(Sequence[Held]):
    def __init__(self, entries: list[Packed | ReceivedCall]) -> None:
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> Held: ...

    @overload
    def __getitem__(self, index: slice) -> list[Held]: ...

    def __getitem__(self, index: int | slice) -> Held | list[Held]:
        part = self._entries[index]
        return [_unpack(each) for each in part] if isinstance(part, list) else _unpack(part)


def _id_of(entry: Packed | ReceivedCall) -> int:
    return entry.id if isinstance(entry, ReceivedCall) else entry[0]


def _unpack(entry: Packed | ReceivedCall) -> Held:
    if isinstance(entry, ReceivedCall):
        return entry
    _, _, packed, *texts = entry
    number, values, *call = pickle.loads(packed)  # noqa: S301 - from `append`, in this process
    kind = _KINDS[number]
    named = dict(zip(_NAMES[kind], values, strict=True))
    if kind is ReceivedCall:
        host, operation, *others = call
        named |= zip(_TEXTS, texts, strict=True)
        named["call"] = Call(host, Operation(operation), *others)
    unpacked: Held = kind(**named)
    return unpacked
