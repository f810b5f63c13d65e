"""Mutants of the answer to a submit."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from falcontract.mutation.internals import (
    access,
    calls,
    cors,
    emulator,
    endpoints,
    errors,
    hosts,
    outcomes,
    queue_host,
    runner,
    validation,
)
from falcontract.mutation.patching import (
    Patch,
    answers_500,
    change_answer,
    change_status,
    change_submit,
    planted,
    replaces,
    with_body,
    with_members,
)

if TYPE_CHECKING:
    from starlette.responses import Response


def submit_answers_202(patch: Patch) -> None:
    """A submit is answered 202."""
    change_submit(patch, lambda r: with_body(r, bytes(r.body), 202))


def submit_answers_in_progress(patch: Patch) -> None:
    """A submit is answered with IN_PROGRESS."""
    change_submit(patch, with_members(lambda body: body.update(status="IN_PROGRESS")))


def submit_has_no_position(patch: Patch) -> None:
    """The answer to a submit has no position."""
    change_submit(patch, with_members(lambda body: body.pop("queue_position") and None))


def ids_are_not_uuids(patch: Patch) -> None:
    """Request ids in submits are UUIDs without dashes."""
    change_submit(patch, with_members(lambda b: b.update(request_id=b["request_id"].replace("-", ""))))


@replaces(emulator.Emulator, "submit")
def submit_is_idempotent(original: Any, core: Any, submitted: Any) -> Any:
    """An equal submit gets the existing job."""
    known = core.__dict__.setdefault("_known_submits", {})
    key = (submitted.body, submitted.caller)
    if key in known:
        return core.request(known[key].id)
    known[key] = original(core, submitted)
    return known[key]


@replaces(queue_host, "_links")
def urls_have_the_sub_path(original: Any, call: Any, job: Any) -> dict[str, str]:
    """The URLs contain the whole endpoint."""
    short, full = f"/{job.application}/requests/", f"/{job.application}/{job.path}".rstrip("/")
    return {k: url.replace(short, f"{full}/requests/") for k, url in original(call, job).items()}


@planted(change_status)
def status_urls_point_to_fal(status: dict[str, Any], _: Any) -> None:
    """The status_url of a status points to the real service."""
    status["status_url"] = "https://queue.fal.run" + status["status_url"].partition(hosts.QUEUE)[2]


def response_url_has_a_suffix(patch: Patch) -> None:
    """response_url ends in /response, as in the documentation."""
    change_submit(patch, with_members(lambda b: b.update(response_url=b["response_url"] + "/response")))


def cancel_url_is_relative(patch: Patch) -> None:
    """The cancel_url of a submit has no host."""

    def change(body: dict[str, Any]) -> None:
        body["cancel_url"] = "/queue.fal.run" + body["cancel_url"].partition(hosts.QUEUE)[2]

    change_submit(patch, with_members(change))


def namespaces_are_ignored(patch: Patch) -> None:
    """workflows/ and comfy/ count as owners."""
    patch.set(endpoints, "NAMESPACES", frozenset())
    patch.set(calls, "_read_path", lru_cache(calls._read_path.__wrapped__))  # a new cache, empty


@replaces(access, "_start_within")
def bad_timeouts_are_ignored(original: Any, *args: Any) -> float:
    """A start timeout that is not a number counts as none."""
    try:
        return float(original(*args))
    except errors.PlatformError:
        return math.inf


def bad_timeouts_are_422(patch: Patch) -> None:
    """A malformed header is a 422."""
    patch.item(errors.PlatformError.STATUS, "bad_request", 422)


@replaces(validation, "read")
def malformed_bodies_are_accepted(
    original: Any, schema: Any, body: bytes, content_type: str | None, *args: Any
) -> Any:
    """A body that is not an object counts as a valid input."""
    try:
        is_object = isinstance(json.loads(body), dict)
    except ValueError:
        is_object = False
    if not is_object:
        body, content_type = b'{"prompt": "", "image_url": "https://example.com"}', "application/json"
    return original(schema, body, content_type, *args)


@answers_500
def broken_json_is_500(patch: Patch) -> None:
    """Broken JSON ends in a 500."""

    def entry(original: Any, kind: str, *args: Any) -> Any:
        if kind == "json_invalid":
            raise RuntimeError(kind)
        return original(kind, *args)

    def prepare(original: Any, *args: Any) -> Any:
        try:
            return original(*args)
        except RuntimeError:
            return outcomes.Outcome(500, b'{"detail":"Internal Server Error"}')

    patch.around(validation, "_entry", entry)
    patch.around(runner.Runner, "prepare", prepare)


@planted(change_answer, "_status")
def status_has_a_request_id_header(response: Response, job: Any) -> Response:
    """A status has x-fal-request-id, which fal sends with submits and results only."""
    response.headers["x-fal-request-id"] = job.id
    return response


@planted(change_answer, "_result")
def results_have_no_request_id_header(response: Response, _: Any) -> Response:
    """A result has no x-fal-request-id."""
    del response.headers["x-fal-request-id"]
    return response


@planted(change_answer, "_result")
def results_are_plain_text(response: Response, _: Any) -> Response:
    """A result has the content type text/plain."""
    response.headers["content-type"] = "text/plain"
    return response


def headers_are_exposed(patch: Patch) -> None:
    """The queue exposes headers to pages, as fal does not."""
    patch.around(
        cors.Mirror, "__init__", lambda original, mirror, app, **_: original(mirror, app, exposes=True)
    )
