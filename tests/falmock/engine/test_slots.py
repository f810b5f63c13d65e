from __future__ import annotations

from collections import Counter
from itertools import count
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falmock.engine.schedule import Slots

if TYPE_CHECKING:
    from collections.abc import Iterator


def with_items(slots: Slots, keys: str) -> Slots:
    """Let an item wait for each of the keys."""
    for number, key in enumerate(keys):
        slots.join(key, str(number))
    return slots


def taken(slots: Slots) -> Iterator[tuple[str, str]]:
    """Take slots for as many items as possible."""
    while (slot := slots.take()) is not None:
        yield slot


def keys_of(slots: Iterator[tuple[str, str]]) -> Counter[str]:
    return Counter(key for key, _ in slots)


@pytest.mark.parametrize(("keys", "expected"), [("a" * 2, 2), ("a" * 3, 3), ("a" * 4, 3)])
def test_one_key_gets_no_more_slots_than_its_limit(keys: str, expected: int) -> None:
    slots = with_items(Slots(total=10, each=3), keys)

    assert keys_of(taken(slots)) == {"a": expected}


@pytest.mark.parametrize(("keys", "expected"), [("abc", 3), ("abcd", 4), ("abcde", 4)])
def test_all_keys_together_get_no_more_slots_than_the_total(keys: str, expected: int) -> None:
    slots = with_items(Slots(total=4, each=4), keys)

    assert len(list(taken(slots))) == expected


def test_a_new_key_gets_a_slot_while_other_keys_wait_for_more() -> None:
    slots = Slots(total=8, each=4)
    first = [*taken(with_items(slots, "a" * 20)), *taken(with_items(slots, "b" * 20))]

    assert keys_of(iter(first)) == {"a": 4, "b": 1}
    assert keys_of(taken(with_items(slots, "c"))) == {"c": 1}


def test_waiting_keys_take_turns() -> None:
    slots = Slots(total=1, each=1)
    order = ""
    with_items(slots, "xaaabbc")
    while (slot := slots.take()) is not None:
        order += slot[0]
        slots.give_back(slot[0])

    assert order == "xabcaba"


def test_items_of_a_key_get_slots_in_the_order_in_which_they_came() -> None:
    slots = with_items(Slots(total=9, each=9), "aaa")

    assert [item for _, item in taken(slots)] == ["0", "1", "2"]


def test_forgotten_items_get_no_slot() -> None:
    slots = with_items(Slots(total=2, each=2), "abc")
    slots.take()

    slots.clear()

    assert slots.take() is None
    assert keys_of(taken(with_items(slots, "dd"))) == {"d": 1}


STEPS = st.lists(st.tuples(st.sampled_from(["join", "take", "give back", "clear"]), st.integers(0, 30)))


@given(st.integers(1, 6), st.integers(1, 4), STEPS)
def test_slots_stay_limited_and_every_item_gets_one_in_any_order_of_events(
    total: int, each: int, steps: list[tuple[str, int]]
) -> None:
    slots, numbers = Slots(total=total, each=each), count()
    held: list[str] = []
    waiting: set[str] = set()

    def take() -> bool:
        if (slot := slots.take()) is None:
            return False
        held.append(slot[0])
        waiting.remove(slot[1])
        return True

    for step, number in steps:
        if step == "join":
            item = str(next(numbers))
            waiting.add(item)
            slots.join("abc"[number % 3], item)
        elif step == "take":
            take()
        elif step == "clear":
            slots.clear()
            waiting.clear()
        elif held:
            slots.give_back(held.pop(number % len(held)))
        assert len(held) <= total
        assert all(taken <= each for taken in Counter(held).values())
    while waiting:
        if not take():
            slots.give_back(held.pop())
