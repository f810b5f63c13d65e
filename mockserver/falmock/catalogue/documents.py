"""The OpenAPI document of a model, in the form that fal publishes (PROTOCOL.md 15).

`read` makes an entry of one, `document` makes one of an entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from falmock.catalogue import notation
from falmock.catalogue.checks import problems, short
from falmock.catalogue.entries import REFERENCE, Entry
from falmock.protocol import endpoints, validation
from falmock.protocol.hosts import QUEUE, WEBSITE

if TYPE_CHECKING:
    from falmock.catalogue.entries import Json

REQUEST_ID: Final[Json] = {
    "name": "request_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "description": "Request ID"},
}
KEY: Final = {"type": "apiKey", "in": "header", "name": "Authorization", "description": "Fal Key"}
LINKS: Final = ("response_url", "status_url", "cancel_url")
STATUS: Final = "QueueStatus"
QUEUE_STATUS: Final[Json] = {
    "type": "object",
    "properties": {
        "status": {"type": "string", "enum": ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]},
        "request_id": {"type": "string", "description": "The request id."},
        **{name: {"type": "string"} for name in LINKS},
        "logs": {"type": "object", "additionalProperties": True},
        "metrics": {"type": "object", "additionalProperties": True},
        "queue_position": {"type": "integer"},
    },
    "required": ["status", "request_id"],
}


class Problems(ValueError):
    """A document is broken: a line for each problem."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def read(document: object) -> Entry:
    """Return the entry of a document of fal.

    Raises:
        Problems: it is not an OpenAPI document of one endpoint, or a schema in it is broken.
    """
    try:
        validation.check_json(document)
    except ValueError as error:
        raise Problems([f"the document is not JSON: {error}"]) from None
    heading = _at(document, "info", "x-fal-metadata")
    objects = {
        "paths": (paths := _at(document, "paths")),
        "components.schemas": (components := _at(document, "components", "schemas")),
        "info.x-fal-metadata": {} if heading is None else heading,
    }
    if absent := [place for place, value in objects.items() if not isinstance(value, dict)]:
        raise Problems([f"the document has no object at {place}" for place in absent])
    schemas = {name: schema for name, schema in components.items() if name != STATUS}
    metadata = dict(heading or {})
    posts = [path for path, calls in paths.items() if isinstance(calls, dict) and "post" in calls]
    if len(posts) != 1:
        found = ", ".join(posts) if posts else "none"
        raise Problems([f"paths: one path takes POST in a document of fal, here: {found}"])
    endpoint, category = metadata.pop("endpointId", posts[0].strip("/")), metadata.pop("category", "")
    broken = _heading(endpoint, posts[0], category)
    get = f"{posts[0]}/requests/{{request_id}}"
    ends = {
        "Input": (f"{posts[0]}.post.requestBody", _at(paths, posts[0], "post", "requestBody")),
        "Output": (f"{get}.get.responses.200", _at(paths, get, "get", "responses", "200")),
    }
    names = {}
    for end, (place, body) in ends.items():
        schema = _at(body, "content", "application/json", "schema")
        if not isinstance(schema, dict):
            broken.append(f"paths.{place}: no schema of JSON")
        elif (name := str(schema.get("$ref", "")).removeprefix(REFERENCE)) in schemas:
            names[end] = name
        elif name:
            broken.append(f"paths.{place}: {short(schema['$ref'])} does not exist")
        else:
            names[end] = notation.pascal(str(endpoint)) + end
            while names[end] in schemas:
                names[end] += "_"
            schemas[names[end]] = schema
    if broken := broken + problems(schemas):
        raise Problems(broken)
    schemas = {name: _without_booleans(schema) for name, schema in schemas.items()}
    return Entry(
        endpoint=endpoint,
        schemas=schemas,
        input=names["Input"],
        output=names["Output"],
        medium=notation.medium(schemas, names["Output"]) or notation.medium_of(endpoint),
        category=category,
        metadata={key: value for key, value in metadata.items() if _pages(endpoint).get(key) != value},
    )


def _without_booleans(schema: Any) -> Any:
    """Return a schema with `{}` for the schemas true and false in it: pydantic never writes these."""
    if not isinstance(schema, dict):
        return {}
    plain = dict(schema)
    for keyword, inner in schema.items():
        if keyword == "properties":
            plain[keyword] = {name: _without_booleans(each) for name, each in inner.items()}
        elif keyword in {"items", "anyOf", "oneOf", "allOf", "prefixItems"} and isinstance(inner, list):
            plain[keyword] = [_without_booleans(each) for each in inner]
        elif keyword == "items" or (keyword == "additionalProperties" and isinstance(inner, dict)):
            plain[keyword] = _without_booleans(inner)
    return plain


def document(entry: Entry) -> Json:
    """Return the OpenAPI 3.0.4 document of an endpoint."""
    return {
        "openapi": "3.0.4",
        "info": {
            "title": f"Queue OpenAPI for {entry.endpoint}",
            "version": "1.0.0",
            "description": f"The OpenAPI schema for the {entry.endpoint} queue.",
            "x-fal-metadata": {
                "endpointId": entry.endpoint,
                **({"category": entry.category} if entry.category else {}),
                **_pages(entry.endpoint),
                **entry.metadata,
            },
        },
        "components": {
            "securitySchemes": {"apiKeyAuth": KEY},
            "schemas": {STATUS: QUEUE_STATUS, **entry.schemas},
        },
        "paths": _paths(entry),
        "servers": [{"url": f"https://{QUEUE}"}],
        "security": [{"apiKeyAuth": []}],
    }


def _paths(entry: Entry) -> Json:
    endpoint, request = f"/{entry.endpoint}", f"/{entry.endpoint}/requests/{{request_id}}"
    body = {"required": True, "content": _json(entry.input)}
    cancelled = {"type": "object", "properties": {"success": {"type": "boolean"}}}
    logs = {"name": "logs", "in": "query", "required": False, "schema": {"type": "number"}}
    return {
        f"{request}/status": {"get": _operation(STATUS, REQUEST_ID, logs)},
        f"{request}/cancel": {"put": _operation(cancelled, REQUEST_ID)},
        endpoint: {"post": {"requestBody": body, **_operation(STATUS)}},
        request: {"get": _operation(entry.output, REQUEST_ID)},
    }


def _operation(answer: str | Json, *parameters: Json) -> Json:
    return {
        **({"parameters": list(parameters)} if parameters else {}),
        "responses": {"200": {"description": "The answer.", "content": _json(answer)}},
    }


def _json(schema: str | Json) -> Json:
    whole = {"$ref": f"{REFERENCE}{schema}"} if isinstance(schema, str) else schema
    return {"application/json": {"schema": whole}}


def _pages(endpoint: str) -> dict[str, str]:
    page = f"https://{WEBSITE}/models/{endpoint}"
    return {"playgroundUrl": page, "documentationUrl": f"{page}/api"}


def _heading(endpoint: object, path: str, category: object) -> list[str]:
    """Return the problems of the id and the category."""
    found = []
    if not isinstance(endpoint, str) or str(endpoints.parse(endpoint)) != endpoint:
        found.append(f"the endpoint {short(endpoint)} is not of the form owner/alias/path")
    elif path != f"/{endpoint}":
        found.append(f"info.x-fal-metadata.endpointId is {short(endpoint)}, but POST goes to {short(path)}")
    if not isinstance(category, str):
        found.append(f"info.x-fal-metadata.category: {short(category)} is not a text")
    return found


def _at(value: object, *keys: str) -> Any:
    """Return a member of a member of a value, or None."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
