"""HTTP operations, declared on their handlers. Routes and the OpenAPI document are made from them."""

from __future__ import annotations

import asyncio
import inspect
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_type_hints

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from falmock.http.context import read_body
from falmock.inspection.journal import journal_of
from falmock.protocol import validation
from falmock.protocol.limits import Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence

    from starlette.requests import Request

    from falmock.engine.emulator import Emulator
    from falmock.protocol.errors import Json

    Handler = TypeVar("Handler", bound=Callable[..., Awaitable[BaseModel | Response]])

LONGEST_BODY: Final = 1024 * 1024  # bytes
BODY_LIMITS: Final = Limits(members=10_000)  # a scenario has some dozens
JSON: Final = "application/json"
DECLARED: Final = "__operation__"


class Problem(BaseModel):
    """An error: one line, or a list of the invalid fields of a query or body."""

    detail: str | list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Attributes:
        path: with parameters in braces, such as "/requests/{id}".
        gives: model or media type of the response.
        refusals: other statuses, each with its reason.
    """

    method: str
    path: str
    summary: str
    handler: Callable[..., Awaitable[BaseModel | Response]]
    query: type[BaseModel] | None
    body: type[BaseModel] | None
    gives: type[BaseModel] | str
    status: int
    refusals: Mapping[int, str]

    @property
    def parameters(self) -> list[str]:
        """The names in the path."""
        return re.findall(r"{(\w+)}", self.path)

    async def __call__(self, request: Request) -> Response:
        """Handle a call; an invalid query or body is refused."""
        given: list[object] = [request.path_params[name] for name in self.parameters]
        if self.query is not None:
            given.append(validation.check(self.query, dict(request.query_params), "query"))
        if self.body is not None:
            body = await read_body(request, LONGEST_BODY)
            given.append(validation.read(self.body, body or b"{}", JSON, BODY_LIMITS))
        answer = await self.handler(*given)
        if isinstance(answer, Response):
            return answer
        return JSONResponse(answer.model_dump(mode="json"), self.status)


def operation(
    method: str,
    path: str,
    *,
    gives: type[BaseModel] | str | None = None,
    status: int = 200,
    refusals: Mapping[int, str] | None = None,
) -> Callable[[Handler], Handler]:
    """Declare a method as the handler of an operation.

    Its arguments are the parameters of the path in order, then `query` or `body`, a pydantic model. The first
    line of its docstring is the summary. For the arguments see `Operation`; `gives` is the return type by
    default.
    """

    def declare(handler: Handler) -> Handler:
        types = get_type_hints(handler)
        returns = JSON if issubclass(types["return"], Response) else types["return"]
        declared = Operation(
            method=method,
            path=path,
            summary=(inspect.getdoc(handler) or "").partition("\n")[0].rstrip("."),
            handler=handler,
            query=types.get("query"),
            body=types.get("body"),
            gives=gives or returns,
            status=status,
            refusals=refusals or {},
        )
        setattr(handler, DECLARED, declared)
        return handler

    return declare


class Part:
    """Some operations on an emulator. `_redact` masks secrets in the callers' texts."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._redact = journal_of(emulator).redact


def operations(part: object) -> list[Operation]:
    """Return the operations declared on an object's class, in the order of their definition."""
    return [
        replace(getattr(function, DECLARED), handler=getattr(part, name))
        for name, function in vars(type(part)).items()
        if hasattr(function, DECLARED)
    ]


def routes(operations: Iterable[Operation]) -> list[Route]:
    return [Route(each.path, each.__call__, methods=[each.method]) for each in operations]


@asynccontextmanager
async def time_limit(seconds: float, state: str) -> AsyncIterator[None]:
    """Answer 408 with `state` after so many real seconds."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise HTTPException(408, f"{state} after {seconds:g} s") from None


def document(operations: Sequence[Operation], *, base: str, info: Json, always: Mapping[int, str]) -> Json:
    """Return the OpenAPI 3.1 document of an API.

    Args:
        always: statuses that every operation may answer with, each with its reason.
    """
    models: list[Any] = [(Problem, "serialization")]
    models += [(each.body, "validation") for each in operations if each.body is not None]
    models += [(each.gives, "serialization") for each in operations if not isinstance(each.gives, str)]
    references, schemas = models_json_schema(
        [*dict.fromkeys(models)], ref_template="#/components/schemas/{model}"
    )
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
    described: Json = {
        "summary": operation.summary,
        "parameters": [_in_path(name) for name in operation.parameters],
        "responses": _responses(operation, references, always),
    }
    if operation.query is not None:
        described["parameters"] += _in_query(operation.query)
    if operation.body is not None:
        described["requestBody"] = {
            "required": any(each.is_required() for each in operation.body.model_fields.values()),
            "content": {JSON: {"schema": references[operation.body, "validation"]}},
        }
    return described


def _responses(operation: Operation, references: Mapping[Any, Json], always: Mapping[int, str]) -> Json:
    gives = operation.gives
    success = (
        {gives: {}} if isinstance(gives, str) else {JSON: {"schema": references[gives, "serialization"]}}
    )
    problem = {JSON: {"schema": references[Problem, "serialization"]}}
    refusals = {**always, **operation.refusals}
    if operation.query is not None or operation.body is not None:
        refusals[422] = "the query or the body is invalid"
    return {str(operation.status): {"description": "success", "content": success}} | {
        str(status): {"description": why, "content": problem} for status, why in sorted(refusals.items())
    }


def _in_path(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _in_query(model: type[BaseModel]) -> list[Json]:
    schema = model.model_json_schema()
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "schema": property_schema,
        }
        for name, property_schema in schema["properties"].items()
    ]
