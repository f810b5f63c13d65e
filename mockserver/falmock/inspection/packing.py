"""Entries of a journal, each as one bytes object.

That takes half the memory of an object with its fields, and the garbage collector does not visit it.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, overload

from falmock.inspection.entries import Transition
from falmock.inspection.raw_attempt import RawAttempt
from falmock.inspection.received_call import ReceivedCall
from falmock.protocol.calls import Call, Operation

if TYPE_CHECKING:
    from collections.abc import Iterable

Held = ReceivedCall | Transition | RawAttempt

_ID: Final = 8  # bytes of the id, at the beginning
_PLACE: Final = 8  # bytes of memory of a place in a list
_KINDS: Final[tuple[type[Held], ...]] = (ReceivedCall, Transition, RawAttempt)
_APART: Final = frozenset({"kind", "call", "chunks"})  # fields that are not packed as they are
_NAMES: Final = {
    kind: tuple(each.name for each in fields(kind) if each.name not in _APART) for kind in _KINDS
}
_VALUES: Final = {kind: attrgetter(*names) for kind, names in _NAMES.items()}


def pack(entry: Held) -> bytes:
    """Return what `unpack` reads. The input of a call must be digested."""
    kind = type(entry)
    values: tuple[Any, ...] = (_KINDS.index(kind), _VALUES[kind](entry))
    if isinstance(entry, ReceivedCall):
        host, operation, endpoint, request_id, caller, test, _ = entry.call
        values += (host, operation.value, endpoint, request_id, caller, test)  # an enum takes much longer
    return entry.id.to_bytes(_ID) + pickle.dumps(values, pickle.HIGHEST_PROTOCOL)


def unpack(packed: bytes) -> Held:
    number, values, *call = pickle.loads(packed[_ID:])  # noqa: S301 - from `pack`, in this process
    kind = _KINDS[number]
    named = dict(zip(_NAMES[kind], values, strict=True))
    if kind is ReceivedCall:
        host, operation, *others = call
        named["call"] = Call(host, Operation(operation), *others)
    entry: Held = kind(**named)
    return entry


def size_of(packed: bytes) -> int:
    """Return the bytes of memory that an entry takes."""
    return sys.getsizeof(packed) + _PLACE


def id_of(entry: bytes | ReceivedCall) -> int:
    return int.from_bytes(entry[:_ID]) if isinstance(entry, bytes) else entry.id


class Unpacked(Sequence[Held]):
    """Entries in the order of their ids; a part is unpacked when it is read.

    Args:
        entries: packed, or calls that have not ended.
    """

    def __init__(self, entries: Iterable[bytes | ReceivedCall]) -> None:
        self._entries = sorted(entries, key=id_of)

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> Held: ...

    @overload
    def __getitem__(self, index: slice) -> list[Held]: ...

    def __getitem__(self, index: int | slice) -> Held | list[Held]:
        part = self._entries[index]
        return [_unpacked(each) for each in part] if isinstance(part, list) else _unpacked(part)


def _unpacked(entry: bytes | ReceivedCall) -> Held:
    return unpack(entry) if isinstance(entry, bytes) else entry
