from __future__ import annotations

import asyncio

from falmock.engine.notifier import Notifier


async def test_a_notification_wakes_all_subscribers() -> None:
    bell = Notifier()
    waiting = [asyncio.create_task(bell.subscribe().wait()) for _ in range(3)]
    await asyncio.sleep(0)

    bell.notify()

    await asyncio.gather(*waiting)


async def test_a_late_subscriber_waits_for_the_next_notification() -> None:
    bell = Notifier()
    bell.notify()
    late = asyncio.create_task(bell.subscribe().wait())
    await asyncio.sleep(0)
    assert not late.done()

    bell.notify()

    await late


def test_notify_needs_no_event_loop() -> None:
    Notifier().notify()
