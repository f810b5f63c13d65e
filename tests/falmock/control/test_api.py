"""An API that describes itself, with operations of the tests' own; see also control/test_door.py."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from falmock.control.api import LONGEST_BODY, Operation, document, routes
from falmock.http.refusals import refuse
from falmock.protocol.errors import Refusal


class Size(BaseModel):
    width: int
    height: int = 1


class Area(BaseModel):
    area: int


async def multiply(asked: Size) -> Area:
    return Area(area=asked.width * asked.height)


async def scale(factor: str, asked: Size) -> Area:
    if factor == "0":
        raise HTTPException(409, "nothing is left")
    return Area(area=asked.width * asked.height * int(factor))


async def draw() -> Response:
    return PlainTextResponse("#")


TABLE = [
    Operation("GET", "/area", "Multiply", multiply, Size, Area),
    Operation("POST", "/area/{factor}", "Scale", scale, Size, Area, 201, {409: "nothing is left"}),
    Operation("GET", "/drawing", "Draw", draw, gives="text/plain"),
]


@pytest.fixture
def http() -> httpx.AsyncClient:
    app = Starlette(routes=routes(TABLE), exception_handlers={Refusal: refuse})
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


@pytest.fixture
def told() -> Any:
    return document(TABLE, base="/shapes", info={"title": "Shapes", "version": "1"}, always={403: "no"})


async def test_a_get_is_asked_in_the_query(http: httpx.AsyncClient) -> None:
    answer = await http.get("/area", params={"width": 3, "height": 2})

    assert (answer.status_code, answer.json()) == (200, {"area": 6})


async def test_a_post_is_asked_in_the_body(http: httpx.AsyncClient) -> None:
    answer = await http.post("/area/10", json={"width": 3})

    assert (answer.status_code, answer.json()) == (201, {"area": 30})


async def test_an_answer_may_be_something_else_than_a_model(http: httpx.AsyncClient) -> None:
    assert (await http.get("/drawing")).text == "#"


@pytest.mark.parametrize(
    ("method", "path", "place"), [("GET", "/area", "query"), ("POST", "/area/10", "body")]
)
async def test_what_does_not_fit_is_told_with_its_place(
    http: httpx.AsyncClient, method: str, path: str, place: str
) -> None:
    answer = await http.request(method, path)

    assert answer.status_code == 422
    assert [(error["type"], error["loc"]) for error in answer.json()["detail"]] == [
        ("missing", [place, "width"])
    ]


async def test_a_body_has_its_limit(http: httpx.AsyncClient) -> None:
    assert (await http.post("/area/1", content=bytes(LONGEST_BODY + 1))).status_code == 413


def test_queries_bodies_and_answers_are_in_the_document(told: Any) -> None:
    get, post = told["paths"]["/shapes/area"]["get"], told["paths"]["/shapes/area/{factor}"]["post"]

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


def test_what_is_no_model_is_described_by_its_media_type(told: Any) -> None:
    assert told["paths"]["/shapes/drawing"]["get"]["responses"]["200"]["content"] == {"text/plain": {}}


def test_a_document_is_json_of_version_3_1(told: Any) -> None:
    assert json.loads(json.dumps(told))["openapi"] == "3.1.0"
