from __future__ import annotations

import asyncio

from falmock.engine.notifier import Notifier


async def test_a_bell_wakes_all_who_wait() -> None:
    bell = Notifier()
    waiting = [asyncio.create_task(bell.subscribe().wait()) for _ in range(3)]
    await asyncio.sleep(0)

    bell.notify()

    await asyncio.gather(*waiting)


async def test_who_comes_after_the_ringing_waits_for_the_next() -> None:
    bell = Notifier()
    bell.notify()
    late = asyncio.create_task(bell.subscribe().wait())
    await asyncio.sleep(0)
    assert not late.done()

    bell.notify()

    await late


def test_a_bell_may_ring_where_nobody_could_hear_it() -> None:
    Notifier().notify()
