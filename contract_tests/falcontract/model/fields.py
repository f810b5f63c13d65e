"""The errors that an input has by the facts in `models`, and inputs with one error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from falcontract.model.models import SIDE, SIZES, Error, Field, Model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from falcontract.steps import Json

TYPES: Final = {
    "string": ("string_type", "Input should be a valid string"),
    "integer": ("int_type", "Input should be a valid integer"),
    "number": ("float_type", "Input should be a valid number"),
    "boolean": ("bool_type", "Input should be a valid boolean"),
    "strings": ("list_type", "Input should be a valid list"),
}
PARSING: Final = {
    "integer": ("int_parsing", "Input should be a valid integer, unable to parse string as an integer"),
    "number": ("float_parsing", "Input should be a valid number, unable to parse string as a number"),
    "boolean": ("bool_parsing", "Input should be a valid boolean, unable to interpret input"),
}
FRACTION: Final = "Input should be a valid integer, got a number with a fractional part"
NO_OBJECT: Final = "Input should be a valid dictionary or object to extract fields from"
SIZE_CLASS: Final = "ImageSize"
NO_NUMBER: Final = "many"


def errors(model: Model, given: Any) -> list[Error]:
    """Return the errors of an input in their order; texts that no input of the suite has count as numbers."""
    if not isinstance(given, dict):
        return [Error("model_attributes_type", ("body",), NO_OBJECT)]
    found: list[Error] = []
    for name, field in model.fields.items():
        if name in given:
            found += _errors(field, ("body", name), given[name])
        elif field.required:
            found.append(Error("missing", ("body", name), "Field required"))
    return found


def body_errors(model: Model, body: bytes, content_type: str | None) -> list[Error] | None:
    """Return the validation errors of a raw body, as FastAPI reports them; None if it has no list."""
    kind = (content_type or "application/json").partition(";")[0].strip().lower()
    if not (kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))):
        return errors(model, None) if body else [Error("missing", ("body",))]
    try:
        value = json.loads(body) if body else None
    except json.JSONDecodeError as error:
        return [Error("json_invalid", ("body", error.pos), "JSON decode error")]
    except (ValueError, RecursionError):
        return None
    return [Error("missing", ("body",))] if value is None else errors(model, value)


def reported(detail: Any) -> list[tuple[str, tuple[str | int, ...]]] | None:
    """Return `type` and `loc` of the entries of a `detail` list; None if it is not such a list."""
    if not isinstance(detail, list) or not detail:
        return None
    if not all(isinstance(entry, dict) and {"loc", "msg", "type"} <= entry.keys() for entry in detail):
        return None
    return [(str(entry["type"]), tuple(entry["loc"] or ())) for entry in detail]


def _errors(field: Field, loc: tuple[str | int, ...], value: Any) -> Iterator[Error]:
    if value is None and field.takes_null:
        return
    if field.kind == "size":
        yield from _size_errors(loc, value)
    elif field.choices:
        if value not in field.choices or type(value) is not type(field.choices[0]):
            yield literal(loc, field.choices)
    elif (wrong := _wrong_type(field.kind, value)) is not None:
        yield Error(wrong[0], loc, wrong[1])
    else:
        yield from _errors_of_type(field, loc, value)


def _errors_of_type(field: Field, loc: tuple[str | int, ...], value: Any) -> Iterator[Error]:
    if isinstance(value, list):
        wrong = (index for index, item in enumerate(value) if not isinstance(item, str))
        yield from (Error(TYPES["string"][0], (*loc, index), TYPES["string"][1]) for index in wrong)
    elif field.kind in {"integer", "number"}:
        yield from _bound_errors(field, loc, value)
    elif isinstance(value, str):
        yield from _length_errors(field, loc, value)


def literal(loc: tuple[str | int, ...], choices: Any) -> Error:
    *others, last = map(repr, choices)
    expected = f"{', '.join(others)} or {last}"
    return Error("literal_error", loc, f"Input should be {expected}", {"expected": expected})


def _wrong_type(kind: str, value: Any) -> tuple[str, str] | None:
    if isinstance(value, str) and kind in PARSING:
        return PARSING[kind] if value == NO_NUMBER else None
    if kind == "integer" and isinstance(value, float) and value % 1:
        return "int_from_float", FRACTION
    types: dict[str, Any] = {"string": str, "boolean": bool, "strings": list}
    return None if isinstance(value, types.get(kind, (int, float))) else TYPES[kind]


def _bound_errors(field: Field, loc: tuple[str | int, ...], value: float) -> Iterator[Error]:
    if field.most is not None and value > field.most:
        text = f"Input should be less than or equal to {field.most:g}"
        yield Error("less_than_equal", loc, text, {"le": field.most})
    elif field.least is not None and value < field.least:
        text = f"Input should be greater than or equal to {field.least:g}"
        yield Error("greater_than_equal", loc, text, {"ge": field.least})


def _length_errors(field: Field, loc: tuple[str | int, ...], value: str) -> Iterator[Error]:
    if field.shortest is not None and len(value) < field.shortest:
        text = f"String should have at least {field.shortest} characters"
        yield Error("string_too_short", loc, text, {"min_length": field.shortest})
    if field.longest is not None and len(value) > field.longest:
        text = f"String should have at most {field.longest} characters"
        yield Error("string_too_long", loc, text, {"max_length": field.longest})


def _size_errors(loc: tuple[str | int, ...], value: Any) -> Iterator[Error]:
    """Yield the errors of both branches of a size: the object's, then the preset's (PROTOCOL.md 14.1)."""
    if isinstance(value, str) and value in SIZES:
        return
    inner = (*loc, SIZE_CLASS)
    before = []
    if not isinstance(value, dict):
        before.append(Error("model_attributes_type", inner, NO_OBJECT))
    else:
        for side in ("width", "height"):
            length = value.get(side, 512)
            if length <= 0:
                before.append(
                    Error("greater_than", (*inner, side), "Input should be greater than 0", {"gt": 0})
                )
            elif length > SIDE:
                text = f"Input should be less than or equal to {SIDE}"
                before.append(Error("less_than_equal", (*inner, side), text, {"le": SIDE}))
    if before:
        yield from before
        yield literal((*loc, f"literal[{','.join(map(repr, SIZES))}]"), SIZES)


def broken(model: Model) -> Iterator[Json]:
    """Yield inputs with an error: a field missing, of a wrong type, null, beyond its bounds, not a choice."""
    for name, field in model.fields.items():
        if field.required:
            yield {key: value for key, value in model.valid.items() if key != name}
        yield from (model.valid | {name: value} for value in _wrong_values(field))
    yield {name: {} for name in model.fields}  # an error for each field, in their order


def _wrong_values(field: Field) -> Iterator[Any]:
    if field.kind != "size":
        yield {"no": "value"}
    if not field.takes_null:
        yield None
    if field.kind == "size":  # an object of other members has the default width and height
        yield from (5, "1536x1024", {"width": 0, "height": 64}, {"width": 64, "height": SIDE + 1})
    elif field.choices:
        yield "no such choice"
        if str(field.choices[0]).isdecimal():  # "5" is not 5
            yield int(field.choices[0]) if field.kind == "string" else str(field.choices[0])
    elif field.kind == "strings":
        yield from (["https://example.com/a.png", 5], "https://example.com/a.png")
    else:
        yield from ([NO_NUMBER] if field.kind in PARSING else [])
        yield from _beyond_bounds(field)


def _beyond_bounds(field: Field) -> Iterator[Any]:
    if field.kind == "integer":
        yield 1.5
    step = 1 if field.kind == "integer" else 0.01
    if field.most is not None:
        yield field.most + step
    if field.least is not None:
        yield field.least - step
    if field.longest is not None:
        yield "x" * (field.longest + 1)
    if field.shortest is not None:
        yield "x" * (field.shortest - 1)


def at_bounds(model: Model) -> Iterator[Json]:
    """Yield valid inputs: all fields at their lower bounds, at their upper bounds, and null."""
    for bound, length in (("least", "shortest"), ("most", "longest")):
        given = dict(model.valid)
        for name, field in model.fields.items():
            if (value := getattr(field, bound)) is not None:
                given[name] = value
            elif (many := getattr(field, length)) is not None:
                given[name] = "x" * many
        yield given
    yield model.valid | {name: None for name, field in model.fields.items() if field.takes_null}
