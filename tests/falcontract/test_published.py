"""The published schema, and the generated inputs that it accepts or rejects."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falcontract.explore import strategies
from falcontract.model import fields, models, published
from falcontract.model.models import ALL, MODELS, Model
from falcontract.steps import VALID_INPUT, VEO2

VIDEO = MODELS[VEO2]
by_model = pytest.mark.parametrize("model", ALL, ids=lambda model: model.short)


def keys(model: Model, given_input: Any) -> set[Any]:
    return {(error.type, error.loc) for error in fields.errors(model, given_input)}


@pytest.mark.parametrize(
    ("given_input", "expected"),
    [
        (VALID_INPUT, set()),
        (VALID_INPUT | {"duration": "8s", "aspect_ratio": "9:16", "seed": 7}, set()),
        ({}, {("missing", ("body", "prompt")), ("missing", ("body", "image_url"))}),
        (VALID_INPUT | {"duration": 8}, {("literal_error", ("body", "duration"))}),
        (VALID_INPUT | {"prompt": None}, {("string_type", ("body", "prompt"))}),
        ([1], {("model_attributes_type", ("body",))}),
    ],
)
def test_an_input_has_the_errors_of_the_schema(given_input: Any, expected: set[Any]) -> None:
    assert keys(VIDEO, given_input) == expected


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        (b"", "application/json", {("missing", ("body",))}),
        (b"null", None, {("missing", ("body",))}),
        (b"{", "application/json", {("json_invalid", ("body", 1))}),
        (b"{}", "text/plain", {("model_attributes_type", ("body",))}),
        (b"", "text/plain", {("missing", ("body",))}),
    ],
)
def test_a_raw_body_has_the_errors_that_fastapi_reports(
    body: bytes, kind: str | None, expected: set[Any]
) -> None:
    found = fields.body_errors(VIDEO, body, kind) or ()
    assert {(error.type, error.loc) for error in found} == expected


def test_a_body_that_is_not_utf_8_has_no_list_of_errors() -> None:
    assert fields.body_errors(VIDEO, b'"\xff"', "application/json") is None


@by_model
@given(data=st.data())
def test_generated_valid_inputs_have_no_errors(model: Model, data: st.DataObject) -> None:
    assert not fields.errors(model, data.draw(strategies.valid_inputs(model)))


@by_model
@given(data=st.data())
def test_generated_invalid_inputs_have_exactly_one_error(model: Model, data: st.DataObject) -> None:
    assert len(fields.errors(model, data.draw(strategies.invalid_inputs(model)))) == 1


@by_model
def test_a_broken_input_has_errors_and_one_at_the_bounds_has_none(model: Model) -> None:
    assert all(fields.errors(model, broken) for broken in fields.broken(model))
    assert [fields.errors(model, given) for given in fields.at_bounds(model)] == [[], [], []]


@pytest.mark.parametrize(
    ("endpoint", "given_input", "expected"),
    [
        ("fal-ai/flux/dev", {"prompt": "x", "num_images": 4}, 4.0),
        ("fal-ai/flux/dev", {"prompt": "x", "image_size": {"width": 1200, "height": 1000}}, 2.0),
        ("fal-ai/nano-banana/edit", {"num_images": 3}, 3.0),
        ("fal-ai/kokoro/american-english", {"prompt": "x" * 250}, 0.25),
        ("fal-ai/kling-video/v2.6/pro/image-to-video", {"duration": "10"}, 20.0),
        ("fal-ai/kling-video/v2.6/pro/image-to-video", {"generate_audio": False}, 5.0),
        ("fal-ai/trellis", {}, 1.0),
        ("fal-ai/whisper", {}, None),
    ],
)
def test_the_units_of_an_input_follow_its_model(
    endpoint: str, given_input: Any, expected: float | None
) -> None:
    assert models.units(MODELS[endpoint], given_input) == expected


@pytest.mark.parametrize(
    ("given_input", "usd"), [({}, 2.5), ({"duration": "8s"}, 4.0), ({"duration": "?"}, 4.0), ([], 4.0)]
)
def test_an_invalid_input_is_priced_as_if_it_were_accepted(given_input: Any, usd: float) -> None:
    assert published.price(given_input) == usd


@pytest.mark.parametrize("detail", [None, "text", [], ["text"], [{"loc": [], "msg": ""}]])
def test_a_detail_that_is_not_a_list_of_errors_is_none(detail: Any) -> None:
    assert fields.reported(detail) is None
