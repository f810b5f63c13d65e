"""Mutants of ids, credentials, accounts and methods."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from falcontract.mutation.internals import access, calls, errors, keys, queue_host
from falcontract.mutation.patching import Patch, answers_500, change_error, replaces


def unknown_ids_have_a_detail(patch: Patch) -> None:
    """The 404 for an unknown id has a detail."""
    change_error(patch, errors.RequestNotFound, lambda error: error.body.update(detail="Not found"))


@replaces(queue_host.QueueHost, "answer")
def unknown_ids_are_cancelled(original: Any, host: Any, context: Any, scope: Any) -> Any:
    """A cancel of an unknown id is accepted."""
    try:
        return original(host, context, scope)
    except errors.RequestNotFound:
        if scope["method"] != "PUT":
            raise
        return Response(b'{"status":"CANCELLATION_REQUESTED"}', 202, media_type="application/json")


@answers_500
@replaces(queue_host.QueueHost, "_find")
def malformed_ids_are_500(original: Any, host: Any, context: Any, scope: Any) -> Any:
    """An id that is not a UUID is a 500."""
    if not calls.REQUEST_ID.fullmatch(context.call.request_id or ""):
        raise errors.PlatformError("internal_error")
    return original(host, context, scope)


@replaces(queue_host.QueueHost, "_find")
def any_application_finds_a_job(original: Any, host: Any, context: Any, scope: Any) -> Any:
    """A job is found under the path of every application."""
    request_id = context.call.request_id or ""
    found = host._emulator.request(request_id) if calls.REQUEST_ID.fullmatch(request_id) else None
    return found or original(host, context, scope)


@replaces(keys.Keyring, "_read")
def bearer_is_accepted(original: Any, keyring: Any, authorization: str | None, *args: Any) -> Any:
    """A key is accepted in the Bearer scheme."""
    return original(keyring, authorization and authorization.replace("Bearer ", "Key "), *args)


@replaces(keys.Keyring, "identify")
def missing_keys_are_accepted(original: Any, keyring: Any, authorization: str | None, *args: Any) -> Any:
    """A call without a key is accepted."""
    if authorization is None:
        return keyring._caller("anonymous")
    return original(keyring, authorization, *args)


def unknown_keys_count_as_missing(patch: Patch) -> None:
    """A key of no account is refused like a missing one."""

    class Missing(errors.AccessDenied):
        def __init__(self) -> None:
            super().__init__("fal-ai/veo2")

    patch.set(access, "UnknownKey", Missing)


def credentials_come_before_the_id(patch: Patch) -> None:
    """An unknown id without a key is a 401."""
    patch.around(access, "has_credentials", lambda original, *args: True)


@replaces(queue_host.QueueHost, "_find")
def bad_keys_do_not_matter_for_unknown_ids(original: Any, host: Any, context: Any, scope: Any) -> Any:
    """An unknown id with a bad key is a 404."""
    found = host._emulator.request(context.call.request_id or "")
    if found is None:
        raise errors.RequestNotFound
    return original(host, context, scope)


@replaces(queue_host.QueueHost, "_submit")
async def body_comes_before_credentials(original: Any, host: Any, call: Any, *args: Any) -> Any:
    """Broken JSON is a 422 at submit, whatever the credentials."""
    try:
        json.loads(await call.body() or b"{}")
    except ValueError:
        raise errors.InvalidBody([]) from None
    return await original(host, call, *args)


def accounts_see_each_other(patch: Patch) -> None:
    """Every account can read every job."""
    patch.around(keys.Keyring, "may_see", lambda original, *args: True)


def locked_accounts_may_submit(patch: Patch) -> None:
    """A lock has no effect."""
    patch.around(keys.Keyring, "_caller", lambda original, keyring, key_id: keys.Caller(key_id))


@replaces(queue_host.QueueHost, "_find")
def locked_accounts_may_not_read(original: Any, host: Any, context: Any, scope: Any) -> Any:
    """A lock refuses reads too."""
    found = original(host, context, scope)
    if access.caller_of_application(context, scope, host._keyring, found.application).locked:
        raise errors.UserLocked
    return found


def wrong_methods_are_404(patch: Patch) -> None:
    """A wrong method is a 404."""
    patch.set(errors.MethodNotAllowed, "status", 404)


def wrong_methods_have_no_allow(patch: Patch) -> None:
    """A 405 has no Allow header."""
    change_error(patch, errors.MethodNotAllowed, lambda error: error.headers.clear())


@replaces(queue_host.QueueHost, "__init__")
def get_cancels(original: Any, host: Any, *args: Any) -> None:
    """A cancel is a GET."""
    original(host, *args)
    host._operations["cancel"] = ("GET", host._cancel)
