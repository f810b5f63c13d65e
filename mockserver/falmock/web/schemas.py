"""JSON and schemas as text: the rows of a table of fields, and examples. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from falmock.catalogue import comparing, outputs, sources
from falmock.protocol import bodies

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from falmock.catalogue.entries import Entry, Json

PROMPT: Final = "A lego chef cooking eggs"
FILES: Final = {"image": "image.png", "video": "video.mp4", "audio": "sound.mp3"}  # kinds, with a name of one
DEEPEST: Final = 4  # levels of nested schemas; there is a limit because a type may contain itself


@dataclass(frozen=True, slots=True)
class Line:
    """A row in a table of fields."""

    parent: str  # path of the object that has the field; empty for the outermost
    name: str
    required: bool
    type: str
    default: str
    limits: str
    values: Sequence[str]  # the allowed ones, if they are listed
    description: str


def lines(entry: Entry, part: str) -> list[Line]:
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
        _bound(facts, "exclusiveMinimum"),
        _bound(facts, "exclusiveMaximum"),
        _range(facts, "minimum", "maximum", ""),
        _range(facts, "minLength", "maxLength", " characters"),
        _range(facts, "minItems", "maxItems", " items"),
        _bound(facts, "multipleOf"),
        _bound(facts, "pattern"),
    ]
    return ", ".join(filter(None, found))


def _bound(facts: Json, name: str) -> str:
    return f"{comparing.BOUNDS[name]} {facts[name]}" if name in facts else ""


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
        return {
            key: example(schemas, inner if isinstance(inner, dict) else {}, key, depth + 1)
            for key, inner in chosen.get("properties", {}).items()
        }
    number = chosen.get("minimum", 1)
    simple = {"array": [], "object": {}, "boolean": True, "null": None, "integer": number, "number": number}
    if kind in simple:
        return simple[kind]
    file = kind_of_file(name, [chosen])
    return "…" if file is None else f"https://example.com/{FILES.get(file, 'file')}"


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


class NotJsonError(ValueError):
    """A text is not JSON; the message is one sentence for the user."""


def load(text: str) -> Any:
    """Parse a text.

    Raises:
        NotJsonError: it is not JSON.
    """
    try:
        return bodies.load(text.encode(errors="surrogatepass"))
    except json.JSONDecodeError as error:
        raise NotJsonError(
            f"This is not JSON: {error.msg} in line {error.lineno}, column {error.colno}."
        ) from None
    except (ValueError, RecursionError):
        raise NotJsonError("This is not JSON that fal reads: it is too large, or nested too deep.") from None


def dump(value: Any, *, indent: int | None = None) -> str:
    """Return JSON in Unicode, with escapes only for what UTF-8 cannot encode."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return text if is_unicode(text) else json.dumps(value, indent=indent)


def is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
