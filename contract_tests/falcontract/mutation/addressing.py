"""Mutants of paths that name no request, and of the ways to name a host."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from falcontract.mutation.internals import access, errors, hosts, queue_host
from falcontract.mutation.patching import Answer, Patch, change_settings, change_wire


def full_ids_are_served(patch: Patch) -> None:
    """Status, result and cancel are served under the full endpoint id, as documented."""
    change_settings(patch, lambda _: {"lenient_paths": True})


def wrong_paths_have_a_body(patch: Patch) -> None:
    """A 405 has FastAPI's body."""

    def change(answer: Answer) -> None:
        if answer.status == 405:
            answer.body = json.dumps({"detail": "Method Not Allowed"}).encode()
            answer.headers["content-type"] = "application/json"

    change_wire(patch, change)


def wrong_paths_allow_get(patch: Patch) -> None:
    """A 405 names GET beside POST."""

    def change(answer: Answer) -> None:
        if answer.headers.get("allow") == "POST":
            answer.headers["allow"] = "GET, POST"

    change_wire(patch, change)


def wrong_paths_need_a_key(patch: Patch) -> None:
    """Credentials are checked before the path."""

    def answer(original: Any, host: Any, context: Any, scope: Any) -> Any:
        access.caller_of_application(context, scope, host._keyring, "fal-ai/veo2")
        return original(host, context, scope)

    patch.around(queue_host.QueueHost, "answer", answer)


def wrong_paths_are_locked(patch: Patch) -> None:
    """The lock of an account is checked before the path."""

    def answer(original: Any, host: Any, context: Any, scope: Any) -> Any:
        try:
            locked = access.caller_of_application(context, scope, host._keyring, "fal-ai/veo2").locked
        except errors.Refusal:
            locked = False
        if locked:
            raise errors.UserLocked
        return original(host, context, scope)

    patch.around(queue_host.QueueHost, "answer", answer)


def one_segment_has_a_body(patch: Patch) -> None:
    """A path of one segment is a 404 with the JSON of an unknown application."""

    def change(answer: Answer) -> None:
        if answer.status == 404 and not answer.body:
            answer.body = json.dumps({"detail": 'Application "veo2" not found'}).encode()
            answer.headers["content-type"] = "application/json"

    change_wire(patch, change)


def target_urls_lose_their_query(patch: Patch) -> None:
    """The query in x-fal-target-url is ignored."""

    def find(original: Any, *args: Any) -> Any:
        return replace(original(*args), query="")

    patch.around(hosts, "find_target", find)


def links_ignore_the_host_header(patch: Patch) -> None:
    """The URLs in an answer lead to the emulator's own address, however it was called."""

    def url(original: Any, base: Any, host: str, path: str) -> str:
        return f"http://127.0.0.1:8787/{host}{path}" if base.style == "host" else original(base, host, path)

    patch.around(hosts.BaseURL, "url", url)


def host_headers_lose_the_key(patch: Patch) -> None:
    """A call with fal's own name in Host is taken for one without a key."""

    def credentials(original: Any, context: Any, scope: Any) -> Any:
        return None if context.headers.get("host") == hosts.QUEUE else original(context, scope)

    patch.around(access, "_credentials", credentials)
