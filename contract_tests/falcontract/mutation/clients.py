"""Mutants of falqueue: what it sends, and how it handles errors."""

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
from falcontract.mutation.patching import replaces

if TYPE_CHECKING:
    from falcontract.mutation.patching import Patch


@replaces(client_downloads, "HttpRequest")
def clients_send_the_key_to_files(original: Any, *args: Any, **more: Any) -> Any:
    """falqueue sends its key with downloads."""
    return original(*args, **more | {"headers": {**more["headers"], "authorization": "Key leaked"}})


@replaces(client_flows.Flows, "_get")
def clients_ask_under_the_full_id(original: Any, flows: Any, handle: Any, action: str, **more: Any) -> Any:
    """falqueue asks for the status under the full endpoint id, as documented."""
    found = original(flows, handle, action, **more)
    return replace(found, url=found.url.replace("/requests/", "/image-to-video/requests/"))


@replaces(client_flows.Flows, "status")
def clients_poll_twice(original: Any, flows: Any, *args: Any, **more: Any) -> Any:
    """falqueue asks for each status twice."""
    yield from original(flows, *args, **more)
    return (yield from original(flows, *args, **more))


@replaces(client_sending.Sender, "once")
def clients_submit_again(_: Any, sender: Any, request: Any, *, retry_429: bool) -> Any:
    """falqueue sends a submit again if its answer is lost."""
    del retry_429
    return (yield from sender.repeat(request))


@replaces(client_sending.Sender, "once")
def clients_do_not_wait_out_a_429(original: Any, sender: Any, request: Any, **_: Any) -> Any:
    """falqueue does not send a submit again after a 429."""
    return (yield from original(sender, request, retry_429=False))


@replaces(client_sending.Sender, "repeat")
def clients_repeat_nothing(original: Any, sender: Any, *args: Any, **more: Any) -> Any:
    """falqueue sends nothing again."""
    single = replace(sender, retries=replace(sender.retries, max_attempts=1))
    return (yield from original(single, *args, **more))


@replaces(client_flows.Flows, "_give_up")
def clients_do_not_cancel(_: Any, __: Any, handle: Any, *___: Any) -> Any:
    """falqueue gives up without a cancel."""
    yield from ()
    raise falqueue.TookTooLong("late", handle=handle, cancellation=None)


@replaces(client_flows.Flows, "_give_up")
def clients_cancel_twice(original: Any, flows: Any, handle: Any, timeout: Any) -> Any:
    """falqueue cancels twice when its limit has passed."""
    yield from flows.cancel(handle)
    return (yield from original(flows, handle, timeout))


def clients_poll_without_a_pause(patch: Patch) -> None:
    """falqueue polls ten times as often."""
    patch.around(falqueue.Backoff, "seconds", lambda original, *args: original(*args) / 10)


@replaces(client_downloads.Downloads, "_continue")
def short_downloads_are_complete(original: Any, downloads: Any, *args: Any) -> Any:
    """falqueue takes a short file for a complete one."""
    with suppress(httpx.TransportError):
        yield from original(downloads, *args)
    return ""


@replaces(client_downloads.Downloads, "_continue")
def broken_downloads_begin_anew(original: Any, downloads: Any, *args: Any) -> Any:
    """falqueue gives a broken download up."""
    try:
        return (yield from original(downloads, *args))
    except httpx.TransportError as error:
        raise falqueue.TransferFailed("broken") from error


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
