"""The words of pydantic 1, compared with pydantic 1 itself."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import pytest
from oddities import ODDITIES, Oddity
from pydantic import BaseModel, ConfigDict, Field, model_validator, v1
from spoiling import spoilt

from falmock.protocol import pydantic_1, validation
from falmock.protocol.errors import InvalidBody


class SecondSize(BaseModel):
    model_config = ConfigDict(extra="forbid")

    width: int = Field(gt=0)
    height: int = 1


class SecondText(BaseModel):
    kind: Literal["text"]
    text: str


class SecondImage(BaseModel):
    kind: Literal["image", "photo"]
    url: str = ""


class Second(BaseModel):
    size: SecondSize | Literal["auto", "square"] = "auto"
    sizes: list[SecondSize] | SecondSize | None = None
    scale: Annotated[float, Field(ge=1)] | bool | None = None
    counts: list[int] | int = 1
    part: Annotated[SecondText | SecondImage, Field(discriminator="kind")] | None = None
    span: tuple[float, float | None] = (0, 1)
    spans: list[tuple[int, int]] = []
    word: str = Field(default="a", pattern="^[ab]")
    nothing: None = None
    text: str = Field(default="x", min_length=1, max_length=3)
    whole: int = Field(default=2, gt=0, lt=9, multiple_of=2)
    number: float = Field(default=1, ge=0.5, le=2.5)
    truth: bool = False
    some: list[str] = Field(default=["x"], min_length=1, max_length=2)
    more: dict[str, int] = Field(default={})
    choice: Literal["a, or b", "c"] = "c"
    version: Literal[1, 2] = 1


class FirstSize(v1.BaseModel):
    width: int = v1.Field(gt=0)
    height: int = 1

    class Config:
        extra = "forbid"


class FirstText(v1.BaseModel):
    kind: Literal["text"]
    text: str


class FirstImage(v1.BaseModel):
    kind: Literal["image", "photo"]
    url: str = ""


class First(v1.BaseModel):
    size: FirstSize | Literal["auto", "square"] = "auto"
    sizes: list[FirstSize] | FirstSize | None = None
    scale: v1.confloat(ge=1) | bool | None = None  # type: ignore[valid-type]
    counts: list[int] | int = 1
    part: FirstText | FirstImage | None = v1.Field(None, discriminator="kind")
    span: tuple[float, float | None] = (0, 1)
    spans: list[tuple[int, int]] = []
    word: str = v1.Field("a", regex="^[ab]")
    nothing: None = None
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
        {"whole": "9" * 5000},
        {"whole": 1e999},
        {"size": 5},
        {"size": None},
        {"size": "other"},
        {"size": {}},
        {"size": {"width": 0, "height": "x"}},
        {"size": {"width": 1, "depth": 1}},
        {"sizes": [{"width": 1}, {"width": "x"}]},
        {"sizes": [{}]},
        {"scale": "x"},
        {"counts": [1, "x"]},
        {"counts": {}},
        {"counts": [None]},
        {"part": {}},
        {"part": {"kind": "other"}},
        {"span": 5},
        {"span": [1]},
        {"span": []},
        {"span": ["x"]},
        {"span": [1, 2, 3]},
        {"span": ["x", 2, 3]},
        {"span": ["x", "y"]},
        {"spans": [[1], [1, 2], [1, 2, 3], ["x", 2]]},
        {"word": "c"},
        {"nothing": 5},
        {"size": None, "span": [], "word": "c", "nothing": 5, "text": None},
    ],
    ids=lambda value: str(value)[:60],
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


@pytest.mark.parametrize("oddity", ODDITIES, ids=lambda oddity: oddity.model.__name__)
def test_every_error_of_a_model_of_fal_has_words_of_pydantic_1(oddity: Oddity) -> None:
    for value in spoilt(oddity.sample):
        body = json.dumps(value).encode()
        try:
            validation.read(oddity.model, body, None)
        except InvalidBody as refused:
            entries = pydantic_1.rewrite(refused.body["detail"], body)

            assert entries
            assert "value_error" not in {entry["type"] for entry in entries}, entries


def test_a_text_that_is_not_unicode_has_words_of_pydantic_1() -> None:
    assert rewritten(Second, {"word": "\ud800"}) == [
        {"loc": ["body", "word"], "msg": "str type expected", "type": "type_error.str"}
    ]
