"""Mutants of ids, credentials, accounts and methods."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from falcontract.mutation.internals import access, calls, errors, keys, queue_host
from falcontract.mutation.patching import Patch, answers_500, change_error


def unknown_ids_have_a_detail(patch: Patch) -> None:
    """The 404 for an unknown id has a detail."""
    change_error(patch, errors.RequestNotFound, lambda error: error.body.update(detail="Not found"))


def unknown_ids_are_cancelled(patch: Patch) -> None:
    """A cancel of an unknown id is accepted."""

    def answer(original: Any, host: Any, context: Any, scope: Any) -> Any:
        try:
            return original(host, context, scope)
        except errors.RequestNotFound:
            if scope["method"] != "PUT":
                raise
            return Response(b'{"status":"CANCELLATION_REQUESTED"}', 202, media_type="application/json")

    patch.around(queue_host.QueueHost, "answer", answer)


@answers_500
def malformed_ids_are_500(patch: Patch) -> None:
    """An id that is not a UUID is a 500."""

    def find(original: Any, host: Any, context: Any, scope: Any) -> Any:
        if not calls.REQUEST_ID.fullmatch(context.call.request_id or ""):
            raise errors.PlatformError("internal_error")
        return original(host, context, scope)

    patch.around(queue_host.QueueHost, "_find", find)


def any_application_finds_a_job(patch: Patch) -> None:
    """A job is found under the path of every application."""

    def find(original: Any, host: Any, context: Any, scope: Any) -> Any:
        request_id = context.call.request_id or ""
        found = host._emulator.request(request_id) if calls.REQUEST_ID.fullmatch(request_id) else None
        return found or original(host, context, scope)

    patch.around(queue_host.QueueHost, "_find", find)


def bearer_is_accepted(patch: Patch) -> None:
    """A key is accepted in the Bearer scheme."""

    def read(original: Any, keyring: Any, authorization: str | None, *args: Any) -> Any:
        return original(keyring, authorization and authorization.replace("Bearer ", "Key "), *args)

    patch.around(keys.Keyring, "_read", read)


def missing_keys_are_accepted(patch: Patch) -> None:
    """A call without a key is accepted."""

    def identify(original: Any, keyring: Any, authorization: str | None, *args: Any) -> Any:
        if authorization is None:
            return keyring._caller("anonymous")
        return original(keyring, authorization, *args)

    patch.around(keys.Keyring, "identify", identify)


def unknown_keys_count_as_missing(patch: Patch) -> None:
    """A key of no account is refused like a missing one."""

    class Missing(errors.AccessDenied):
        def __init__(self) -> None:
            super().__init__("fal-ai/veo2")

    patch.set(access, "UnknownKey", Missing)


def credentials_come_before_the_id(patch: Patch) -> None:
    """An unknown id without a key is a 401."""
    patch.around(access, "has_credentials", lambda original, *args: True)


def bad_keys_do_not_matter_for_unknown_ids(patch: Patch) -> None:
    """An unknown id with a bad key is a 404."""

    def find(original: Any, host: Any, context: Any, scope: Any) -> Any:
        found = host._emulator.request(context.call.request_id or "")
        if found is None:
            raise errors.RequestNotFound
        return original(host, context, scope)

    patch.around(queue_host.QueueHost, "_find", find)


def body_comes_before_credentials(patch: Patch) -> None:
    """Broken JSON is a 422 at submit, whatever the credentials."""

    async def submit(original: Any, host: Any, call: Any, *args: Any) -> Any:
        try:
            json.loads(await call.body() or b"{}")
        except ValueError:
            raise errors.InvalidBody([]) from None
        return await original(host, call, *args)

    patch.around(queue_host.QueueHost, "_submit", submit)


def accounts_see_each_other(patch: Patch) -> None:
    """Every account can read every job."""
    patch.around(keys.Keyring, "may_see", lambda original, *args: True)


def locked_accounts_may_submit(patch: Patch) -> None:
    """A lock has no effect."""
    patch.around(keys.Keyring, "_caller", lambda original, keyring, key_id: keys.Caller(key_id))


def locked_accounts_may_not_read(patch: Patch) -> None:
    """A lock refuses reads too."""

    def find(original: Any, host: Any, context: Any, scope: Any) -> Any:
        found = original(host, context, scope)
        if access.caller_of_application(context, scope, host._keyring, found.application).locked:
            raise errors.UserLocked
        return found

    patch.around(queue_host.QueueHost, "_find", find)


def wrong_methods_are_404(patch: Patch) -> None:
    """A wrong method is a 404."""
    patch.set(errors.MethodNotAllowed, "status", 404)


def wrong_methods_have_no_allow(patch: Patch) -> None:
    """A 405 has no Allow header."""
    change_error(patch, errors.MethodNotAllowed, lambda error: error.headers.clear())


def get_cancels(patch: Patch) -> None:
    """A cancel is a GET."""

    def init(original: Any, host: Any, *args: Any) -> None:
        original(host, *args)
        host._operations["cancel"] = ("GET", host._cancel)

    patch.around(queue_host.QueueHost, "__init__", init)
