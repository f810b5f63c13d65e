"""Mutants of falqueue: what it sends, and what it makes of trouble."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx

from falcontract.mutation.internals import (
    client_downloads,
    client_flows,
    client_sending,
    client_webhooks,
    falqueue,
)

if TYPE_CHECKING:
    from falcontract.mutation.patching import Patch


def clients_send_the_key_to_files(patch: Patch) -> None:
    """falqueue sends its key with downloads."""

    def request(original: Any, *args: Any, **more: Any) -> Any:
        return original(*args, **more | {"headers": {**more["headers"], "authorization": "Key leaked"}})

    patch.around(client_downloads, "HttpRequest", request)


def clients_ask_under_the_full_id(patch: Patch) -> None:
    """falqueue asks for the status under the full endpoint id, as documented."""

    def get(original: Any, flows: Any, handle: Any, action: str, **more: Any) -> Any:
        found = original(flows, handle, action, **more)
        return replace(found, url=found.url.replace("/requests/", "/image-to-video/requests/"))

    patch.around(client_flows.Flows, "_get", get)


def clients_poll_twice(patch: Patch) -> None:
    """falqueue asks for each status twice."""

    def status(original: Any, flows: Any, *args: Any, **more: Any) -> Any:
        yield from original(flows, *args, **more)
        return (yield from original(flows, *args, **more))

    patch.around(client_flows.Flows, "status", status)


def clients_submit_again(patch: Patch) -> None:
    """falqueue sends a submit again if its answer is lost."""

    def once(_: Any, sender: Any, request: Any, *, retry_429: bool) -> Any:
        del retry_429
        return (yield from sender.repeat(request))

    patch.around(client_sending.Sender, "once", once)


def clients_do_not_wait_out_a_429(patch: Patch) -> None:
    """falqueue does not send a submit again after a 429."""

    def once(original: Any, sender: Any, request: Any, **_: Any) -> Any:
        return (yield from original(sender, request, retry_429=False))

    patch.around(client_sending.Sender, "once", once)


def clients_repeat_nothing(patch: Patch) -> None:
    """falqueue sends nothing again."""

    def repeat(original: Any, sender: Any, *args: Any, **more: Any) -> Any:
        single = replace(sender, retries=replace(sender.retries, max_attempts=1))
        return (yield from original(single, *args, **more))

    patch.around(client_sending.Sender, "repeat", repeat)


def clients_do_not_cancel(patch: Patch) -> None:
    """falqueue gives up without a cancel."""

    def give_up(_: Any, __: Any, handle: Any, *___: Any) -> Any:
        yield from ()
        raise falqueue.TookTooLong("late", handle=handle, cancellation=None)

    patch.around(client_flows.Flows, "_give_up", give_up)


def clients_cancel_twice(patch: Patch) -> None:
    """falqueue cancels twice when its limit has passed."""

    def give_up(original: Any, flows: Any, handle: Any, timeout: Any) -> Any:
        yield from flows.cancel(handle)
        return (yield from original(flows, handle, timeout))

    patch.around(client_flows.Flows, "_give_up", give_up)


def clients_poll_without_a_pause(patch: Patch) -> None:
    """falqueue polls ten times as often."""
    patch.around(falqueue.Backoff, "seconds", lambda original, *args: original(*args) / 10)


def short_downloads_are_complete(patch: Patch) -> None:
    """falqueue takes a short file for a complete one."""

    def keep(original: Any, downloads: Any, *args: Any) -> Any:
        with suppress(httpx.TransportError):
            yield from original(downloads, *args)
        return ""

    patch.around(client_downloads.Downloads, "_continue", keep)


def broken_downloads_begin_anew(patch: Patch) -> None:
    """falqueue gives a broken download up."""

    def keep(original: Any, downloads: Any, *args: Any) -> Any:
        try:
            return (yield from original(downloads, *args))
        except httpx.TransportError as error:
            raise falqueue.TransferFailed("broken") from error

    patch.around(client_downloads.Downloads, "_continue", keep)


def _window(patch: Patch, early: float, late: float) -> None:
    def read(original: Any, headers: Any, *, now: float, leeway: float) -> Any:
        del leeway
        found = original(headers, now=now, leeway=1e9)
        if not -early <= now - int(found[2]) <= late:
            raise falqueue.TimestampRejected("too far off")
        return found

    patch.around(client_webhooks, "_read_headers", read)


def old_webhooks_are_accepted(patch: Patch) -> None:
    """falqueue accepts a webhook that is ten minutes old."""
    _window(patch, 300, 600)


def webhooks_from_the_future_are_accepted(patch: Patch) -> None:
    """falqueue accepts a webhook from ten minutes ahead."""
    _window(patch, 600, 300)


def webhooks_must_not_be_early(patch: Patch) -> None:
    """falqueue refuses a webhook from a clock that is ahead."""
    _window(patch, 0, 300)


def webhooks_must_be_younger(patch: Patch) -> None:
    """falqueue refuses a webhook that is exactly 300 s old."""
    _window(patch, 300, 299)
