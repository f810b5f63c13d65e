from __future__ import annotations

import asyncio

from falmock.engine.notifier import Notifier


async def test_a_notification_wakes_all_subscribers() -> None:
    notifier = Notifier()
    waiting = [asyncio.create_task(notifier.subscribe("x").wait()) for _ in range(3)]
    await asyncio.sleep(0)

    notifier.notify("x")

    await asyncio.gather(*waiting)


async def test_a_late_subscriber_waits_for_the_next_notification() -> None:
    notifier = Notifier()
    notifier.notify("x")
    late = asyncio.create_task(notifier.subscribe("x").wait())
    await asyncio.sleep(0)
    assert not late.done()

    notifier.notify("x")

    await late


def test_a_notification_wakes_no_subscriber_with_another_key() -> None:
    notifier = Notifier()
    other = notifier.subscribe("y")

    notifier.notify("x")

    assert not other.is_set()


def test_a_notification_of_several_keys_wakes_their_subscribers() -> None:
    notifier = Notifier()
    subscribed = [notifier.subscribe(key) for key in "xyz"]

    notifier.notify("x", "y")

    assert [event.is_set() for event in subscribed] == [True, True, False]


def test_a_notification_of_all_wakes_every_subscriber() -> None:
    notifier = Notifier()
    subscribed = [notifier.subscribe(key) for key in "xyz"]

    notifier.notify_all()

    assert all(event.is_set() for event in subscribed)


def test_notify_needs_no_event_loop() -> None:
    Notifier().notify("x")
