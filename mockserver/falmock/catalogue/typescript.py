"""Reads `endpoints.d.ts` of fal's npm package `@fal-ai/client`: its endpoints with their inputs and outputs.

These types lack integers, bounds, defaults that are false, and most nulls. So some facts are guesses:

* A number is an integer, unless its default has a fraction or its name says scale, weight and the like.
* An optional boolean without a default is false. Another optional field without a default takes null.
* A text that is named like the URL of a picture, a video or a sound is one.
* `timings` is an object of numbers.
"""

from __future__ import annotations

import json
import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from falmock.catalogue import notation
from falmock.catalogue.declarations import Declarations, Type, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from falmock.catalogue.declarations import Member
    from falmock.catalogue.entries import Entry, Json
    from falmock.catalogue.notation import Field, Fields

MAP: Final = "EndpointTypeMap"

_FRACTIONS: Final = re.compile(
    r"scale|strength|guidance|temperature|speed|weight|threshold|second|alpha|cfg|ratio|probability|confidence"
    r"|score|shift|boost|stability|exaggeration|influence|opacity|fps|creativity|resemblance|top_p|tau"
    r"|percentage|intensity|noise|penalty|fidelity|latitude|longitude|sharpness|interval|amount|decay|volume"
    r"|^(?:vol|cost|duration|timestamp|start|end|x|y|z)$|_(?:time|start|end)$|^(?:start|end)_"
)
_COUNTS: Final = re.compile(r"(?:^|_)(?:num|frames|steps?|count|size|ms|px|width|height|rank|seed)(?:_|$)")
_URL: Final = re.compile(r"urls?$")
_MEDIA: Final = {
    "video": re.compile("video"),
    "audio": re.compile("audio|voice|speech|song|vocal"),
    "image": re.compile("image|mask|frame|picture|photo"),
}
_FREE: Final = frozenset({"any", "unknown", "void", "never"})
_NULL: Final = frozenset({"null", "undefined"})
_UPLOADS: Final = frozenset({"Blob", "File"})  # the classes of a file in a browser
_TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


class Types:
    """The types of one release of the package.

    Raises:
        Unreadable: for another text. Errors within a type are raised when it is asked for.
    """

    def __init__(self, text: str) -> None:
        self._declared = Declarations(text)
        if MAP not in self._declared:
            raise Unreadable(f"there is no type {MAP}, in which @fal-ai/client lists the endpoints")

    @cached_property
    def endpoints(self) -> Mapping[str, tuple[str, str]]:
        """By id the names of the types of input and output."""
        listed: dict[str, tuple[str, str]] = {}
        for endpoint, member in self._declared.members(MAP).items():
            parts = member.type.value if member.type.kind == "object" else {}
            types = [parts[part].type for part in ("input", "output") if part in parts]
            if [type_.kind for type_ in types] != ["name", "name"]:
                raise Unreadable(f"{endpoint}: `input` and `output` must be the names of two types")
            listed[endpoint] = (types[0].value, types[1].value)
        return listed

    def listing(self, endpoint: str) -> notation.Listing:
        """Return the fields of an endpoint. None, if the types say that it may be anything."""
        reading = _Reading(self._declared)
        given, made = self.endpoints[endpoint]
        return notation.Listing(reading.fields(given), reading.fields(made), reading.types)

    def entry(self, endpoint: str, *, date: str = "") -> Entry:
        """Return the entry of an endpoint in a release of a date."""
        found = self.listing(endpoint)
        facts = {"certainty": "types", "date": date, "input": found.input, "output": found.output}
        return notation.entry(endpoint, facts, found.types)


