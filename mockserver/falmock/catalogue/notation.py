"""A compact notation for the fields of an endpoint, and the JSON Schema components that it stands for.

The notation is that of `data/checked.json` and `data/listed.jsonl`. docs/catalogue.md explains its keys.
"""

from __future__ import annotations

import re
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from falmock.catalogue.entries import ORDER, REFERENCE, Entry, Json, Medium, Price

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

Field = dict[str, Any]
Fields = dict[str, Field]

_BRANCH: Final = {  # keys of a field that describe its value
    "type": "type",
    "enum": "enum",
    "const": "const",
    "min": "minimum",
    "max": "maximum",
    "above": "exclusiveMinimum",
    "below": "exclusiveMaximum",
    "step": "multipleOf",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_items": "minItems",
    "max_items": "maxItems",
}
_WHOLE: Final = {  # keys of a field that stand beside `anyOf`
    "default": "default",
    "description": "description",
    "file": "_fal_ui_field",
    "limits": "x-fal",
}
ANY_FILE: Final = ("file", "any")  # fal has no word for it
_NESTED: Final = frozenset({"ref", "any", "items", "values", "tuple", "null", "required"})
_AS_THEY_ARE: Final = ("price_rule", "certainty", "date", "validation", "retired")
_OUTPUTS: Final[tuple[tuple[Medium, re.Pattern[str]], ...]] = (
    ("weights", re.compile(r"lora_file|safetensors|^(?:config_file|lora_url)$")),
    ("mesh", re.compile(r"mesh|glb|^(?:fbx|obj|ply|point_cloud|gaussian)")),
    ("video", re.compile(r"video|^(?:frames_zip|animation)$")),
    ("audio", re.compile(r"audio|vocals|^(?:sound|speech|music)")),
    ("image", re.compile(r"image|mask|picture|svg|depth|^(?:normal|pbr_maps)")),
)
_IDS: Final[tuple[tuple[Medium, re.Pattern[str]], ...]] = (
    ("weights", re.compile(r"train")),
    ("text", re.compile(r"text|json|caption|transcri|structured.prompt|llm|chat|completions|responses")),
    ("mesh", re.compile(r"3d|mesh|world")),
    ("video", re.compile(r"video|lipsync|lottie|veo|sora|kling")),
    ("audio", re.compile(r"audio|speech|music|tts|voice|sound|song")),
    ("image", re.compile(r"image|edit|inpaint|flux|diffusion|sdxl|upscale|tryon|hidream")),
)


class Listing(NamedTuple):
    """The fields of an endpoint in compact notation."""

    input: Fields  # by name, in fal's order
    output: Fields
    types: Mapping[str, Json]  # the objects that these refer to, by name; each has `class` and `fields`


def entry(endpoint: str, facts: Json, types: Mapping[str, Json]) -> Entry:
    """Return the entry that the facts of an endpoint in a data file stand for.

    They may refer to the types.
    """
    schemas, names = _components(endpoint, facts, types)
    price = facts.get("price")
    return Entry(
        endpoint=endpoint,
        schemas=schemas,
        input=names["input"],
        output=names["output"],
        medium=facts.get("medium") or medium(schemas, names["output"]) or medium_of(endpoint),
        category=category(endpoint),
        price=Price(**price) if price else None,
        **{key: facts[key] for key in _AS_THEY_ARE if key in facts},
    )


def _components(
    endpoint: str, facts: Json, types: Mapping[str, Json]
) -> tuple[dict[str, Json], dict[str, str]]:
    """Return the components of an endpoint by name, and the names of its `input` and `output`.

    If the facts do not name these, their names and classes are made of the id, as at fal.
    """
    roots = {part: f"{pascal(endpoint)}{part.title()}" for part in ("input", "output")}
    roots |= facts.get("components", {})
    classes, descriptions = roots | facts.get("classes", {}), facts.get("descriptions", {})
    found = used((facts[part] for part in roots), types)
    names: dict[str, str] = {}
    for type_ in found:
        names[type_] = _free(type_.partition("~")[0], {*roots.values(), *names.values()})
    schemas = {
        root: _component(classes[part], facts[part], descriptions.get(part), names)
        for part, root in roots.items()
    }
    for type_, known in found.items():
        schemas[names[type_]] = _component(known["class"], known["fields"], known.get("description"), names)
    return dict(sorted(schemas.items())), roots


def pascal(endpoint: str) -> str:
    """Return the id as fal writes it in the names of components: "KlingVideoV3Pro", without the owner."""
    _, _, path = endpoint.partition("/")
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", path))


