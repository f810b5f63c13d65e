"""Validation of JSON bodies, with FastAPI's errors (PROTOCOL.md 14.1).

fal's runners and its rest host are FastAPI applications, so the 422 `detail` lists come from pydantic there
and here.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from falmock.protocol import bodies
from falmock.protocol.errors import InvalidBody, UnparseableBody
from falmock.protocol.limits import DEFAULT, Limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from falmock.protocol.errors import Json

DEEPEST: Final = 32  # levels of lists and objects in what `check_json` accepts

Schema = TypeVar("Schema", bound=BaseModel)

MOST_ERRORS: Final = (
    100  # of one body; each repeats its input, so that many would be far larger than the body
)


def read(schema: type[Schema], body: bytes, content_type: str | None, limits: Limits = DEFAULT) -> Schema:
    """Parse and validate a body.

    Args:
        schema: unknown fields are ignored.
        content_type: None means JSON.

    Raises:
        InvalidBody: the body is not JSON, or does not match the schema.
        UnparseableBody: the body is not UTF-8, or exceeds the limits.
    """
    try:
        value = _parse(body, limits) if _is_json(content_type) else body or None
        if value is None:
            raise InvalidBody([_entry("missing", ["body"], "Field required", None)])
        return check(schema, value, "body")
    except RecursionError:
        raise UnparseableBody from None


def check(schema: type[Schema], value: object, place: str) -> Schema:
    """Validate a value.

    Args:
        place: "body" or "query", the first part of each `loc`.

    Raises:
        InvalidBody: the value does not match the schema.
    """
    try:
        # FastAPI sets from_attributes too, and the texts of the errors depend on it
        return schema.model_validate(value, from_attributes=True)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False)[:MOST_ERRORS]
        raise InvalidBody(_echo([{**error, "loc": [place, *error["loc"]]} for error in errors])) from None


def check_json(value: object) -> None:
    """Check that a value is valid JSON in UTF-8.

    Raises:
        ValueError: the value is not JSON, or nested too deeply. The text is one line.
    """
    levels, inner = 0, [value]
    while inner := [member for container in inner for member in _members(container)]:
        levels += 1
        if levels > DEEPEST:
            raise ValueError(f"more than {DEEPEST} levels of lists and objects")
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise ValueError("a text is not valid Unicode: it contains a lone surrogate") from None
    except (TypeError, ValueError):
        raise ValueError("a value is not JSON: a date, NaN or infinity, for example") from None


def _members(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def _parse(body: bytes, limits: Limits) -> Any:
    if not body:
        return None
    try:
        return bodies.load(body, limits)
    except json.JSONDecodeError as error:
        entry = _entry("json_invalid", ["body", error.pos], "JSON decode error", {})
        raise InvalidBody([{**entry, "ctx": {"error": error.msg}}]) from None
    except ValueError:  # not UTF-8, beyond the limits, or a number with too many digits for Python
        raise UnparseableBody from None


def _entry(kind: str, loc: list[str | int], msg: str, value: object) -> Json:
    return {"type": kind, "loc": loc, "msg": msg, "input": value}


def _is_json(content_type: str | None) -> bool:
    kind = (content_type or "application/json").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _echo(value: Any) -> Any:
    """Return an input as fal's SDK repeats it: values that JSON lacks become strings (PROTOCOL.md 13)."""
    if isinstance(value, dict):
        return {key: _echo(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_echo(item) for item in value]
    if isinstance(value, bytes):
        return f"<binary {len(value)} bytes>"
    if isinstance(value, Exception):  # of a validator; the message has the same text
        return {}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
