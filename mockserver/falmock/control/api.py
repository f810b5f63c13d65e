"""An API that describes itself: its routes and its OpenAPI document are made from one table."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from falmock.http.openapi import SCHEMAS
from falmock.http.submission import read_body
from falmock.protocol import validation
from falmock.protocol.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from starlette.requests import Request

    from falmock.protocol.errors import Json

LONGEST_BODY: Final = 1024 * 1024  # bytes
BODY_LIMITS: Final = Limits(members=10_000)  # a scenario has some dozens
JSON: Final = "application/json"


class Problem(BaseModel):
    """Why not: one line, or a list of what is wrong with a query or a body."""

    detail: str | list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked for.

    Attributes:
        method: HTTP's.
        path: with its parameters in braces, as "/requests/{id}".
        says: what it is for, in one line.
        answer: gets the path's parameters in order and then what was asked, if it takes anything; returns
            a model, or a whole response.
        takes: what can be asked, in the query of a GET or DELETE, in the JSON body of others.
        gives: the model of the answer, or its media type where that is not JSON of a model.
        status: of a good answer.
        refusals: other statuses that it answers with, and why.
    """

    method: str
    path: str
    says: str
    answer: Callable[..., Awaitable[BaseModel | Response]]
    takes: type[BaseModel] | None = None
    gives: type[BaseModel] | str = JSON
    status: int = 200
    refusals: Mapping[int, str] = field(default_factory=dict)

    @property
    def parameters(self) -> list[str]:
        """The names in the path."""
        return re.findall(r"{(\w+)}", self.path)

    @property
    def has_body(self) -> bool:
        """Tell whether what it takes comes in a body."""
        return self.takes is not None and self.method not in {"GET", "DELETE"}

    async def __call__(self, request: Request) -> Response:
        """Answer one call.

        Raises:
            InvalidBody: what is asked does not fit.
        """
        given: list[object] = [request.path_params[name] for name in self.parameters]
        if self.takes is not None:
            given.append(await self._asked(self.takes, request))
        answer = await self.answer(*given)
        if isinstance(answer, Response):
            return answer
        return JSONResponse(answer.model_dump(mode="json"), self.status)

    async def _asked(self, takes: type[BaseModel], request: Request) -> BaseModel:
        if not self.has_body:
            return validation.check(takes, dict(request.query_params), "query")
        body = await read_body(request, LONGEST_BODY)
        return validation.read(takes, body or b"{}", JSON, BODY_LIMITS)


def routes(operations: Iterable[Operation]) -> list[Route]:
    """Return the routes of an API."""
    return [Route(each.path, each.__call__, methods=[each.method]) for each in operations]


def document(operations: Sequence[Operation], *, base: str, info: Json, always: Mapping[int, str]) -> Json:
    """Return the OpenAPI 3.1 document of an API.

    Args:
        operations: all of them.
        base: the path that theirs stand below.
        info: title, version and description.
        always: statuses that every operation may answer with, and why.
    """
    models: list[Any] = [(Problem, "serialization")]
    models += [(each.takes, "validation") for each in operations if each.has_body]
    models += [(each.gives, "serialization") for each in operations if not isinstance(each.gives, str)]
    references, schemas = models_json_schema([*dict.fromkeys(models)], ref_template=SCHEMAS + "{model}")
    paths: dict[str, Json] = {}
    for each in operations:
        described = _described(each, references, always)
        paths.setdefault(base + each.path, {})[each.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": info,
        "paths": paths,
        "components": {"schemas": schemas["$defs"]},
    }


def _described(operation: Operation, references: Mapping[Any, Json], always: Mapping[int, str]) -> Json:
    problem = references[Problem, "serialization"]
    gives = operation.gives
    good = {gives: {}} if isinstance(gives, str) else {JSON: {"schema": references[gives, "serialization"]}}
    refusals = {**always, **operation.refusals}
    if operation.takes is not None:
        refusals[422] = "what is asked does not fit"
    described: Json = {
        "summary": operation.says,
        "parameters": [_in_path(name) for name in operation.parameters],
        "responses": {
            str(operation.status): {"description": "the answer", "content": good},
            **{
                str(status): {"description": why, "content": {JSON: {"schema": problem}}}
                for status, why in sorted(refusals.items())
            },
        },
    }
    if operation.has_body:
        content = {JSON: {"schema": references[operation.takes, "validation"]}}
        described["requestBody"] = {"required": _must_ask(operation.takes), "content": content}
    elif operation.takes is not None:
        described["parameters"] += _in_query(operation.takes)
    return described


def _in_path(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _in_query(model: type[BaseModel]) -> list[Json]:
    schema = model.model_json_schema()
    return [
        {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": what}
        for name, what in schema["properties"].items()
    ]


def _must_ask(model: type[BaseModel] | None) -> bool:
    return model is not None and any(each.is_required() for each in model.model_fields.values())
