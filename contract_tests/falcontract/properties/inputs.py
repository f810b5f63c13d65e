"""Unusual and large inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from falcontract.properties.claims import Claims, claim, equal, prop

if TYPE_CHECKING:
    from falcontract.traces import Trace


@prop(50, "unicode", tier=2, evidence="PROTOCOL 13, 14.1 (L-422: echoes)")
def any_text_may_be_a_prompt(trace: Trace) -> Claims:
    """Any text may be a prompt: it is accepted, or refused with an exact echo.

    Each prompt is sent in a valid input, and in an invalid one: the refusal echoes it.
    """
    for submit in trace.submits():
        job, sent = submit.step.job, submit.step.input
        results = trace.final_results(job)
        yield claim("ends", results, f"{job} ends")
        for e in results:
            yield claim("json", isinstance(e.json, dict), "the answer is JSON", e, e.body[:100])
            if "image_url" in sent:
                yield equal("accepted", e.status, 200, "a prompt of any characters is accepted", e)
            else:
                echo = e.details[0].get("input") if e.details else None
                yield equal("refused", e.status, 422, "an invalid input is a 422", e)
                yield equal("echo", echo, sent, "the refusal echoes the input", e)


@prop(51, "large-body", live="V", tier=2, evidence="assumed: 413 (PROTOCOL 19.1)")
def large_bodies_are_refused(trace: Trace) -> Claims:
    """A body is accepted up to the size limit, and refused with 413 above it."""
    limit = trace.facts.get("max_body", float("inf"))
    for e in trace.of("submit"):
        if len(e.request_body) > limit:
            yield equal("above", e.status, 413, "a body above the limit is refused", e)
            yield claim("detail", e.get("detail"), "the refusal has a detail", e, e.body[:200])
        else:
            yield equal("below", e.status, 200, "a body up to the limit is accepted", e)


@prop(61, "large-image", live="V", tier=2, evidence="PROTOCOL 16.1 (SEED: 8 MB); the error is assumed")
def large_images_are_refused(trace: Trace) -> Claims:
    """An image is accepted up to 8 MB, and refused by the model above it.

    A has one byte more than 8 MB, B exactly 8 MB.
    """
    for e in trace.of("submit"):
        yield equal("submit", e.status, 200, "the submit is accepted", e)
    for e in trace.final_results("A"):
        first = e.details[0] if e.details else {}
        yield equal("above", e.status, 422, "an image above 8 MB is refused", e)
        found = first.get("type"), first.get("loc")
        yield equal(
            "type", found, ("file_too_large", ["body", "image_url"]), "the error is file_too_large", e
        )
    for e in trace.final_results("B"):
        yield equal("below", e.status, 200, "an image of 8 MB is accepted", e)


@prop(52, "unknown-fields", live="V", mock="V", tier=2, evidence="PROTOCOL 14.1 (I): pydantic's default")
def unknown_fields_are_ignored(trace: Trace) -> Claims:
    """Fields that the schema does not define are ignored."""
    for e in trace.final_results():
        yield equal("code", e.status, 200, "an unknown field is ignored", e)
