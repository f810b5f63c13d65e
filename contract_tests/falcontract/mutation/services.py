"""Mutants of fal's other hosts: run, tokens, platform API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from falcontract.mutation.internals import access, emulator, keys, platform, rest
from falcontract.mutation.patching import Answer, Patch, change_code, change_header, change_json, replaces

if TYPE_CHECKING:
    from collections.abc import Callable


def _on(host: str) -> Callable[[Answer], bool]:
    return lambda answer: answer.path.startswith(f"/{host}/")


def runs_have_an_envelope(patch: Patch) -> None:
    """The output of a run is wrapped in an object."""
    change_json(patch, lambda a: _on("fal.run")(a) and a.status == 200, lambda body: {"data": body})


def runs_vary(patch: Patch) -> None:
    """A run has the queue's vary."""
    vary = "origin, access-control-request-method, access-control-request-headers"
    change_header(patch, _on("fal.run"), "vary", vary)


def runs_have_no_id(patch: Patch) -> None:
    """A run has no x-fal-request-id."""
    change_header(patch, _on("fal.run"), "x-fal-request-id", None)


def runs_check_the_method_first(patch: Patch) -> None:
    """A GET of a run without a key is a 405."""
    change_code(patch, lambda a: _on("fal.run")(a) and a.method == "GET", 405)


def runs_answer_202(patch: Patch) -> None:
    """A run is answered 202."""
    change_code(patch, lambda a: _on("fal.run")(a) and a.status == 200, 202)


def rest_answers_have_no_hsts(patch: Patch) -> None:
    """An answer of the REST host has no strict-transport-security."""
    change_header(patch, _on("rest.fal.ai"), "strict-transport-security", None)


def rest_answers_vary(patch: Patch) -> None:
    """An answer of the REST host has access-control-allow-credentials, without an Origin."""
    change_header(patch, _on("rest.fal.ai"), "access-control-allow-credentials", "true")


def tokens_are_200(patch: Patch) -> None:
    """A new token is a 200."""
    change_code(patch, lambda a: "/tokens" in a.path and a.status == 201, 200)


def tokens_are_objects(patch: Patch) -> None:
    """A token comes in an object."""
    change_json(patch, lambda a: "/tokens" in a.path and a.status == 201, lambda body: {"token": body})


def web_tokens_last_for_ever(patch: Patch) -> None:
    """A token for pages does not expire."""
    patch.around(
        rest._Rest, "_issue", lambda original, host, key, apps, lifetime: original(host, key, apps, 10**6)
    )


@replaces(access, "caller_of_rest")
def web_tokens_need_no_key(original: Any, request: Any, keyring: Any, **more: Any) -> Any:
    """A token is issued without a key."""
    if "/tokens" in request.scope["path"]:
        return keyring._caller("00000000-aaaa-4aaa-8aaa-000000000000")
    return original(request, keyring, **more)


@replaces(platform, "_page_number")
def cursors_are_padded(original: Any, cursor: str) -> int:
    """A cursor needs its padding."""
    if not cursor.endswith("="):
        raise ValueError(cursor)
    return int(original(cursor))


@replaces(platform, "_page")
def pages_have_any_size(original: Any, request: Any, models: Any) -> Any:
    """The limit of a page is not checked."""
    if request.query_params.get("limit") == "0":
        return models, None
    return original(request, models)


@replaces(platform, "_described")
def favourites_are_false(original: Any, model: Any, *, known: bool, **more: Any) -> Any:
    """is_favorited is false without a key."""
    del known
    return original(model, known=True, **more)


def platform_errors_are_details(patch: Patch) -> None:
    """An error of the platform API is a detail."""
    change_json(
        patch, lambda a: _on("api.fal.ai")(a) and a.status >= 400, lambda b: {"detail": b["error"]["message"]}
    )


@replaces(access, "caller_of_platform")
def prices_need_no_key(original: Any, request: Any, *args: Any) -> Any:
    """The prices are answered without a key."""
    return keys.Caller("anyone") if "pricing" in request.scope["path"] else original(request, *args)


def flushing_removes_all_jobs(patch: Patch) -> None:
    """Removing one's own jobs from a queue removes those of others too."""
    patch.around(
        emulator.Emulator, "flush", lambda original, core, application, *_: original(core, application)
    )


def flushing_removes_nothing(patch: Patch) -> None:
    """Removing one's own jobs removes none."""
    patch.around(
        emulator.Emulator, "flush", lambda original, core, application, *_: original(core, application, "-")
    )


@replaces(rest, "delete_payloads")
def anyone_deletes_payloads(original: Any, core: Any, keyring: Any, caller: Any, request_id: str) -> Any:
    """An account can delete the payloads of another."""
    found = core.request(request_id)
    return original(core, keyring, keys.Caller(found.caller) if found else caller, request_id)


def payloads_stay(patch: Patch) -> None:
    """Deleting payloads has no effect."""
    patch.around(emulator.Emulator, "drop_payloads", lambda original, *args: [])


@replaces(rest, "_webhook_pages")
def webhooks_of_all_are_listed(original: Any, core: Any, key_id: str) -> Any:
    """The list of webhooks has those of other accounts."""
    del key_id
    for key in ("00000000-aaaa-4aaa-8aaa-000000000000", "00000000-bbbb-4bbb-8bbb-000000000000"):
        yield from original(core, key)
