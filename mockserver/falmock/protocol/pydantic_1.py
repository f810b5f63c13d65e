"""Lists of invalid fields in the words of pydantic 1, which some of fal's models use (PROTOCOL.md 14.1).

Which inputs are valid is decided by pydantic 2 in any case.
"""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from falmock.protocol.errors import Json

# Types and texts of pydantic 1, by the types of pydantic 2
_WORDS: Final[dict[str, tuple[str, str]]] = {
    "missing": ("value_error.missing", "field required"),
    "extra_forbidden": ("value_error.extra", "extra fields not permitted"),
    "none_required": ("type_error.not_none", "value is not None"),
    "list_type": ("type_error.list", "value is not a valid list"),
    "tuple_type": ("type_error.tuple", "value is not a valid tuple"),
    "string_type": ("type_error.str", "str type expected"),
    "string_unicode": ("type_error.str", "str type expected"),
    **dict.fromkeys(
        ("int_type", "int_parsing", "int_parsing_size", "int_from_float", "finite_number"),
        ("type_error.integer", "value is not a valid integer"),
    ),
    **dict.fromkeys(("float_type", "float_parsing"), ("type_error.float", "value is not a valid float")),
    **dict.fromkeys(
        ("bool_type", "bool_parsing"), ("type_error.bool", "value could not be parsed to a boolean")
    ),
    **dict.fromkeys(
        ("dict_type", "model_type", "model_attributes_type"),
        ("type_error.dict", "value is not a valid dict"),
    ),
}
_LIMIT: Final = "limit_value"
# Those with a fact: its name in pydantic 2; type, text and its name in pydantic 1
_WITH_FACT: Final[dict[str, tuple[str, str, str, str]]] = {
    "greater_than": ("gt", "number.not_gt", "ensure this value is greater than {}", _LIMIT),
    "greater_than_equal": ("ge", "number.not_ge", "ensure this value is greater than or equal to {}", _LIMIT),
    "less_than": ("lt", "number.not_lt", "ensure this value is less than {}", _LIMIT),
    "less_than_equal": ("le", "number.not_le", "ensure this value is less than or equal to {}", _LIMIT),
    "multiple_of": (
        "multiple_of",
        "number.not_multiple",
        "ensure this value is a multiple of {}",
        "multiple_of",
    ),
    "string_too_short": (
        "min_length",
        "any_str.min_length",
        "ensure this value has at least {} characters",
        _LIMIT,
    ),
    "string_too_long": (
        "max_length",
        "any_str.max_length",
        "ensure this value has at most {} characters",
        _LIMIT,
    ),
    "string_pattern_mismatch": ("pattern", "str.regex", 'string does not match regex "{}"', "pattern"),
    "too_short": ("min_length", "list.min_items", "ensure this value has at least {} items", _LIMIT),
    "too_long": ("max_length", "list.max_items", "ensure this value has at most {} items", _LIMIT),
}
_UNIONS: Final = {
    "union_tag_not_found": "value_error.discriminated_union.missing_discriminator",
    "union_tag_invalid": "value_error.discriminated_union.invalid_discriminator",
}
_NO_NULL: Final = "type_error.none.not_allowed"
_BODY_AND_FIELD: Final = 2  # the parts of a place that never name a branch of a union
_NOTHING: Final = object()
_LITERAL: Final = re.compile(r"""'[^']*'|"[^"]*"|[^\s,]+""")  # in the `expected` of a literal_error


def rewrite(errors: list[Json], body: bytes) -> list[Json]:
    """Return the errors that pydantic 2 lists for a body as pydantic 1 lists them."""
    if errors[0]["type"] == "json_invalid":
        return [_decoding(errors[0], body)]
    value = json.loads(body) if any(len(error["loc"]) > _BODY_AND_FIELD for error in errors) else None
    tuples = _wrong_lengths(errors)
    entries: list[Json] = []
    for error in errors:
        loc = error["loc"]
        place = _place(loc, value, is_missing=error["type"] == "missing")
        wrong = next((outer for outer in tuples if tuple(loc[: len(outer)]) == outer), None)
        if wrong is None:
            entry = _entry(error, place)
        elif length := tuples[wrong]:
            entry = _tuple_length(_place([*wrong], value), *length)
            tuples[wrong] = None
        else:
            continue  # pydantic 1 does not look at the items of such a tuple
        # Pydantic 1 refuses null once, before it tries the branches of a union.
        if place[-1] == loc[-1] or entry["type"] != _NO_NULL or entry not in entries:
            entries.append(entry)
    return entries


