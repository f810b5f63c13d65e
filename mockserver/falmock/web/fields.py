"""The fields of a model's input as controls of a form, and the values that their texts stand for. Pure.

An empty text means that the field is not sent, so the model uses its default.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from falmock.catalogue import comparing
from falmock.web import schemas
from falmock.web.schemas import NotJsonError, dump, is_unicode, load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from falmock.catalogue.entries import Entry, Json
    from falmock.web.schemas import Line

Control = Literal["choice", "switch", "number", "text", "long", "file", "files", "json"]

VALUE: Final = "value."  # before the name of a field: the name of its control
OTHER: Final = "other."  # of the control for a value that is none of the choices
MORE: Final = "more"  # of the control for all other fields

_SWITCH: Final = {"true": True, "false": False}
_LONG: Final = re.compile(r"prompt|text|lyrics|script|instruction|description|caption|story|scene|comment")
_NUMBER: Final = re.compile(r"-?\d{1,99}(\.\d{1,99})?([eE][-+]?\d{1,3})?")  # as a number control has it
_KINDS: Final[Mapping[type, str]] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of an input."""

    name: str
    line: Line  # its row in the table of fields
    control: Control  # "long" is a text of several lines, "files" URLs, one a line, "json" any other value
    choices: Mapping[str, Any]  # values by their texts
    kinds: frozenset[str]  # JSON types that it can have besides the choices
    least: float | None  # the bounds of a number
    most: float | None
    accept: str  # types of files that a browser offers, as "image/*"; empty for all
    start: Any  # a value to start from, which may not be valid
    example: str  # JSON of a value that is none of the choices

    @property
    def required(self) -> bool:
        return self.line.required

    @property
    def takes_others(self) -> bool:
        """Whether a value may be none of the choices."""
        return self.control == "choice" and bool(self.kinds)


def fields(entry: Entry) -> list[Field]:
    """Return the fields of a model's input, in the order of fal's class; none if any object is valid."""
    properties = entry.schemas.get(entry.input, {}).get("properties", {})
    facts = comparing.fields(entry, "input")
    return [_field(entry.schemas, name, properties[name], facts[name]) for name in entry.fields]


def _field(components: Mapping[str, Json], name: str, schema: Any, facts: Json) -> Field:
    whole = schema if isinstance(schema, dict) else {}
    options = list(schemas.alternatives(components, whole))
    listed = [value for option in options for value in comparing.choices(option)]
    others = [option for option in options if not comparing.choices(option)]
    kinds = frozenset(kind for option in others for kind in schemas.kinds(option))
    items = [schemas.items(components, option) for option in others if "array" in schemas.kinds(option)]
    file = schemas.kind_of_file(name, [whole, *others, *items])
    if any(schemas.kinds(each) != {"string"} for each in items):
        file = None
    control: Control = "choice" if listed else _control(name, kinds, takes_files=file is not None)
    return Field(
        name=name,
        line=schemas.line(name, facts),
        control=control,
        choices={schemas.plain(value): value for value in listed if value is not None},
        kinds=kinds,
        least=facts.get("minimum"),
        most=facts.get("maximum"),
        accept=f"{file}/*" if file else "",
        start=schemas.PROMPT if control == "long" else schemas.example(components, whole, name),
        example=dump(schemas.example(components, {"anyOf": others}, name)) if others else "",
    )


def _control(name: str, kinds: frozenset[str], *, takes_files: bool) -> Control:
    if kinds == {"boolean"}:
        return "switch"
    if kinds and kinds <= {"integer", "number"}:
        return "number"
    if kinds == {"string"}:
        return "file" if takes_files else "long" if _LONG.search(name) else "text"
    return "files" if kinds == {"array"} and takes_files else "json"


def read(field: Field, text: str) -> Any:
    """Return the value that the text of a control stands for. A text that is not valid stands for itself.

    Raises:
        NotJsonError: it must be JSON, and is not.
    """
    match field.control:
        case "choice":
            return field.choices.get(text, text)
        case "switch":
            return _SWITCH.get(text, text)
        case "number":
            return json.loads(text) if _NUMBER.fullmatch(text.strip()) else text
        case "files":
            return [line.strip() for line in text.splitlines() if line.strip()]
        case "json":
            return read_other(field, text)
        case _:
            return text


def read_other(field: Field, text: str) -> Any:
    """Return the value of a JSON text. If the field takes strings, they need no quotes."""
    try:
        value = load(text)
    except NotJsonError:
        if "string" in field.kinds:
            return text
        raise
    return text if "string" in field.kinds and not _is_of(field.kinds, value) else value


def show(field: Field, value: Any) -> dict[str, str] | None:
    """Return the texts of the field's controls, by their names, that stand for a value; None if none do."""
    candidates = [(VALUE, read, text) for text in _texts(field, value)]
    if field.takes_others:
        others = [value, dump(value)] if isinstance(value, str) else [dump(value)]
        candidates += [(OTHER, read_other, text) for text in others]
    for prefix, reading, text in candidates:
        several = prefix == VALUE and field.control in {"long", "files", "json"}
        if _can_be_typed(text, several=several) and _stands_for(reading, field, text, value):
            return {f"{prefix}{field.name}": text}
    return None


def compose(
    known: Sequence[Field], texts: Mapping[str, str], kept: Mapping[str, Any]
) -> tuple[Any, dict[str, str]]:
    """Return the input that a form stands for, and its problems by the names of controls.

    `texts` are by the names of controls; `kept` has values of fields that have no text.
    """
    value: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for field in known:
        if field.name in kept:
            value[field.name] = kept[field.name]
        for prefix, reading in ((VALUE, read), (OTHER, read_other)):
            text = texts.get(f"{prefix}{field.name}", "")
            if not text or (field.control != "text" and not text.strip()):
                continue
            try:
                value[field.name] = reading(field, text)
            except NotJsonError as error:
                problems[f"{prefix}{field.name}"] = str(error)
    value |= {name: each for name, each in kept.items() if name not in value}
    more = texts.get(MORE, "")
    if not more.strip():
        return value, problems
    try:
        rest = load(more)
    except NotJsonError as error:
        return value, {**problems, MORE: str(error)}
    if isinstance(rest, dict):
        return {**value, **rest}, problems
    if known or kept:
        return value, {**problems, MORE: "This is no object: write it as {…}."}
    return rest, problems


def _is_of(kinds: frozenset[str], value: Any) -> bool:
    kind = _KINDS[type(value)]
    return not kinds.isdisjoint({kind, "number" if kind == "integer" else kind, "anything"})


def _texts(field: Field, value: Any) -> Iterator[str]:
    """Yield texts that may stand for a value."""
    if field.control == "choice":
        yield from (text for text, each in field.choices.items() if each == value)
        return
    if isinstance(value, str):
        yield value
    if field.control == "files" and isinstance(value, list):
        yield "\n".join(map(str, value))
    if field.control in {"json", "switch", "number"}:
        yield dump(value, indent=2)


def _stands_for(reading: Any, field: Field, text: str, value: Any) -> bool:
    try:
        return dump(reading(field, text)) == dump(value)
    except NotJsonError:
        return False


def _can_be_typed(text: str, *, several: bool) -> bool:
    """Return whether a browser sends a text back as it is: on one line, or on several."""
    unusual = ("\0", "\r") if several else ("\0", "\r", "\n")
    return text.strip() != "" and not any(each in text for each in unusual) and is_unicode(text)
