"""Builds pydantic models from the JSON Schemas of fal's OpenAPI documents.

fal makes these documents from the pydantic models of its runners. This is the way back, so that the lists
of invalid fields are the same (PROTOCOL.md 14.1). It covers what pydantic writes, and ignores the rest of
JSON Schema. A model takes a millisecond or more to build, so build it when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, ForwardRef, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, RootModel, create_model

from falmock.catalogue.entries import REFERENCE, ordered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from falmock.catalogue.entries import Json

NUMBER_BOUNDS: Final = {
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
}
TEXT_BOUNDS: Final = {"minLength": "min_length", "maxLength": "max_length", "pattern": "pattern"}
LIST_BOUNDS: Final = {"minItems": "min_length", "maxItems": "max_length"}
_CONFIG: Final = ConfigDict(protected_namespaces=(), serialize_by_alias=True, defer_build=True)
_SCALARS: Final[Mapping[str, tuple[Any, Mapping[str, str]]]] = {
    "string": (str, TEXT_BOUNDS),
    "number": (float, NUMBER_BOUNDS),
    "integer": (int, NUMBER_BOUNDS),
    "boolean": (bool, {}),
    "null": (None, {}),
}


def build(schemas: Mapping[str, Json], name: str) -> type[BaseModel]:
    """Return the pydantic model of a component.

    A field is the attribute of that name, see `attribute` for the exceptions. A component that is not an
    object becomes a RootModel. A reference that leads nowhere takes any value.
    """
    builder = _Builder(schemas)
    found = builder.component(name)
    model: type[BaseModel]
    if isinstance(found, type) and issubclass(found, BaseModel):
        model = found
    elif _has_any_field(schemas[name]):
        model = create_model(_title(schemas[name], name), __config__={**_CONFIG, "extra": "allow"})
    else:
        model = RootModel[found]  # type: ignore[valid-type]
    builder.complete(model)
    return model


def attribute(name: str) -> str:
    """Return the attribute of a field: its name, or "field_schema" for a name that pydantic cannot have."""
    # A name with "field_" gets it too, so that no two fields have one attribute.
    unusable = name.startswith(("_", "field_")) or hasattr(BaseModel, name)
    return f"field_{name}" if unusable else name


class _Builder:
    """Builds the models that one component refers to, each once."""

    def __init__(self, schemas: Mapping[str, Json]) -> None:
        self._schemas = schemas
        self._known: dict[str, Any] = {}
        self._begun: set[str] = set()
        self._recursive: dict[str, str] = {}  # components by the name of their forward reference

    def component(self, name: str) -> Any:
        """Return the type of a component."""
        schema = self._schemas.get(name)
        if name in self._known or schema is None:
            return self._known.get(name, Any)
        if name in self._begun:
            return self._forward(name) if "properties" in schema else Any
        self._begun.add(name)
        self._known[name] = self._type(schema, name)
        return self._known[name]

    def complete(self, model: type[BaseModel]) -> None:
        """Resolve the forward references, and build the validator of a model with those of its fields."""
        classes = {forward: self._known[name] for forward, name in self._recursive.items()}
        if classes:
            for known in self._known.values():
                if isinstance(known, type) and issubclass(known, BaseModel):
                    known.model_rebuild(force=True, _types_namespace=classes)
        else:
            model.model_rebuild(force=True)

    def _forward(self, name: str) -> Any:
        # Python evaluates the text of a forward reference, so it is never a name from the document.
        forward = f"Component{list(self._schemas).index(name)}"
        self._recursive[forward] = name
        return ForwardRef(forward)

    def _type(self, schema: Any, name: str) -> Any:
        """Return the type of a schema, which takes null if the schema does.

        The name is that of the component or the field, for an object without a title.
        """
        kind: Any = Any
        if not isinstance(schema, dict):
            return kind
        if "$ref" in schema:
            kind = self.component(schema["$ref"].removeprefix(REFERENCE))
        elif "const" in schema:
            kind = Literal[schema["const"]]
        elif "enum" in schema:
            kind = _distinct(Literal[tuple(schema["enum"])])
        elif "nullable" in schema:
            kind = self._type({key: schema[key] for key in schema if key != "nullable"}, name)
            kind = _union([kind, None]) if schema["nullable"] else kind
        elif "anyOf" in schema or "oneOf" in schema:
            kind = self._any(schema, name)
        elif "allOf" in schema:
            kind = self._type(schema["allOf"][0], name) if len(schema["allOf"]) == 1 else Any
        else:
            kind = self._plain(schema, name)
        return kind

    def _any(self, schema: Json, name: str) -> Any:
        branches = schema.get("anyOf") or schema["oneOf"]
        bounds = {key: schema[key] for key in (*NUMBER_BOUNDS, *TEXT_BOUNDS, *LIST_BOUNDS) if key in schema}
        inner = [bounds | branch if isinstance(branch, dict) else branch for branch in branches]
        union = _distinct(_union([self._type(branch, name) for branch in inner]))
        key = schema.get("discriminator", {}).get("propertyName")
        if key is None or not all(self._is_tagged(branch, key) for branch in branches):
            return union
        return Annotated[union, Field(discriminator=attribute(key))]

    def _is_tagged(self, branch: Any, key: str) -> bool:
        """Return whether a branch of a union is a model with a constant of the discriminator."""
        name = branch.get("$ref", "").removeprefix(REFERENCE) if isinstance(branch, dict) else ""
        if name not in self._known:
            return False
        field = self._schemas[name].get("properties", {}).get(key)
        return isinstance(field, dict) and ("const" in field or "enum" in field)

    def _plain(self, schema: Json, name: str) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else None)
        if isinstance(kind, list):
            return _distinct(_union([self._type(schema | {"type": one}, name) for one in kind]))
        if kind == "array":
            return self._list(schema, name)
        if kind == "object":
            return self._object(schema, name)
        scalar, bounds = _SCALARS.get(str(kind), (Any, {}))
        return _bounded(scalar, schema, bounds)

    def _list(self, schema: Json, name: str) -> Any:
        items = schema.get("prefixItems", schema.get("items"))
        if isinstance(items, list):
            return tuple[tuple(self._type(item, name) for item in items)]  # type: ignore[misc]
        return _bounded(list[self._type(items, name)], schema, LIST_BOUNDS)  # type: ignore[misc]

    def _object(self, schema: Json, name: str) -> Any:
        more = schema.get("additionalProperties")
        if "properties" not in schema:
            return dict[str, self._type(more, name)]  # type: ignore[misc]
        extra: Literal["allow", "forbid", "ignore"] = "ignore"
        if more is not None:
            extra = "forbid" if more is False else "allow"
        required = set(schema.get("required", ()))
        fields = {
            attribute(field): self._field(field, schema["properties"][field], required=field in required)
            for field in ordered(schema)
        }
        return create_model(  # type: ignore[call-overload]
            _title(schema, name), __config__={**_CONFIG, "extra": extra}, __module__=__name__, **fields
        )

    def _field(self, name: str, schema: Any, *, required: bool) -> tuple[Any, Any]:
        kind = self._type(schema, name)
        alias = None if attribute(name) == name else name
        if required:
            return kind, Field(alias=alias)
        default = schema.get("default") if isinstance(schema, dict) else None
        if default is None:
            return _union([kind, None]), Field(default=None, alias=alias)
        # An object of the document is an instance of a class in fal's code. Nothing else is validated there.
        return kind, Field(default=default, alias=alias, validate_default=isinstance(default, dict | list))


def _has_any_field(schema: Any) -> bool:
    """Return whether a schema is of an object, or of anything: fal has `{}` for outputs."""
    return not isinstance(schema, dict) or schema.get("type", "object") == "object"


def _title(schema: Any, name: str) -> str:
    return str(schema.get("title", name)) if isinstance(schema, dict) else name


def _distinct(kind: Any) -> Any:
    """Return a type that is equal to no other.

    Python takes enumerations or unions that differ in the order for equal, and returns the one of an earlier
    model from a cache. The order is in the texts of errors.
    """
    return Annotated[kind, object()]


def _union(kinds: list[Any]) -> Any:
    return Union[tuple(kinds)]  # noqa: UP007 - `|` does not take None twice


def _bounded(kind: Any, schema: Json, names: Mapping[str, str]) -> Any:
    bounds = {names[key]: schema[key] for key in names if key in schema}
    return Annotated[kind, Field(**bounds)] if bounds else kind
