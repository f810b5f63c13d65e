from __future__ import annotations

import json

import pytest

from falmock.http.openapi import document
from falmock.models import BUNDLED, Model

ALL = pytest.mark.parametrize("model", list(BUNDLED), ids=lambda model: model.endpoint)


@ALL
def test_openapi_document_of_a_model_has_the_four_queue_operations(model: Model) -> None:
    request = f"/{model.endpoint}/requests/{{request_id}}"

    assert {path: list(calls) for path, calls in document(model)["paths"].items()} == {
        f"{request}/status": ["get"],
        f"{request}/cancel": ["put"],
        f"/{model.endpoint}": ["post"],
        request: ["get"],
    }


@ALL
def test_every_reference_in_the_openapi_document_has_a_schema(model: Model) -> None:
    content = document(model)
    references: list[str] = []
    json.loads(json.dumps(content), object_hook=lambda member: references.append(member.get("$ref", "")))

    for reference in filter(None, references):
        assert reference.removeprefix("#/components/schemas/") in content["components"]["schemas"]


@ALL
def test_input_schema_equals_the_one_that_validates_inputs(model: Model) -> None:
    schema = document(model)["components"]["schemas"][model.input.__name__]

    assert schema["x-fal-order-properties"] == list(model.input.model_fields)
    assert schema["required"] == [
        name for name, field in model.input.model_fields.items() if field.is_required()
    ]


def test_status_schema_has_three_states() -> None:
    status = document(next(iter(BUNDLED)))["components"]["schemas"]["QueueStatus"]

    assert status["properties"]["status"]["enum"] == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
