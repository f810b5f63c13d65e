"""Declared operations, their routes and their document; see test_routes.py for those of the control API."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from falmock.control.api import LONGEST_BODY, document, operation, operations, routes
from falmock.http.replies import refuse
from falmock.protocol.errors import Refusal


class Size(BaseModel):
    width: int
    height: int = 1


class Area(BaseModel):
    area: int


class Shapes:
    @operation("GET", "/area")
    async def multiply(self, query: Size) -> Area:
        """Multiply."""
        return Area(area=query.width * query.height)

    @operation("POST", "/area/{factor}", status=201, refusals={409: "nothing is left"})
    async def scale(self, factor: str, body: Size) -> Area:
        """Scale.

        By a factor.
        """
        if factor == "0":
            raise HTTPException(409, "nothing is left")
        return Area(area=body.width * body.height * int(factor))

    @operation("GET", "/drawing", gives="text/plain")
    async def draw(self) -> Response:
        """Draw."""
        return PlainTextResponse("#")


OPERATIONS = operations(Shapes())


@pytest.fixture
def http() -> httpx.AsyncClient:
    app = Starlette(routes=routes(OPERATIONS), exception_handlers={Refusal: refuse})
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


@pytest.fixture
def openapi() -> Any:
    return document(OPERATIONS, base="/shapes", info={"title": "Shapes", "version": "1"}, always={403: "no"})


async def test_a_get_operation_reads_its_model_from_the_query(http: httpx.AsyncClient) -> None:
    answer = await http.get("/area", params={"width": 3, "height": 2})

    assert (answer.status_code, answer.json()) == (200, {"area": 6})


async def test_a_post_operation_reads_its_model_from_the_body(http: httpx.AsyncClient) -> None:
    answer = await http.post("/area/10", json={"width": 3})

    assert (answer.status_code, answer.json()) == (201, {"area": 30})


async def test_a_handler_may_return_a_response_instead_of_a_model(http: httpx.AsyncClient) -> None:
    assert (await http.get("/drawing")).text == "#"


@pytest.mark.parametrize(
    ("method", "path", "place"), [("GET", "/area", "query"), ("POST", "/area/10", "body")]
)
async def test_invalid_input_is_a_422_that_names_the_place_and_field(
    http: httpx.AsyncClient, method: str, path: str, place: str
) -> None:
    answer = await http.request(method, path)

    assert answer.status_code == 422
    assert [(error["type"], error["loc"]) for error in answer.json()["detail"]] == [
        ("missing", [place, "width"])
    ]


async def test_a_body_over_the_limit_is_a_413(http: httpx.AsyncClient) -> None:
    assert (await http.post("/area/1", content=bytes(LONGEST_BODY + 1))).status_code == 413


def test_the_openapi_document_has_parameters_bodies_and_responses(openapi: Any) -> None:
    get, post = openapi["paths"]["/shapes/area"]["get"], openapi["paths"]["/shapes/area/{factor}"]["post"]

    assert [(each["name"], each["in"], each["required"]) for each in get["parameters"]] == [
        ("width", "query", True),
        ("height", "query", False),
    ]
    assert [each["name"] for each in post["parameters"]] == ["factor"]
    assert post["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Size"
    }
    assert (list(get["responses"]), list(post["responses"])) == (
        ["200", "403", "422"],
        ["201", "403", "409", "422"],
    )


def test_the_openapi_document_describes_other_responses_by_their_media_type(openapi: Any) -> None:
    assert openapi["paths"]["/shapes/drawing"]["get"]["responses"]["200"]["content"] == {"text/plain": {}}


def test_the_openapi_document_is_json_of_version_3_1(openapi: Any) -> None:
    assert json.loads(json.dumps(openapi))["openapi"] == "3.1.0"


def test_the_summary_of_an_operation_is_the_first_line_of_its_docstring(openapi: Any) -> None:
    assert openapi["paths"]["/shapes/area/{factor}"]["post"]["summary"] == "Scale"
