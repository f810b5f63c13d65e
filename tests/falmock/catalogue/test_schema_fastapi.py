"""Models built from a document, compared with the FastAPI application that the document is of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from oddities import ODDITIES, Oddity
from spoiling import spoilt

from falmock.catalogue import schema
from falmock.protocol import validation
from falmock.protocol.errors import InvalidBody

if TYPE_CHECKING:
    from pydantic import BaseModel

Json = dict[str, Any]
EACH = pytest.mark.parametrize("oddity", ODDITIES, ids=lambda oddity: oddity.model.__name__)
NULL = {"type": "null"}


def application(model: type[BaseModel]) -> FastAPI:
    """Return an application that answers with the input it has understood."""
    app = FastAPI()

    def run(model_input: Any) -> Any:
        return model_input.model_dump(mode="json", by_alias=True)

    run.__annotations__["model_input"] = model
    app.post("/")(run)
    return app


def published(app: FastAPI, *, null: bool) -> dict[str, Json]:
    """Return the components of an application as fal publishes them: without the order of the fields.

    Args:
        app: with one input.
        null: whether null is a branch of a type, as in the documents since April 2026. Before, a reference
            was wrapped instead.
    """
    components: dict[str, Json] = app.openapi()["components"]["schemas"]
    for component in components.values():
        fields = component.get("properties", {})
        component["x-fal-order-properties"] = list(fields)
        component["properties"] = dict(sorted(fields.items()))
        if not null:
            component["properties"] = {name: without_null(field) for name, field in sorted(fields.items())}
    return components


def without_null(field: Json) -> Json:
    if "$ref" in field:
        return {"allOf": [{"$ref": field.pop("$ref")}], **field}
    branches = [branch for branch in field.get("anyOf", ()) if branch != NULL]
    if NULL not in field.get("anyOf", ()) or field.get("default") is not None or "default" not in field:
        return field
    rest = {key: value for key, value in field.items() if key not in {"anyOf", "default"}}
    if len(branches) > 1:
        return rest | {"anyOf": branches}
    return rest | ({"allOf": branches} if "$ref" in branches[0] else branches[0])


def understood(model: type[BaseModel], body: bytes) -> Any:
    """Return the input that a model understands, or the list of invalid fields."""
    try:
        return json.loads(validation.read(model, body, "application/json").model_dump_json(by_alias=True))
    except InvalidBody as refused:
        return refused.body


@EACH
def test_each_field_broken_in_each_way_gives_the_list_of_the_application(oddity: Oddity) -> None:
    app = application(oddity.model)
    name = oddity.model.__name__
    recent = schema.build(published(app, null=True), name)
    app.openapi_schema = None
    older = schema.build(published(app, null=False), name)
    values = [value for value in (oddity.sample, *spoilt(oddity.sample)) if value is not None]
    bodies = [json.dumps(value).encode() for value in values]  # FastAPI's versions differ in a body of null
    bodies += [b"", b"{"]
    refused = 0

    with TestClient(app) as client:
        for body in bodies:
            answer = client.post("/", content=body, headers={"Content-Type": "application/json"})
            refused += answer.status_code == 422

            assert understood(recent, body) == answer.json(), body
            assert understood(older, body) == answer.json(), body

    assert 50 < refused < len(bodies)  # the sample, at least, is valid
