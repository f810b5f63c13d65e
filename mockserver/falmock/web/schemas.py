"""Schemas as text: the rows of a table of fields, and examples. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from falmock.catalogue import comparing, outputs, sources
from falmock.web.json_texts import dump

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from falmock.catalogue.entries import Entry, Json

PROMPT: Final = "A lego chef cooking eggs"
FILES: Final = {"image": "image.png", "video": "video.mp4", "audio": "sound.mp3"}  # kinds, with a name of one
DEEPEST: Final = 4  # levels of nested schemas; there is a limit because a type may contain itself


@dataclass(frozen=True, slots=True)
class Line:
    """A row in a table of fields.

    Attributes:
        parent: path of the object that has the field; empty for the outermost.
        values: the values that it can have, if they are listed.
    """

    parent: str
    name: str
    required: bool
    type: str
    default: str
    limits: str
    values: Sequence[str]
    description: str


def lines(entry: Entry, part: str) -> list[Line]:
    """Return the rows for the "input" or "output" of a model."""
    return [line(path, facts) for path, facts in comparing.fields(entry, part).items()]


def line(path: str, facts: Json) -> Line:
    """Return the row for a field, from its facts in `comparing.fields`."""
    parent, _, name = path.rpartition(".")
    return Line(
        parent,
        name,
        facts["required"],
        facts["type"].replace(" | ", " or "),
        plain(facts.get("default")),
        limits(facts),
        [plain(json.loads(value)) for value in facts.get("values", ())],
        plain(facts.get("description")),
    )


def plain(value: Any) -> str:
    """Return a value as text: a string without quotes, and nothing for null."""
    return "" if value is None else value if isinstance(value, str) else dump(value)


def limits(facts: Json) -> str:
    """Return the bounds of a field as text, as "1 to 50" or "at most 2500 characters"."""
    found = [
        *(
            f"{comparing.BOUNDS[name]} {facts[name]}"
            for name in ("exclusiveMinimum", "exclusiveMaximum")
            if name in facts
        ),
        _range(facts, "minimum", "maximum", ""),
        _range(facts, "minLength", "maxLength", " characters"),
        _range(facts, "minItems", "maxItems", " items"),
        *(f"{comparing.BOUNDS[name]} {facts[name]}" for name in ("multipleOf", "pattern") if name in facts),
    ]
    return ", ".join(filter(None, found))


def _range(facts: Json, least: str, most: str, unit: str) -> str:
    if least in facts and most in facts:
        return f"{facts[least]} to {facts[most]}{unit}"
    if least in facts:
        return f"at least {facts[least]}{unit}"
    return f"at most {facts[most]}{unit}" if most in facts else ""


def example(schemas: Mapping[str, Json], schema: Json, name: str, depth: int = 0) -> Any:
    """Return an example for a schema. Of several types, it has the largest one."""
    options = list(alternatives(schemas, schema))
    large = (each for each in options if not kinds(each).isdisjoint({"array", "object"}))
    chosen = next(large, options[0])
    if chosen.get("default") not in (None, [], {}):
        return chosen["default"]
    if listed := comparing.choices(chosen):
        return listed[0]
    kind = next(iter(kinds(chosen)), "null")
    if kind == "array" and depth < DEEPEST:
        return [example(schemas, items(schemas, chosen), name.removesuffix("s"), depth + 1)]
    if kind == "object" and depth < DEEPEST:
        properties = chosen.get("properties", {}).items()
        return {
            key: example(schemas, inner if isinstance(inner, dict) else {}, key, depth + 1)
            for key, inner in properties
        }
    simple = {"array": [], "object": {}, "boolean": True, "null": None}
    if kind in {"integer", "number"}:
        return chosen.get("minimum", 1)
    return simple[kind] if kind in simple else _text(name, chosen)


def _text(name: str, schema: Json) -> str:
    kind = kind_of_file(name, [schema])
    return "…" if kind is None else f"https://example.com/{FILES.get(kind, 'file')}"


def kind_of_file(name: str, schemas: Sequence[Json]) -> str | None:
    """Return the kind of files that a field of these schemas names, "" for any; None if it names no files."""
    hint = next((each["_fal_ui_field"] for each in schemas if "_fal_ui_field" in each), None)
    found = hint if isinstance(hint, str) else sources.kind_of(name)
    if found in FILES:
        return found
    return "" if found or not {"url", "urls"}.isdisjoint(name.split("_")) else None


def alternatives(schemas: Mapping[str, Json], schema: Json, depth: int = 0) -> Iterator[Json]:
    """Yield the schemas that a value can fit, references followed and without null; at least one."""
    resolved = outputs.resolve(schemas, schema)
    inner = [option for key in ("anyOf", "oneOf", "allOf") for option in resolved.get(key, ())]
    real = [each for each in inner if isinstance(each, dict) and each.get("type") != "null"]
    if not real or depth == DEEPEST:
        yield resolved
        return
    for option in real:
        yield from alternatives(schemas, option, depth + 1)


def items(schemas: Mapping[str, Json], schema: Json) -> Json:
    """Return the schema of the items of a list, the first of several."""
    inner = schema.get("items")
    return next(alternatives(schemas, inner)) if isinstance(inner, dict) else {}


def kinds(schema: Json) -> frozenset[str]:
    """Return the JSON types that a schema names, without null; "anything" if it names none."""
    kind = schema.get("type", "object" if "properties" in schema else "anything")
    return frozenset(kind if isinstance(kind, list) else [kind]) - {"null"}
