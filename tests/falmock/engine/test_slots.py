from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falmock.engine.slots import Slots


class SlotHolders:
    """SlotHolders that each take a slot and keep it until they are released."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.inside: list[tuple[str, int]] = []
        self.order: list[str] = []
        self.leave: dict[tuple[str, int], asyncio.Event] = {}
        self.tasks: dict[tuple[str, int], asyncio.Task[None]] = {}

    def start(self, key: str) -> None:
        task_id = key, len(self.tasks)
        self.leave[task_id] = asyncio.Event()
        self.tasks[task_id] = asyncio.create_task(self.stay(task_id))

    async def stay(self, task_id: tuple[str, int]) -> None:
        async with self.slots.slot(task_id[0]):
            self.inside.append(task_id)
            self.order.append(task_id[0])
            try:
                await self.leave[task_id].wait()
            finally:
                self.inside.remove(task_id)

    def taken(self) -> Counter[str]:
        return Counter(key for key, _ in self.inside)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def start_tasks(slots: Slots, keys: str) -> SlotHolders:
    holders = SlotHolders(slots)
    for key in keys:
        holders.start(key)
    await settle()
    return holders


async def cancel_all(holders: SlotHolders) -> None:
    for task in holders.tasks.values():
        task.cancel()
    await asyncio.gather(*holders.tasks.values(), return_exceptions=True)


@pytest.mark.parametrize(("keys", "taken"), [("a" * 2, 2), ("a" * 3, 3), ("a" * 4, 3)])
def test_one_key_gets_no_more_slots_than_its_limit(keys: str, taken: int) -> None:
    async def scene() -> None:
        holders = await start_tasks(Slots(total=10, each=3), keys)
        assert holders.taken() == {"a": taken}
        await cancel_all(holders)

    asyncio.run(scene())


@pytest.mark.parametrize(("keys", "taken"), [("abc", 3), ("abcd", 4), ("abcde", 4)])
def test_all_keys_together_get_no_more_slots_than_the_total(keys: str, taken: int) -> None:
    async def scene() -> None:
        holders = await start_tasks(Slots(total=4, each=4), keys)
        assert len(holders.inside) == taken
        await cancel_all(holders)

    asyncio.run(scene())


def test_a_new_key_gets_a_slot_while_other_keys_wait_for_more() -> None:
    async def scene() -> None:
        holders = await start_tasks(Slots(total=8, each=4), "a" * 20 + "b" * 20 + "c")
        assert holders.taken() == {"a": 4, "b": 1, "c": 1}
        await cancel_all(holders)

    asyncio.run(scene())


def test_waiting_keys_take_turns() -> None:
    async def scene() -> None:
        holders = await start_tasks(Slots(total=1, each=1), "x" + "aaabbc")
        while holders.inside:
            holders.leave[holders.inside[0]].set()
            await settle()
        assert "".join(holders.order) == "xabcaba"

    asyncio.run(scene())


STEPS = st.lists(
    st.tuples(st.sampled_from(["start", "leave", "cancel", "settle"]), st.integers(0, 30)), max_size=60
)


@given(st.integers(1, 6), st.integers(1, 4), STEPS)
def test_slots_stay_limited_and_are_returned_in_any_order_of_events(
    total: int, each: int, steps: list[tuple[str, int]]
) -> None:
    async def scene() -> None:
        holders = SlotHolders(Slots(total=total, each=each))
        for step, number in steps:
            known = list(holders.tasks)
            if step == "start":
                holders.start("abc"[number % 3])
            elif step == "settle":
                await settle()
            elif known:
                task_id = known[number % len(known)]
                holders.leave[task_id].set() if step == "leave" else holders.tasks[task_id].cancel()
            assert len(holders.inside) <= total
            assert all(count <= each for count in holders.taken().values())
        for event in holders.leave.values():
            event.set()
        await asyncio.gather(*holders.tasks.values(), return_exceptions=True)
        fresh = await start_tasks(holders.slots, "abc" * 10)
        assert fresh.inside
        assert all(fresh.taken()[key] for key in "abc"[:total])
        await cancel_all(fresh)

    asyncio.run(scene())
