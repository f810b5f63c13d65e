"""Mutants of paths that name no request, and of the ways to name a host."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from falcontract.mutation.internals import access, errors, hosts, queue_host
from falcontract.mutation.patching import Answer, Patch, change_settings, change_wire, planted, replaces


def full_ids_are_served(patch: Patch) -> None:
    """Status, result and cancel are served under the full endpoint id, as documented."""
    change_settings(patch, lambda _: {"lenient_paths": True})


@planted(change_wire)
def wrong_paths_have_a_body(answer: Answer) -> None:
    """A 405 has FastAPI's body."""
    if answer.status == 405:
        answer.body = json.dumps({"detail": "Method Not Allowed"}).encode()
        answer.headers["content-type"] = "application/json"


@planted(change_wire)
def wrong_paths_allow_get(answer: Answer) -> None:
    """A 405 names GET beside POST."""
    if answer.headers.get("allow") == "POST":
        answer.headers["allow"] = "GET, POST"


@replaces(queue_host.QueueHost, "answer")
def wrong_paths_need_a_key(original: Any, host: Any, context: Any, scope: Any) -> Any:
    """Credentials are checked before the path."""
    access.caller_of_application(context, scope, host._keyring, "fal-ai/veo2")
    return original(host, context, scope)


@replaces(queue_host.QueueHost, "answer")
def wrong_paths_are_locked(original: Any, host: Any, context: Any, scope: Any) -> Any:
    """The lock of an account is checked before the path."""
    try:
        locked = access.caller_of_application(context, scope, host._keyring, "fal-ai/veo2").locked
    except errors.Refusal:
        locked = False
    if locked:
        raise errors.UserLocked
    return original(host, context, scope)


@planted(change_wire)
def one_segment_has_a_body(answer: Answer) -> None:
    """A path of one segment is a 404 with the JSON of an unknown application."""
    if answer.status == 404 and not answer.body:
        answer.body = json.dumps({"detail": 'Application "veo2" not found'}).encode()
        answer.headers["content-type"] = "application/json"


@replaces(hosts, "find_target")
def target_urls_lose_their_query(original: Any, *args: Any) -> Any:
    """The query in x-fal-target-url is ignored."""
    return replace(original(*args), query="")


@replaces(hosts.BaseURL, "url")
def links_ignore_the_host_header(original: Any, base: Any, host: str, path: str) -> str:
    """The URLs in an answer lead to the emulator's own address, however it was called."""
    return f"http://127.0.0.1:8787/{host}{path}" if base.style == "host" else original(base, host, path)


@replaces(access, "_credentials")
def host_headers_lose_the_key(original: Any, context: Any, scope: Any) -> Any:
    """A call with fal's own name in Host is taken for one without a key."""
    return None if context.headers.get("host") == hosts.QUEUE else original(context, scope)