class _Reading:
    """Turns types into fields. Objects that a field refers to are gathered in `types`."""

    def __init__(self, declared: Declarations) -> None:
        self._declared = declared
        self.types: dict[str, Json] = {}

    def fields(self, name: str) -> Fields:
        """Return the fields of a declared object."""
        return {field: self._field(field, member) for field, member in self._declared.members(name).items()}

    def _field(self, name: str, member: Member) -> Field:
        field = self._shape(member.type, name)
        if not member.optional:
            return {"required": True, **field}
        default = None if member.default is None else _value(member.default, field)
        if default is not None:
            return {**(_with_fractions(field) if isinstance(default, float) else field), "default": default}
        if field == {"type": "boolean"}:
            return {**field, "default": False}
        return {**field, "null": True} if field else field

    def _shape(self, type_: Type, name: str) -> Field:
        """Return a type as a field without a default. The name of the field decides in case of doubt."""
        match type_.kind:
            case "union":
                shape = self._union(type_.value, name)
            case "literal":
                shape = _literals([type_.value])
            case "tuple":
                items = [self._shape(item, name) for item in type_.value]
                shape = {"type": "array", "min_items": len(items), "max_items": len(items), "tuple": items}
            case "array" if type_.inner is not None:
                inner = self._shape(type_.inner, name)
                file = {"file": inner["file"]} if "file" in inner else {}
                shape = {"type": "array", **({"items": inner} if inner else {}), **file}
            case "record" if type_.inner is not None:
                inner = self._shape(type_.inner, name)
                shape = {"type": "object", **({"values": inner} if inner else {})}
            case "object":  # without a name
                shape = {"type": "object"}
            case _:
                shape = self._named(type_.value, name)
        return shape

    def _named(self, type_: str, name: str) -> Field:
        if type_ in self._declared:
            return self._reference(type_, name)
        if type_ == "number":
            fraction = _FRACTIONS.search(name) and not _COUNTS.search(name)
            return {"type": "number" if fraction else "integer"}
        if type_ == "string":
            medium = _medium(name) if _URL.search(name) else None
            return {"type": "string", "file": medium} if medium else {"type": "string"}
        if type_ in _UPLOADS:
            return {"type": "string", "file": _medium(name) or "any"}
        if type_ in _FREE:
            return {"type": "object", "values": {"type": "number"}} if name == "timings" else {}
        return {"type": "boolean" if type_ == "boolean" else "object"}

    def _reference(self, type_: str, name: str) -> Field:
        resolved = self._declared.resolve(type_)
        declared = self._declared[resolved] if resolved in self._declared else Type("name", resolved)
        if declared.kind != "object":
            return self._shape(declared, name)
        if resolved not in self.types:
            self.types[resolved] = {}  # for a type that refers to itself
            # pydantic writes the module before the name if two classes have the same.
            class_ = resolved.rpartition("__")[2]
            self.types[resolved] = {"class": class_, "fields": self.fields(resolved)}
        return {"ref": resolved}

    def _union(self, options: Iterable[Type], name: str) -> Field:
        flat = list(_flat(options))
        names = {option.value for option in flat if option.kind == "name"}
        shapes: list[Field] = []
        literals = [option.value for option in flat if option.kind == "literal"]
        for option in flat:
            shape: Field | None
            if option.kind == "literal":
                shape = _literals(literals)
            elif option.kind == "name" and option.value in _NULL:
                shape = None
            elif option.kind == "name" and "Blob" in names and option.value in {"string", *_UPLOADS}:
                shape = {"type": "string", "file": _medium(name) or "any"}
            else:
                shape = self._shape(option, name) or {"type": "object"}
            if shape == {"type": "integer"} and shape in shapes:  # Python has two types of numbers
                shapes[shapes.index(shape)] = {"type": "number"}
            elif shape and shape not in shapes:
                shapes.append(shape)
        nullable = {"null": True} if names & _NULL else {}
        return {**(shapes[0] if len(shapes) == 1 else {"any": shapes}), **nullable}


def _flat(options: Iterable[Type]) -> Iterator[Type]:
    for option in options:
        if option.kind == "union":
            yield from _flat(option.value)
        else:
            yield option


def _literals(values: list[Any]) -> Field:
    kind = next(kind for kind in ("boolean", "integer", "number", "string") if _are(kind, values))
    return {"type": kind, "const": values[0]} if len(values) == 1 else {"type": kind, "enum": values}


def _are(kind: str, values: list[Any]) -> bool:
    whole = kind != "integer" or all(isinstance(value, int) for value in values)
    return kind == "string" or (whole and all(_TYPES[kind](value) for value in values))


def _medium(name: str) -> str | None:
    return next((medium for medium, pattern in _MEDIA.items() if pattern.search(name)), None)


def _with_fractions(field: Field) -> Field:
    if "any" in field:
        return {**field, "any": [_with_fractions(option) for option in field["any"]]}
    return {**field, "type": "number"} if field.get("type") == "integer" else field


def _value(text: str, field: Field) -> Any:
    """Return the default if the field can have it, else None. Texts may lack quotes."""
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if value == "" and field.get("type") == "array":  # JavaScript's text for an empty list
        return []
    options = field.get("any", [field])
    return next((each for each in (value, text) if any(_fits(each, option) for option in options)), None)


def _fits(value: Any, field: Field) -> bool:
    if "enum" in field or "const" in field:
        return value in field.get("enum", [field.get("const")])
    return _TYPES[field.get("type", "object")](value)
