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
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from falmock.catalogue import notation, outputs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

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

_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<comment>/\*.*?\*/|//[^\n]*)
    | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    | (?P<number>-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)
    | (?P<name>[A-Za-z_$][\w$]*)
    | (?P<sign>[{}<>|;:?,=()[\]])
    )""",
    re.VERBOSE | re.DOTALL,
)
_HEAD: Final = re.compile(r"^export (?:declare )?(?:type|interface) ([\w$]+)", re.MULTILINE)
_DEFAULT: Final = re.compile(r".*Default value: `(.*)`[\s*]*/\Z", re.DOTALL)  # at the end of a comment
_ESCAPE: Final = re.compile(r"\\(.)")
_BOOLEANS: Final = {"true": True, "false": False}
_CONTAINERS: Final = {"Array": "array", "ReadonlyArray": "array", "Set": "array", "Record": "record"}


class Unreadable(ValueError):
    """The text has no types of the kind that fal generates. The message names the line."""


class Type(NamedTuple):
    """A type expression."""

    kind: str  # "name", "literal", "array", "record", "object", "tuple" or "union"
    value: Any = None  # a name, a literal, members by name, or the types of a tuple or union
    inner: Type | None = None  # of the items of an array, or of the values of a record


class Member(NamedTuple):
    """A member of an object type."""

    optional: bool  # it has a question mark
    type: Type
    default: str | None  # the text in its comment


class Declarations:
    """The types that a text declares, by name. Each is parsed when it is asked for."""

    def __init__(self, text: str) -> None:
        heads = list(_HEAD.finditer(text))
        ends = [*(head.start() for head in heads[1:]), len(text)]
        self._text = text
        self._places = {head[1]: (head.end(), end) for head, end in zip(heads, ends, strict=False)}
        self._parsed: dict[str, Type] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def resolve(self, name: str) -> str:
        """Follow a name that only stands for another one."""
        seen = {name}
        while name in self and (declared := self.declared(name)).kind == "name":
            name = declared.value
            if name in seen:
                raise Unreadable(f"type {name} stands for itself")
            seen.add(name)
        return name

    def members(self, name: str) -> Mapping[str, Member]:
        """Return the members of a type by name; none of one that is no object or is not declared."""
        declared = self.declared(self.resolve(name))
        return declared.value if declared.kind == "object" else {}

    def declared(self, name: str) -> Type:
        """Return a type, or for one that is not declared its name."""
        if name not in self._parsed and name in self:
            self._parsed[name] = _Parser(self._text, *self._places[name]).declaration()
        return self._parsed.get(name) or Type("name", name)


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
        declared = self._declared.declared(resolved)
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
    types = {type(value) for value in values}
    kinds = (("boolean", {bool}), ("integer", {int}), ("number", {int, float}))
    kind = next((kind for kind, allowed in kinds if types <= allowed), "string")
    return {"type": kind, "const": values[0]} if len(values) == 1 else {"type": kind, "enum": values}


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
    kind = field.get("type", "object")
    return outputs.is_of("number" if kind == "integer" else kind, value)  # a default may have a fraction


class _Parser:
    """A parser of one declaration, `text[start:end]`, as fal generates it: not of the whole language."""

    def __init__(self, text: str, start: int, end: int) -> None:
        self._text, self._at, self._end = text, start, end
        self._kind = self._word = self._comment = ""
        self._advance()

    def declaration(self) -> Type:
        self._skip("=")
        return self._union()

    def _advance(self) -> tuple[str, str]:
        """Go to the next token and return the last one. The comment before a token is kept."""
        last = self._kind, self._word
        self._comment = ""
        while match := _TOKEN.match(self._text, self._at, self._end):
            self._at = match.end()
            self._kind = str(match.lastgroup)
            self._word = match[self._kind]
            if self._kind != "comment":
                return last
            self._comment = self._word
        rest = self._text[self._at : self._end].split(maxsplit=1)
        if rest:
            raise self._unreadable(rest[0])
        self._kind, self._word = "end", "the end"
        return last

    def _unreadable(self, found: str) -> Unreadable:
        line = self._text.count("\n", 0, self._at) + 1
        return Unreadable(f"line {line}: {found[:40]!r} is not expected in a type")

    def _skip(self, sign: str) -> bool:
        """Go past a sign, if it is there."""
        found = self._word == sign
        if found:
            self._advance()
        return found

    def _take(self, sign: str) -> None:
        if not self._skip(sign):
            raise self._unreadable(self._word)

    def _union(self) -> Type:
        self._skip("|")
        options = [self._option()]
        while self._skip("|"):
            options.append(self._option())
        return options[0] if len(options) == 1 else Type("union", options)

    def _option(self) -> Type:
        if self._word == "{":
            option = self._object()
        elif self._word == "[":
            option = Type("tuple", self._list("[", "]"))
        elif self._skip("("):
            option = self._union()
            self._take(")")
        else:
            option = self._atom()
        while self._skip("["):
            self._take("]")
            option = Type("array", inner=option)
        return option

    def _atom(self) -> Type:
        kind, word = self._advance()
        if kind == "text":
            return Type("literal", _text(word))
        if kind == "number":
            return Type("literal", json.loads(word))
        if kind != "name":
            raise self._unreadable(word)
        if self._word == "<":
            if word not in _CONTAINERS:
                raise self._unreadable(f"{word}<")
            return Type(_CONTAINERS[word], inner=self._list("<", ">")[-1])
        return Type("literal", _BOOLEANS[word]) if word in _BOOLEANS else Type("name", word)

    def _list(self, opening: str, closing: str) -> list[Type]:
        self._take(opening)
        types = [self._union()]
        while self._skip(","):
            types.append(self._union())
        self._take(closing)
        return types

    def _object(self) -> Type:
        self._take("{")
        members: dict[str, Member] = {}
        while not self._skip("}"):
            comment = _DEFAULT.match(self._comment)
            kind, word = self._advance()
            if kind not in {"name", "text", "number"}:
                raise self._unreadable(word)
            optional = self._skip("?")
            self._take(":")
            name = _text(word) if kind == "text" else word
            members[name] = Member(optional, self._union(), comment and comment[1])
            self._skip(";") or self._skip(",")
        return Type("object", members)


def _text(word: str) -> str:
    """Return the value of a string. fal writes no escapes but those of quotes."""
    return _ESCAPE.sub(r"\1", word[1:-1])
