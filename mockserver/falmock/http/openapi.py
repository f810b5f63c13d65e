"""The OpenAPI document of a model, in the form that fal publishes (PROTOCOL.md 15).

Paths, states and security scheme are fal's; the schemas come from the classes that validate the inputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic.json_schema import models_json_schema

from falmock.engine.lifecycle import State
from falmock.protocol.hosts import QUEUE, WEBSITE

if TYPE_CHECKING:
    from falmock.models import Model

Json = dict[str, Any]

SCHEMAS: Final = "#/components/schemas/"
REQUEST_ID: Final[Json] = {
    "name": "request_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "description": "Request ID"},
}
LINKS: Final = ("response_url", "status_url", "cancel_url")
QUEUE_STATUS: Final[Json] = {
    "type": "object",
    "properties": {
        "status": {"type": "string", "enum": [str(state) for state in State]},
        "request_id": {"type": "string", "description": "The request id."},
        **{name: {"type": "string"} for name in LINKS},
        "logs": {"type": "object", "additionalProperties": True},
        "metrics": {"type": "object", "additionalProperties": True},
        "queue_position": {"type": "integer"},
    },
    "required": ["status", "request_id"],
}


def document(model: Model) -> Json:
    """Return the OpenAPI 3.0.4 document of a model."""
    _, schemas = models_json_schema(
        [(model.input, "validation"), (model.output, "validation")], ref_template=SCHEMAS + "{model}"
    )
    return {
        "openapi": "3.0.4",
        "info": {
            "title": f"Queue OpenAPI for {model.endpoint}",
            "version": "1.0.0",
            "description": f"The OpenAPI schema for the {model.endpoint} queue.",
            "x-fal-metadata": {
                "endpointId": model.endpoint,
                "category": category(model),
                "playgroundUrl": f"https://{WEBSITE}/models/{model.endpoint}",
                "documentationUrl": f"https://{WEBSITE}/models/{model.endpoint}/api",
            },
        },
        "components": {
            "securitySchemes": {
                "apiKeyAuth": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "Fal Key",
                }
            },
            "schemas": {"QueueStatus": QUEUE_STATUS, **_ordered(schemas["$defs"])},
        },
        "paths": _paths(model),
        "servers": [{"url": f"https://{QUEUE}"}],
        "security": [{"apiKeyAuth": []}],
    }


def category(model: Model) -> str:
    """Return fal's category of a model: for most endpoints the last segment of the id."""
    return model.endpoint.rpartition("/")[2]


def _paths(model: Model) -> Json:
    endpoint, request = f"/{model.endpoint}", f"/{model.endpoint}/requests/{{request_id}}"
    cancelled = {"type": "object", "properties": {"success": {"type": "boolean"}}}
    logs = {"name": "logs", "in": "query", "required": False, "schema": {"type": "number"}}
    return {
        f"{request}/status": {"get": _operation("QueueStatus", REQUEST_ID, logs)},
        f"{request}/cancel": {"put": _operation(cancelled, REQUEST_ID)},
        endpoint: {
            "post": {
                "requestBody": {"required": True, "content": _json(model.input.__name__)},
                **_operation("QueueStatus"),
            }
        },
        request: {"get": _operation(model.output.__name__, REQUEST_ID)},
    }


def _operation(answer: str | Json, *parameters: Json) -> Json:
    return {
        **({"parameters": list(parameters)} if parameters else {}),
        "responses": {"200": {"description": "The answer.", "content": _json(answer)}},
    }


def _json(schema: str | Json) -> Json:
    return {
        "application/json": {"schema": {"$ref": f"{SCHEMAS}{schema}"} if isinstance(schema, str) else schema}
    }


def _ordered(schemas: Json) -> Json:
    """Add the order in which fal's pages show the fields."""
    return {
        name: {**schema, "x-fal-order-properties": list(schema.get("properties", {}))}
        for name, schema in schemas.items()
    }
