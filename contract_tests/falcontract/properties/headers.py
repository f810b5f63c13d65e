"""The headers of answers: which are there, which are not, and the form of their values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from falcontract.model import published
from falcontract.model.automaton import IN_PROGRESS_TEXT, NOT_FOUND
from falcontract.model.headers import KINDS
from falcontract.model.models import MODELS
from falcontract.properties.claims import Claims, claim, equal, prop, results_of
from falcontract.steps import VEO2

if TYPE_CHECKING:
    from falcontract.model.models import Model
    from falcontract.traces import Exchange, Trace


@prop(
    66,
    "lifecycle broken-input cancel-late start-timeout run-timeout stream wrong-paths unknown-id",
    general=True,
    tier=2,
    evidence="PROTOCOL 11.2 (R 2026-04); the set of platform errors is assumed",
)
def queue_answers_have_their_headers(trace: Trace) -> Claims:
    """Each kind of answer of the queue has its headers, with recorded values, and no others."""
    for e in trace.exchanges if trace.complete_headers else ():
        if (e.url.startswith(trace.base) or e.step.via) and (kind := kind_of(trace, e)) is not None:
            yield from _has_headers(e, kind)


def _has_headers(e: Exchange, kind: str) -> Claims:
    expected = KINDS[kind]
    yield equal(
        "names", expected.names(e.headers), sorted(expected.required), f"a {kind} has these headers", e
    )
    for name, form in expected.required.items():
        if name in e.headers:
            fits = re.fullmatch(form, e.headers[name])
            yield claim(name, fits, f"{name} of a {kind} has its value", e, e.headers[name])
    content_type = e.headers.get("content-type")
    fits = re.fullmatch(expected.content_type or "-", content_type or "-")
    yield claim("content-type", fits, f"a {kind} has its content type", e, content_type)


def kind_of(trace: Trace, e: Exchange) -> str | None:
    """Return the kind of an answer of the queue; None for one whose headers are not known."""
    if not e.status or e.status == 413 or e.method == "OPTIONS":
        return None
    if e.status == 405 or (e.status == 404 and not e.body):
        return "router"
    if e.status in {401, 403} or e.json == NOT_FOUND or (e.status == 404 and e.step.do == "submit"):
        return "refusal"
    if e.step.do == "result":
        return _kind_of_result(trace, e)
    if e.step.do == "cancel" or e.ok:
        return {"until": "status", "call": None, "fetch": None}.get(e.step.do, e.step.do)
    return None


def _kind_of_result(trace: Trace, e: Exchange) -> str | None:
    submit = trace.submitted(e.step.job)
    if e.ok:
        return _kind_of_success(MODELS.get(submit.step.endpoint) if submit is not None else None)
    if e.status == 422:
        return "rejection"
    if e.status == 400 and e.get("detail") == IN_PROGRESS_TEXT:
        return "early result"
    if e.get("error_type") in published.PLATFORM_ERRORS:
        limited = submit is not None and submit.step.header("x-fal-request-timeout") is not None
        return "start timeout" if limited and e.status == 504 else "platform error"
    return None


def _kind_of_success(model: Model | None) -> str:
    if model is None or model.is_counted:
        return "success"
    return "success by time" if model.usd is not None else "success without a known price"


@prop(67, "two-runs units", tier=4, evidence="PROTOCOL 11.2 (R): a UUIDv4 for each runner, not for each run")
def served_from_names_the_runner(trace: Trace) -> Claims:
    """x-fal-served-from names the runner: with one runner it is the same for every run, also of fal.run."""
    if trace.facts.get("runners") != 1:
        return
    results = [e for e in trace.exchanges if e.ok and "x-fal-served-from" in e.headers]
    for e in results[1:]:
        served = e.headers["x-fal-served-from"], results[0].headers["x-fal-served-from"]
        yield equal("runner", *served, "one runner has one name", e)


@prop(
    68,
    "units",
    general=True,
    models=(VEO2,),
    tier=4,
    evidence="PROTOCOL 11.2 (R: `str()` of a float; units times price = bill)",
)
def units_are_the_bill(trace: Trace) -> Claims:
    """Billable units are written as Python writes a float, and with the unit price they are the price.

    The unit price is that of the platform API.
    """
    prices = [e for e in trace.of("call") if e.step.host == "api" and e.ok and e.get("prices")]
    for _, submit, e in results_of(trace, VEO2):
        units = e.headers.get("x-fal-billable-units", "")
        if not e.ok:
            continue
        text = "the units are written as Python writes a float"
        yield equal("form", units, _python(units), text, e)
        for priced in prices:
            unit_price = priced.json["prices"][0].get("unit_price")
            found = round(float(units or 0) * unit_price, 6)
            expected = published.price(submit.step.input)
            yield equal("bill", found, expected, "units times unit price is the published price", e)


def _python(text: str) -> str:
    try:
        return str(float(text))
    except ValueError:
        return "a number"
