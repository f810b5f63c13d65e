"""A parser of the TypeScript declarations that fal generates for its models: not of the whole language."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

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
    value: Any = (
        None  # a name, the value of a literal, members of an object, items of a tuple, options of a union
    )
    inner: Type | None = None  # of the items of an array, or of the values of a record


class Member(NamedTuple):
    """A member of an object type."""

    optional: bool  # it has a question mark
    type: Type
    default: str | None  # as its comment has it


class Declarations(Mapping[str, Type]):
    """The types that a text declares, by name. Each is parsed when it is asked for."""

    def __init__(self, text: str) -> None:
        self._text = text
        heads = list(_HEAD.finditer(text))
        ends = [*(head.start() for head in heads[1:]), len(text)]
        self._places = {head[1]: (head.end(), end) for head, end in zip(heads, ends, strict=False)}
        self._parsed: dict[str, Type] = {}

    def __getitem__(self, name: str) -> Type:
        if name not in self._parsed:
            self._parsed[name] = _Parser(self._text, *self._places[name]).declaration()
        return self._parsed[name]

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Any:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def resolve(self, name: str) -> str:
        """Follow a name that only stands for another one."""
        seen = {name}
        while name in self and (declared := self[name]).kind == "name":
            name = declared.value
            if name in seen:
                raise Unreadable(f"type {name} stands for itself")
            seen.add(name)
        return name

    def members(self, name: str) -> Mapping[str, Member]:
        """Return the members of a type by name; none of one that is no object or is not declared."""
        resolved = self.resolve(name)
        declared = self[resolved] if resolved in self else Type("name", resolved)
        return declared.value if declared.kind == "object" else {}


class _Parser:
    """A recursive-descent parser of one declaration, which is `text[start:end]`."""

    def __init__(self, text: str, start: int, end: int) -> None:
        self._text, self._at, self._end = text, start, end
        self._kind = self._word = self._comment = ""
        self._advance()

    def declaration(self) -> Type:
        if self._is("="):
            self._advance()
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

    def _is(self, sign: str) -> bool:
        return self._kind == "sign" and self._word == sign

    def _skip(self, sign: str) -> bool:
        """Go past a sign, if it is there."""
        found = self._is(sign)
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
        if self._is("{"):
            option = self._object()
        elif self._is("["):
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
        if self._is("<"):
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
