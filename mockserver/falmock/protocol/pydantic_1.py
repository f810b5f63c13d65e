"""Lists of invalid fields in the words of pydantic 1, which some of fal's models use (PROTOCOL.md 14.1).

Which inputs are valid is decided by pydantic 2 in any case.
"""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from falmock.protocol.errors import Json

# The entries of pydantic 1 by the types of pydantic 2: type, text, and the names of its facts in both.
_WORDS: Final[dict[str, tuple[str, str, tuple[str, str] | None]]] = {
    "missing": ("value_error.missing", "field required", None),
    "string_type": ("type_error.str", "str type expected", None),
    **dict.fromkeys(
        ("int_type", "int_parsing", "int_from_float"),
        ("type_error.integer", "value is not a valid integer", None),
    ),
    **dict.fromkeys(
        ("float_type", "float_parsing"), ("type_error.float", "value is not a valid float", None)
    ),
    **dict.fromkeys(
        ("bool_type", "bool_parsing"), ("type_error.bool", "value could not be parsed to a boolean", None)
    ),
    "list_type": ("type_error.list", "value is not a valid list", None),
    **dict.fromkeys(
        ("dict_type", "model_type", "model_attributes_type"),
        ("type_error.dict", "value is not a valid dict", None),
    ),
    "greater_than": (
        "value_error.number.not_gt",
        "ensure this value is greater than {}",
        ("gt", "limit_value"),
    ),
    "greater_than_equal": (
        "value_error.number.not_ge",
        "ensure this value is greater than or equal to {}",
        ("ge", "limit_value"),
    ),
    "less_than": ("value_error.number.not_lt", "ensure this value is less than {}", ("lt", "limit_value")),
    "less_than_equal": (
        "value_error.number.not_le",
        "ensure this value is less than or equal to {}",
        ("le", "limit_value"),
    ),
    "multiple_of": (
        "value_error.number.not_multiple",
        "ensure this value is a multiple of {}",
        ("multiple_of", "multiple_of"),
    ),
    "string_too_short": (
        "value_error.any_str.min_length",
        "ensure this value has at least {} characters",
        ("min_length", "limit_value"),
    ),
    "string_too_long": (
        "value_error.any_str.max_length",
        "ensure this value has at most {} characters",
        ("max_length", "limit_value"),
    ),
    "too_short": (
        "value_error.list.min_items",
        "ensure this value has at least {} items",
        ("min_length", "limit_value"),
    ),
    "too_long": (
        "value_error.list.max_items",
        "ensure this value has at most {} items",
        ("max_length", "limit_value"),
    ),
}
_LITERAL: Final = re.compile(r"""'[^']*'|"[^"]*"|[^\s,]+""")  # in the `expected` of a literal_error


def rewrite(errors: list[Json], body: bytes) -> list[Json]:
    """Return the errors of an invalid body as pydantic 1 lists them.

    Args:
        errors: of pydantic 2.
        body: that has them; one that is not JSON is repeated.
    """
    return [_entry(error, body) for error in errors]


def _entry(error: Json, body: bytes) -> Json:
    kind, loc, ctx = error["type"], error["loc"], error.get("ctx", {})
    if kind == "json_invalid":
        text, position = body.decode(), loc[-1]
        wrong = json.JSONDecodeError(ctx["error"], text, position)
        facts = {"msg": wrong.msg, "doc": text, "pos": position, "lineno": wrong.lineno, "colno": wrong.colno}
        return {"loc": loc, "msg": str(wrong), "type": "value_error.jsondecode", "ctx": facts}
    if error["input"] is None and kind != "missing":
        return {"loc": loc, "msg": "none is not an allowed value", "type": "type_error.none.not_allowed"}
    if kind == "literal_error":
        expected = [text for text in _LITERAL.findall(ctx["expected"]) if text != "or"]
        facts = {"given": error["input"], "permitted": list(map(ast.literal_eval, expected))}
        msg = f"unexpected value; permitted: {', '.join(expected)}"
        return {"loc": loc, "msg": msg, "type": "value_error.const", "ctx": facts}
    if kind not in _WORDS:  # such as a validator of the model
        place = loc if len(loc) > 1 else [*loc, "__root__"]
        return {"loc": place, "msg": error["msg"].removeprefix("Value error, "), "type": "value_error"}
    kind, msg, fact = _WORDS[kind]
    if fact is None:
        return {"loc": loc, "msg": msg, "type": kind}
    value = ctx[fact[0]]
    return {"loc": loc, "msg": msg.format(value), "type": kind, "ctx": {fact[1]: value}}
