from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falmock.engine.slots import Slots


class Crowd:
    """Tasks that each take a slot and keep it until they are released."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.inside: list[tuple[str, int]] = []
        self.order: list[str] = []
        self.leave: dict[tuple[str, int], asyncio.Event] = {}
        self.tasks: dict[tuple[str, int], asyncio.Task[None]] = {}

    def come(self, key: str) -> None:
        who = key, len(self.tasks)
        self.leave[who] = asyncio.Event()
        self.tasks[who] = asyncio.create_task(self.stay(who))

    async def stay(self, who: tuple[str, int]) -> None:
        async with self.slots.slot(who[0]):
            self.inside.append(who)
            self.order.append(who[0])
            try:
                await self.leave[who].wait()
            finally:
                self.inside.remove(who)

    def taken(self) -> Counter[str]:
        return Counter(key for key, _ in self.inside)


async def calm() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def crowd(slots: Slots, keys: str) -> Crowd:
    people = Crowd(slots)
    for key in keys:
        people.come(key)
    await calm()
    return people


async def empty(people: Crowd) -> None:
    for task in people.tasks.values():
        task.cancel()
    await asyncio.gather(*people.tasks.values(), return_exceptions=True)


@pytest.mark.parametrize(("asked", "taken"), [("a" * 2, 2), ("a" * 3, 3), ("a" * 4, 3)])
def test_a_key_gets_no_more_than_its_own_slots(asked: str, taken: int) -> None:
    async def scene() -> None:
        people = await crowd(Slots(total=10, each=3), asked)
        assert people.taken() == {"a": taken}
        await empty(people)

    asyncio.run(scene())


@pytest.mark.parametrize(("asked", "taken"), [("abc", 3), ("abcd", 4), ("abcde", 4)])
def test_all_keys_together_get_no_more_than_the_total(asked: str, taken: int) -> None:
    async def scene() -> None:
        people = await crowd(Slots(total=4, each=4), asked)
        assert len(people.inside) == taken
        await empty(people)

    asyncio.run(scene())


def test_a_few_keys_cannot_take_the_slots_of_a_new_one() -> None:
    async def scene() -> None:
        people = await crowd(Slots(total=8, each=4), "a" * 20 + "b" * 20 + "c")
        assert people.taken() == {"a": 4, "b": 1, "c": 1}
        await empty(people)

    asyncio.run(scene())


def test_keys_that_wait_take_turns() -> None:
    async def scene() -> None:
        people = await crowd(Slots(total=1, each=1), "x" + "aaabbc")
        while people.inside:
            people.leave[people.inside[0]].set()
            await calm()
        assert "".join(people.order) == "xabcaba"

    asyncio.run(scene())


STEPS = st.lists(
    st.tuples(st.sampled_from(["come", "leave", "cancel", "calm"]), st.integers(0, 30)), max_size=60
)


@given(st.integers(1, 6), st.integers(1, 4), STEPS)
def test_slots_are_limited_and_come_back_whatever_happens(
    total: int, each: int, steps: list[tuple[str, int]]
) -> None:
    async def scene() -> None:
        people = Crowd(Slots(total=total, each=each))
        for step, number in steps:
            known = list(people.tasks)
            if step == "come":
                people.come("abc"[number % 3])
            elif step == "calm":
                await calm()
            elif known:
                who = known[number % len(known)]
                people.leave[who].set() if step == "leave" else people.tasks[who].cancel()
            assert len(people.inside) <= total
            assert all(count <= each for count in people.taken().values())
        for event in people.leave.values():
            event.set()
        await asyncio.gather(*people.tasks.values(), return_exceptions=True)
        again = await crowd(people.slots, "abc" * 10)
        assert again.inside
        assert all(again.taken()[key] for key in "abc"[:total])
        await empty(again)

    asyncio.run(scene())