def _place(loc: list[str | int], value: Any, *, is_missing: bool = False) -> list[str | int]:
    """Return the place of an error without the branches of unions, which pydantic 1 leaves out."""
    place, last = loc[:_BODY_AND_FIELD], len(loc) - 1
    inner = _member(value, place[-1])
    for index, part in enumerate(loc[_BODY_AND_FIELD:], _BODY_AND_FIELD):
        found = _member(inner, part)
        if found is not _NOTHING:
            inner = found
        if found is not _NOTHING or (is_missing and index == last):
            place.append(part)
    return place


def _member(value: Any, part: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(part, _NOTHING)
    is_item = isinstance(value, list) and isinstance(part, int) and part < len(value)
    return value[part] if is_item else _NOTHING


def _wrong_lengths(errors: list[Json]) -> dict[tuple[str | int, ...], tuple[int, int] | None]:
    """Return actual and expected length of the tuples that are too short or too long, by their places."""
    found: dict[tuple[str | int, ...], tuple[int, int] | None] = {}
    for error in errors:
        loc, ctx = error["loc"], error.get("ctx", {})
        if error["type"] == "missing" and isinstance(loc[-1], int):
            found[tuple(loc[:-1])] = (len(error["input"]), loc[-1] + 1)  # the last one has the length
        elif error["type"] == "too_long" and ctx["field_type"] == "Tuple":
            found[tuple(loc)] = (ctx["actual_length"], ctx["max_length"])
    return found


def _tuple_length(place: list[str | int], actual: int, expected: int) -> Json:
    msg = f"wrong tuple length {actual}, expected {expected}"
    facts = {"actual_length": actual, "expected_length": expected}
    return {"loc": place, "msg": msg, "type": "value_error.tuple.length", "ctx": facts}


def _decoding(error: Json, body: bytes) -> Json:
    wrong = json.JSONDecodeError(error["ctx"]["error"], body.decode(), error["loc"][-1])
    facts = {name: getattr(wrong, name) for name in ("msg", "doc", "pos", "lineno", "colno")}
    return {"loc": error["loc"], "msg": str(wrong), "type": "value_error.jsondecode", "ctx": facts}


def _entry(error: Json, loc: list[str | int]) -> Json:
    kind, ctx = error["type"], error.get("ctx", {})
    if kind in _UNIONS:
        return _union(error, loc)
    if error["input"] is None and kind != "missing":
        return {"loc": loc, "msg": "none is not an allowed value", "type": _NO_NULL}
    if kind == "literal_error":
        expected = [text for text in _LITERAL.findall(ctx["expected"]) if text != "or"]
        facts: Json = {"given": error["input"], "permitted": list(map(ast.literal_eval, expected))}
        msg = f"unexpected value; permitted: {', '.join(expected)}"
        return {"loc": loc, "msg": msg, "type": "value_error.const", "ctx": facts}
    if kind in _WORDS:
        kind, msg = _WORDS[kind]
        return {"loc": loc, "msg": msg, "type": kind}
    if kind in _WITH_FACT:
        fact, kind, msg, name = _WITH_FACT[kind]
        value = ctx[fact]
        return {"loc": loc, "msg": msg.format(value), "type": f"value_error.{kind}", "ctx": {name: value}}
    place = loc if len(loc) > 1 else [*loc, "__root__"]  # such as a validator of the model
    return {"loc": place, "msg": error["msg"].removeprefix("Value error, "), "type": "value_error"}


def _union(error: Json, loc: list[str | int]) -> Json:
    """Return the entry of a union with a discriminator."""
    ctx = error["ctx"]
    key = ast.literal_eval(ctx["discriminator"].rpartition(" | ")[2])
    facts = {"discriminator_key": key}
    if error["type"] == "union_tag_not_found":
        msg = f"Discriminator {key!r} is missing in value"
    else:
        facts |= {"discriminator_value": ctx["tag"], "allowed_values": ctx["expected_tags"]}
        msg = f"No match for discriminator {key!r} and value {ctx['tag']!r} "
        msg += f"(allowed values: {ctx['expected_tags']})"
    return {"loc": loc, "msg": msg, "type": _UNIONS[error["type"]], "ctx": facts}
