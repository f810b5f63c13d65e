"""The ring of a journal: what it takes of memory, and that entries come out as they went in."""

from __future__ import annotations

import gc
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from falmock.inspection.recorded import ReceivedCall, Ring
from falmock.protocol.calls import Call, Operation

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 2**20


def poll(number: int, answer: bytes) -> ReceivedCall:
    call = Call("queue.fal.run", Operation.STATUS, "fal-ai/veo2", f"request-{number}", "key", None)
    received = ReceivedCall(
        number, 1.5, 0.5, call, "GET", f"/status/{number}", b"logs=1", b"host: a\r\n" * 20
    )
    received.on_response_start(202, b"content-type: application/json\r\n" * 10)
    received.on_response_body(answer)
    return received


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def test_an_entry_is_read_as_it_was_added() -> None:
    ring, added = Ring(LIMIT), poll(1, b"answer")
    ring.append(added)

    assert ring.read(())[0] == added


def test_calls_that_have_not_ended_are_read_in_the_order_of_their_ids() -> None:
    ring = Ring(LIMIT)
    ring.append(poll(1, b""))
    ring.append(poll(3, b""))

    assert [each.id for each in ring.read([poll(2, b"")])[:]] == [1, 2, 3]


def test_an_entry_beyond_the_limit_drops_the_oldest() -> None:
    ring = Ring(LIMIT)
    dropped = sum(ring.append(poll(number, b"%d" % number)) for number in range(5000))

    assert (dropped + len(ring), ring.read(())[0].id) == (5000, dropped)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("size", [10, 500, 3000, 60_000])
def test_a_full_ring_takes_about_the_memory_of_its_limit(size: int) -> None:
    ring = Ring(LIMIT)
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    number = 0
    while not ring.append(poll(number, b"%*d" % (size, number))):
        number += 1
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()

    assert 0.9 * LIMIT < after - before < 1.1 * LIMIT + 100 * 2000  # the shared texts may have been dropped


def test_equal_answers_are_kept_once() -> None:
    different, equal = Ring(LIMIT), Ring(LIMIT)
    for number in range(10_000):
        different.append(poll(number, b"%1000d" % number))
        equal.append(poll(number, b"%1000d" % 7))

    assert len(equal) > 2 * len(different)
