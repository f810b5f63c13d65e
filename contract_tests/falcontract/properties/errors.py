"""The entries of error lists: members, types, texts, echoes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from falcontract.model import fields, published
from falcontract.properties.claims import Claims, claim, equal, prop, results_of

if TYPE_CHECKING:
    from falcontract.model.models import Error
    from falcontract.traces import Exchange, Trace

DOCUMENTATION: Final = "https://docs.fal.ai/errors#"


@prop(
    76,
    "model-errors broken-files large-image",
    tier=2,
    live="S",
    evidence="PROTOCOL 14.2 (L-422, R 2026-07): loc, msg, type, url, ctx and input, in this order",
)
def model_errors_have_their_members(trace: Trace) -> Claims:
    """An error of a model has loc, msg, type, url, its facts and the echo, and nothing else."""
    for e in trace.final_results():
        submit = trace.submitted(e.step.job)
        if submit is not None and not e.ok and e.get("error_type") is None:
            yield from _is_model_error(e, submit.step.input)


def _is_model_error(e: Exchange, given: Any) -> Claims:
    detail = e.get("detail")
    count = len(detail) if isinstance(detail, list) else 0
    yield equal("one", count, 1, "the detail is a list of one entry", e)
    for entry in e.details:
        kind, loc, msg = entry.get("type"), entry.get("loc"), str(entry.get("msg"))
        wanted = re.fullmatch(r"\((\w+)\)", str(given.get("prompt")))
        if wanted:
            yield equal("type", kind, wanted[1], "it has the type that the model raised", e)
        status, text, facts = published.MODEL_ERRORS.get(str(kind), (422, "", {}))
        yield equal("code", e.status, status, f"the HTTP status of {kind}", e)
        echo = _echo(given, loc)  # none of a field that the input does not have
        names = [
            "loc",
            "msg",
            "type",
            "url",
            *(["ctx"] if facts else []),
            *([] if echo is None else ["input"]),
        ]
        yield equal("members", list(entry), names, "it has these members, in this order", e)
        yield equal("url", entry.get("url"), f"{DOCUMENTATION}{kind}", "the link is the live form", e)
        yield claim("msg", msg.startswith(text) and len(msg) > 1, "it has the recorded text", e, msg)
        ctx = entry.get("ctx") if isinstance(entry.get("ctx"), dict) else {}
        yield equal("ctx", sorted(ctx or {}), sorted(facts), "it has the documented facts", e)
        for name, type_ in facts.items():
            value = (ctx or {}).get(name)
            is_type = isinstance(value, type_) and not isinstance(value, bool)
            yield claim("fact", is_type, f"{name} has its JSON type", e, value)
            if not isinstance(value, list):
                yield claim(
                    "stated",
                    text == "" or "Image too large" in msg or _states(msg, value),
                    f"the text states {name}",
                    e,
                    msg,
                )
        yield claim("loc", isinstance(loc, list) and loc[:1] == ["body"], "loc starts with body", e, loc)
        yield equal("echo", entry.get("input"), echo, "input echoes what was rejected", e)


def _states(msg: str, value: Any) -> bool:
    return re.search(rf"(?<![\d.]){re.escape(str(value))}(?!\d)", msg) is not None


def _echo(given: dict[str, Any], loc: Any) -> Any:
    """Return the rejected value: the whole input with its defaults for the body or the prompt."""
    whole = given | {name: value for name, value in published.DEFAULTS.items() if name not in given}
    if loc in (["body"], ["body", "prompt"]):
        return whole
    return whole.get(str(loc[-1])) if isinstance(loc, list) and loc else None


@prop(
    77,
    "schema broken-input malformed-bodies",
    tier=2,
    evidence="PROTOCOL 14.1 (I from FastAPI; the literal is L), 16.3; R 2026-07: no url",
    each="fields",
)
def validation_errors_have_their_members(trace: Trace) -> Claims:
    """A validation error has type, loc, msg, the echo and its facts in pydantic's form, and nothing else."""
    for model, submit, e in results_of(trace):
        if e.status == 422:
            expected = fields.body_errors(model, submit.request_body, submit.step.content_type) or []
            known = {(error.type, error.loc): error for error in expected}
            for entry in e.details:
                key: Any = entry.get("type"), tuple(entry.get("loc") or ())
                yield from _is_validation_error(e, entry, known.get(key), submit.step.input)


def _is_validation_error(e: Exchange, entry: dict[str, Any], known: Error | None, given: Any) -> Claims:
    kind, loc, msg = entry.get("type"), entry.get("loc"), entry.get("msg")
    has_facts = kind == "json_invalid" or (known is not None and known.ctx is not None)
    names = ["type", "loc", "msg", "input", *(["ctx"] if has_facts else [])]
    yield equal("members", list(entry), names, "it has these members, in this order", e)
    if known is not None and known.msg:
        yield equal("msg", msg, known.msg, "it has pydantic's text", e)
    if known is not None and known.ctx is not None:
        yield equal("ctx", entry.get("ctx"), known.ctx, "its facts are the values or bounds of the field", e)
    if isinstance(given, dict) and isinstance(loc, list):
        yield equal(
            "echo", entry.get("input"), _value_at(given, kind, loc), "input echoes what was rejected", e
        )


def _value_at(given: Any, kind: Any, loc: list[Any]) -> Any:
    """Return the rejected value; of a missing field the object around it. Names of classes are passed by."""
    value = given
    for part in loc[1 : -1 if kind == "missing" else None]:
        if (isinstance(value, dict) and part in value) or (
            isinstance(value, list) and isinstance(part, int) and part < len(value)
        ):
            value = value[part]
    return value
