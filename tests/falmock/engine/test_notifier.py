from __future__ import annotations

import asyncio

from falmock.engine.notifier import Notifier


async def test_a_notification_wakes_all_subscribers() -> None:
    notifier = Notifier()
    waiting = [asyncio.create_task(notifier.subscribe().wait()) for _ in range(3)]
    await asyncio.sleep(0)

    notifier.notify()

    await asyncio.gather(*waiting)


async def test_a_late_subscriber_waits_for_the_next_notification() -> None:
    notifier = Notifier()
    notifier.notify()
    late = asyncio.create_task(notifier.subscribe().wait())
    await asyncio.sleep(0)
    assert not late.done()

    notifier.notify()

    await late


def test_notify_needs_no_event_loop() -> None:
    Notifier().notify()
