"""Mutants of the headers of answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from falcontract.mutation.internals import ids, pricing, steps
from falcontract.mutation.patching import Answer, Patch, change_header, replaces

if TYPE_CHECKING:
    from collections.abc import Callable


def _queue(answer: Answer) -> bool:
    return answer.path.startswith("/queue.fal.run")


def submits_have_no_hsts(patch: Patch) -> None:
    """A submit has no strict-transport-security."""
    change_header(patch, lambda a: a.is_about("submit"), "strict-transport-security", None)


def robots_may_index(patch: Patch) -> None:
    """No answer of the queue has x-robots-tag."""
    change_header(patch, _queue, "x-robots-tag", None)


def statuses_do_not_vary(patch: Patch) -> None:
    """A status has no vary."""
    change_header(patch, lambda a: a.is_about("status"), "vary", None)


def vary_names_the_origin_only(patch: Patch) -> None:
    """vary names the origin alone."""
    change_header(patch, lambda a: "vary" in a.headers, "vary", "origin")


def hsts_is_shorter(patch: Patch) -> None:
    """strict-transport-security has half of its time."""
    change_header(patch, _queue, "strict-transport-security", "max-age=15768000; includeSubDomains")


def the_router_has_the_headers_of_the_edge(patch: Patch) -> None:
    """An empty 405 has x-robots-tag."""
    change_header(patch, lambda a: a.status == 405, "x-robots-tag", "noindex")


def answers_name_a_server(patch: Patch) -> None:
    """An answer of the queue names the server's software."""
    change_header(patch, _queue, "server", "uvicorn")


def cancels_have_a_request_id_header(patch: Patch) -> None:
    """A cancel has x-fal-request-id."""
    change_header(
        patch, lambda a: a.is_about("cancel"), "x-fal-request-id", "019e0000-0000-7000-8000-000000000000"
    )


def rejections_say_nothing_about_a_retry(patch: Patch) -> None:
    """A 422 has no x-fal-needs-retry."""
    change_header(patch, lambda a: a.status == 422, "x-fal-needs-retry", None)


def rejections_ask_for_a_retry(patch: Patch) -> None:
    """A 422 has x-fal-needs-retry: 0, as documented."""
    change_header(patch, lambda a: a.status == 422, "x-fal-needs-retry", "0")


def successes_say_something_about_a_retry(patch: Patch) -> None:
    """A success has x-fal-needs-retry too."""
    change_header(patch, lambda a: a.is_about("result") and a.status == 200, "x-fal-needs-retry", "false")


def rejections_have_an_error_type(patch: Patch) -> None:
    """A model's 422 has x-fal-error-type, as platform errors have."""
    change_header(patch, lambda a: a.status == 422, "x-fal-error-type", "bad_request")


def timeouts_name_the_caller(patch: Patch) -> None:
    """Every 504 names the caller's limit."""
    change_header(patch, lambda a: a.status in {499, 504}, "x-fal-request-timeout-type", "user")


def content_types_have_a_charset(patch: Patch) -> None:
    """The content type of a status has a charset, as in 2025."""
    change_header(patch, lambda a: a.is_about("status"), "content-type", "application/json; charset=utf-8")


def statuses_are_billed(patch: Patch) -> None:
    """A status has x-fal-billable-units."""
    change_header(patch, lambda a: a.is_about("status"), "x-fal-billable-units", "5.0")


@replaces(steps.Steps, "_headers_of_runner")
def each_run_has_a_runner(original: Any, writer: Any, request: Any, outcome: Any) -> dict[str, str]:
    """x-fal-served-from differs from run to run."""
    found: dict[str, str] = original(writer, request, outcome)
    own = str(ids.uuid4(ids.rng(request.seq, "run")))
    return found | ({"x-fal-served-from": own} if "x-fal-served-from" in found else {})


def runners_have_other_ids(patch: Patch) -> None:
    """x-fal-served-from is no UUID."""
    change_header(patch, lambda a: "x-fal-served-from" in a.headers, "x-fal-served-from", "runner-1")


def _units(patch: Patch, units: Callable[[Any], Any]) -> None:
    patch.set(pricing, "units", lambda entry, given, made: units(given))


def units_are_integers(patch: Patch) -> None:
    """Five seconds are billed as 5, not 5.0."""
    _units(patch, lambda given: int(given.duration.removesuffix("s")))


def units_have_eight_decimals(patch: Patch) -> None:
    """Units are written with eight decimals, as fal's SDK does."""
    change_header(
        patch,
        lambda a: a.headers.get("x-fal-billable-units", "0") != "0",
        "x-fal-billable-units",
        "5.00000000",
    )


def units_are_for_five_seconds(patch: Patch) -> None:
    """Every clip is billed as five seconds."""
    _units(patch, lambda _: 5.0)
