"""The words of pydantic 1, compared with pydantic 1 itself."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, model_validator, v1

from falmock.protocol import pydantic_1, validation
from falmock.protocol.errors import InvalidBody


class Second(BaseModel):
    text: str = Field(default="x", min_length=1, max_length=3)
    whole: int = Field(default=2, gt=0, lt=9, multiple_of=2)
    number: float = Field(default=1, ge=0.5, le=2.5)
    truth: bool = False
    some: list[str] = Field(default=["x"], min_length=1, max_length=2)
    more: dict[str, int] = Field(default={})
    choice: Literal["a, or b", "c"] = "c"
    version: Literal[1, 2] = 1


class First(v1.BaseModel):
    text: str = v1.Field("x", min_length=1, max_length=3)
    whole: int = v1.Field(2, gt=0, lt=9, multiple_of=2)
    number: float = v1.Field(1, ge=0.5, le=2.5)
    truth: bool = False
    some: list[str] = v1.Field(["x"], min_items=1, max_items=2)
    more: dict[str, int] = v1.Field({})
    choice: Literal["a, or b", "c"] = "c"
    version: Literal[1, 2] = 1


def rewritten(schema: type[BaseModel], value: Any) -> Any:
    """Return the errors of a value in the words of pydantic 1."""
    body = json.dumps(value).encode()
    with pytest.raises(InvalidBody) as refused:
        validation.read(schema, body, None)
    return pydantic_1.rewrite(refused.value.body["detail"], body)


@pytest.mark.parametrize(
    "value",
    [
        {"text": []},
        {"text": ""},
        {"text": "four"},
        {"text": None},
        {"whole": "x"},
        {"whole": []},
        {"whole": 0},
        {"whole": 10},
        {"whole": 3},
        {"whole": None, "truth": None, "some": None, "choice": None},
        {"number": "x"},
        {"number": 0},
        {"number": 3},
        {"truth": "perhaps"},
        {"truth": 7},
        {"some": {"a": 1}},
        {"some": []},
        {"some": ["a", "b", "c"]},
        {"some": ["a", []]},
        {"more": 5},
        {"more": {"a": "x"}},
        {"choice": "d"},
        {"version": 3},
        {"text": {}, "whole": "x", "some": 1},
    ],
    ids=str,
)
def test_errors_are_those_of_pydantic_1(value: Any) -> None:
    with pytest.raises(v1.ValidationError) as invalid:
        First.parse_obj(value)

    expected = [error | {"loc": ["body", *error["loc"]]} for error in invalid.value.errors()]
    assert json.dumps(rewritten(Second, value)) == json.dumps(expected)


class Picky(BaseModel):
    a: int = 0

    @model_validator(mode="after")
    def refuse(self) -> Picky:
        raise ValueError("a and b exclude each other")


def test_a_validator_of_the_whole_input_is_at_the_root() -> None:
    assert rewritten(Picky, {}) == [
        {"loc": ["body", "__root__"], "msg": "a and b exclude each other", "type": "value_error"}
    ]