def category(endpoint: str) -> str:
    """Return fal's category of a model if the last segment of its id is one, as "text-to-image"; else ""."""
    last = endpoint.rpartition("/")[2]
    return last if "-to-" in last else ""


def medium(schemas: Mapping[str, Json], output: str) -> Medium | None:
    """Return the medium of the main file in an output, from the names of its fields; None if they do not say.

    An output without a file is a text.
    """
    fields: Mapping[str, Json] = schemas.get(output, {}).get("properties", {})
    files = {name: field for name, field in fields.items() if _is_file(name, field, schemas)}
    types = {reference.lower() for field in files.values() for reference in _references(field)}
    for names in (files.keys(), types):
        for kind, pattern in _OUTPUTS:
            if any(map(pattern.search, names)):
                return kind
    return "text" if fields and not files else None


def medium_of(endpoint: str) -> Medium:
    """Guess the medium of a model from its id, of which the last words say most: "text-to-video"."""
    _, _, path = endpoint.lower().partition("/")
    for segment in reversed(path.split("/")):
        for kind, pattern in _IDS:
            if pattern.search(segment.rpartition("-to-")[2]):
                return kind
    return "unknown"


def _is_file(name: str, field: Json, schemas: Mapping[str, Json], *, deeper: bool = True) -> bool:
    """Check whether a field is a file, or an object that has one."""
    if name.endswith(("_url", "_urls")):
        return True
    shapes = [schemas.get(reference, {}).get("properties", {}) for reference in _references(field)]
    inner = [each for shape in shapes for each in shape.items()] if deeper else []
    return any("url" in shape for shape in shapes) or any(
        _is_file(name, field, schemas, deeper=False) for name, field in inner
    )


def _references(field: Any) -> Iterator[str]:
    if not isinstance(field, dict):  # such as true, for anything
        return
    if "$ref" in field:
        yield field["$ref"].removeprefix(REFERENCE)
    for option in [*field.get("anyOf", []), *field.get("allOf", []), field.get("items")]:
        yield from _references(option)


def used(parts: Iterable[Fields], types: Mapping[str, Json]) -> dict[str, Json]:
    """Return the types that fields refer to, directly or not. A reference may lead nowhere."""
    found: dict[str, Json] = {}
    fields = [field for part in parts for field in part.values()]
    while fields:
        field = fields.pop(0)
        name = field.get("ref", "")
        if name in types and name not in found:
            found[name] = types[name]
            fields += found[name]["fields"].values()
        fields += [*field.get("any", ()), *field.get("tuple", ())]
        fields += [field[key] for key in ("items", "values") if key in field]
    return found


def _free(name: str, taken: Container[str]) -> str:
    """Return the name, or one with a number: two classes of a document may have one name."""
    candidates = (name if number == 1 else f"{name}{number}" for number in count(1))
    return next(candidate for candidate in candidates if candidate not in taken)


def _component(title: str, fields: Fields, description: str | None, names: Mapping[str, str]) -> Json:
    schema: Json = {"description": description} if description else {}
    schema["properties"] = {name: _property(name, field, names) for name, field in fields.items()}
    if required := [name for name, field in fields.items() if field.get("required")]:
        schema["required"] = required
    return {**schema, "title": title, "type": "object", ORDER: list(fields)}


def _property(name: str, field: Field, names: Mapping[str, str]) -> Json:
    schema = _schema(field, names)
    # pydantic gives a title to each field but those that are only a reference.
    if "ref" not in field:
        schema["title"] = name.replace("_", " ").title()
    return dict(sorted(schema.items()))


def _schema(field: Field, names: Mapping[str, str]) -> Json:
    if unknown := field.keys() - _BRANCH.keys() - _WHOLE.keys() - _NESTED:
        raise ValueError(f"no such key of a field: {', '.join(sorted(unknown))}")
    branch: Json = {_BRANCH[key]: value for key, value in field.items() if key in _BRANCH}
    if "ref" in field:
        branch["$ref"] = REFERENCE + names.get(field["ref"], field["ref"])
    if "items" in field:
        branch["items"] = _schema(field["items"], names)
    if "values" in field:
        branch["additionalProperties"] = _schema(field["values"], names)
    if "tuple" in field:
        branch["prefixItems"] = [_schema(item, names) for item in field["tuple"]]
    options = [_schema(option, names) for option in field["any"]] if "any" in field else [branch]
    if field.get("null"):
        options.append({"type": "null"})
    whole = {_WHOLE[key]: value for key, value in field.items() if key in _WHOLE and (key, value) != ANY_FILE}
    inner = options[0] if options == [branch] else {"anyOf": [dict(sorted(each.items())) for each in options]}
    return dict(sorted({**inner, **whole}.items()))
