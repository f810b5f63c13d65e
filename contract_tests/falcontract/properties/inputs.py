"""What may be put into an input, and how large."""

from __future__ import annotations

from typing import TYPE_CHECKING

from falcontract.claims import Claims, claim, equal, prop

if TYPE_CHECKING:
    from falcontract.traces import Trace


@prop(
    50,
    "Any text may be a prompt: it is taken, or refused cleanly with an echo that is what was sent",
    "unicode",
    tier=2,
    evidence="PROTOCOL 13, 14.1 (L-422: echoes)",
)
def any_text_may_be_a_prompt(trace: Trace) -> Claims:
    """Each prompt goes once into a good input and once into a broken one, whose refusal echoes it."""
    for job in trace.jobs():
        submitted = trace.submitted(job)
        for e in trace.final_results(job):
            if submitted is None:
                continue
            sent = submitted.step.input
            yield claim(e.status in {200, 422}, "the prompt is taken or refused cleanly", e, e.status)
            yield claim(isinstance(e.json, dict), "the answer is JSON", e, e.body[:100])
            if "image_url" not in sent:
                detail = e.get("detail")
                echoed = detail[0].get("input") if isinstance(detail, list) and detail else None
                yield equal(echoed, sent, "the refusal echoes what was sent", e)
            else:
                yield equal(e.status, 200, "a prompt of any characters is taken", e)


@prop(
    51,
    "A large body is taken up to the limit and refused above it; a large image is refused by the model",
    "large-body",
    "large-image",
    live="V",
    tier=2,
    evidence="assumed: 413 for the body (PROTOCOL 19.1); 8 MB for the image (SEED), its error assumed",
)
def large_inputs_are_refused(trace: Trace) -> Claims:
    """See the title."""
    limit = trace.facts.get("max_body", float("inf"))
    for e in trace.of("submit"):
        if len(e.content) > limit:
            yield equal(e.status, 413, "a body above the limit is refused", e)
            yield claim(e.get("detail"), "and told why", e, e.body[:200])
        else:
            yield equal(e.status, 200, "a body up to the limit is taken", e)
    if trace.program.name == "large-image":
        for e in trace.final_results("A"):
            detail = e.get("detail")
            first = detail[0] if isinstance(detail, list) and detail else {}
            yield equal(e.status, 422, "a larger image than 8 MB is refused", e)
            kind = (first.get("type"), first.get("loc"))
            yield equal(kind, ("file_too_large", ["body", "image_url"]), "with the error for it", e)
        for e in trace.final_results("B"):
            yield equal(e.status, 200, "an image of exactly 8 MB is taken", e)


@prop(
    52,
    "Fields that the schema does not know are ignored",
    "unknown-fields",
    live="V",
    mock="V",
    tier=2,
    evidence="PROTOCOL 14.1 (I): pydantic's default",
)
def unknown_fields_are_ignored(trace: Trace) -> Claims:
    """See the title."""
    for job in trace.jobs():
        for e in trace.final_results(job):
            yield equal(e.status, 200, "an unknown field is ignored", e)
