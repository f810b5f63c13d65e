"""The fields of an entry as flat facts, and how two entries differ."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from falmock.catalogue.entries import REFERENCE, ordered

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from falmock.catalogue.entries import Entry, Json

Facts = dict[str, Any]

BOUNDS: Final = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "above",
    "exclusiveMaximum": "below",
    "multipleOf": "multiple of",
    "minLength": "shortest",
    "maxLength": "longest",
    "minItems": "fewest",
    "maxItems": "most",
    "pattern": "pattern",
}
PARTS: Final = ("input", "output")
_DEEPEST: Final = 4  # a type may contain itself


def fields(entry: Entry, part: str) -> dict[str, Facts]:
    """Return the facts of each field of the "input" or "output" by its path, as "image_size.width".

    The facts are "type", "required", "default", "description", "values" (those that it can have), and the
    bounds in `BOUNDS`.
    """
    return dict(_fields(entry.schemas, entry.schemas.get(getattr(entry, part), {}), "", 0))


def text(facts: Facts) -> str:
    """Return the facts of a field in words."""
    words = [facts["type"]]
    if "values" in facts:
        words.append("one of " + ", ".join(map(str, facts["values"])))
    words += [f"{words_} {_value(facts[name])}" for name, words_ in BOUNDS.items() if name in facts]
    words += ["required"] if facts["required"] else []
    words += [f"default {_value(facts['default'])}"] if "default" in facts else []
    return ", ".join(words)


def differences(older: Entry, newer: Entry) -> list[str]:
    """Return a line for each difference: + for an added field, - for a removed one, ~ for a changed fact."""
    lines = []
    for part in PARTS:
        before, after = fields(older, part), fields(newer, part)
        lines += [f"- {part}.{name}: {text(facts)}" for name, facts in before.items() if name not in after]
        for name, facts in after.items():
            if name not in before:
                lines.append(f"+ {part}.{name}: {text(facts)}")
            else:
                lines += [f"~ {part}.{name}: {change}" for change in _changes(before[name], facts)]
    return lines


def _changes(before: Facts, after: Facts) -> Iterator[str]:
    for name in ("type", "required", "default", *BOUNDS):
        old, new = before.get(name, _NOTHING), after.get(name, _NOTHING)
        if old != new or type(old) is not type(new):
            yield f"{BOUNDS.get(name, name)} {_value(old)} -> {_value(new)}"
    old, new = before.get("values", []), after.get("values", [])
    gone, come = [each for each in old if each not in new], [each for each in new if each not in old]
    if gone or come:
        changed = [f"without {', '.join(gone)}"] if gone else []
        changed += [f"with {', '.join(come)}"] if come else []
        yield f"values {' and '.join(changed)}"


_NOTHING: Final = object()


def _value(value: Any) -> str:
    return "none" if value is _NOTHING else json.dumps(value, ensure_ascii=False)


def _fields(schemas: Mapping[str, Json], schema: Json, start: str, depth: int) -> Iterator[tuple[str, Facts]]:
    if depth == _DEEPEST or not isinstance(schema.get("properties"), dict):
        return
    for name in ordered(schema):
        stated = schema["properties"][name]
        field = stated if isinstance(stated, dict) else {}
        facts: Facts = {
            "type": _type(schemas, field),
            "required": name in schema.get("required", ()),
            **{name: field[name] for name in ("default", "description") if name in field},
        }
        branches = list(_branches(field))
        if values := [json.dumps(value) for branch in branches for value in choices(branch)]:
            facts["values"] = list(dict.fromkeys(values))
        facts |= {key: branch[key] for branch in branches for key in BOUNDS if key in branch}
        yield f"{start}{name}", facts
        for branch in branches:
            yield from _fields(schemas, _referred(schemas, branch), f"{start}{name}.", depth + 1)


def _branches(schema: Json) -> Iterator[Json]:
    """Yield the schema, its options, and those of its items."""
    yield schema
    for each in [*_options(schema), schema.get("items")]:
        if isinstance(each, dict):
            yield from _branches(each)


def _options(schema: Json) -> list[Any]:
    return [option for key in ("anyOf", "oneOf", "allOf") for option in schema.get(key, ())]


def choices(schema: Json) -> list[Any]:
    """Return the values that a schema lists."""
    return [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else [])]


def _referred(schemas: Mapping[str, Json], schema: Json) -> Json:
    reference = schema.get("$ref")
    return schemas.get(reference.removeprefix(REFERENCE), {}) if isinstance(reference, str) else schema


def _type(schemas: Mapping[str, Json], schema: Any) -> str:
    if not isinstance(schema, dict):
        return "anything"
    if "$ref" in schema:
        component = _referred(schemas, schema)
        return str(component.get("title") or schema["$ref"].removeprefix(REFERENCE))
    if options := _options(schema):
        return " | ".join(dict.fromkeys(_type(schemas, option) for option in options))
    kind = schema.get("type", "anything")
    if isinstance(kind, list):
        return " | ".join(kind)
    return f"list of {_type(schemas, schema['items'])}" if kind == "array" and "items" in schema else kind
