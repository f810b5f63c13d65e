"""The published schema, and the generated inputs that it accepts or rejects."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from falcontract.explore import strategies
from falcontract.model import published
from falcontract.steps import VALID_INPUT


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
def test_an_input_has_the_errors_of_the_schema(given_input: Any, expected: set[published.ErrorKey]) -> None:
    assert published.input_errors(given_input) == expected


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        (b"", "application/json", {("missing", ("body",))}),
        (b"null", None, {("missing", ("body",))}),
        (b"{", "application/json", {("json_invalid", ("body", "1"))}),
        (b"{}", "text/plain", {("model_attributes_type", ("body",))}),
        (b"", "text/plain", {("missing", ("body",))}),
    ],
)
def test_a_raw_body_has_the_errors_that_fastapi_reports(
    body: bytes, kind: str | None, expected: set[published.ErrorKey]
) -> None:
    assert set(published.body_errors(body, kind) or ()) == expected


def test_a_body_that_is_not_utf_8_has_no_list_of_errors() -> None:
    assert published.body_errors(b'"\xff"', "application/json") is None


@given(strategies.valid_inputs())
def test_generated_valid_inputs_have_no_errors(given_input: Any) -> None:
    assert not published.input_errors(given_input)


@given(strategies.invalid_inputs())
def test_generated_invalid_inputs_have_exactly_one_error(given_input: Any) -> None:
    assert len(published.input_errors(given_input)) == 1


@pytest.mark.parametrize(
    ("given_input", "usd"), [({}, 2.5), ({"duration": "8s"}, 4.0), ({"duration": "?"}, 4.0), ([], 4.0)]
)
def test_an_invalid_input_is_priced_as_if_it_were_accepted(given_input: Any, usd: float) -> None:
    assert published.price(given_input) == usd


@pytest.mark.parametrize("detail", [None, "text", [], ["text"], [{"loc": [], "msg": ""}]])
def test_a_detail_that_is_not_a_list_of_errors_is_none(detail: Any) -> None:
    assert published.reported_errors(detail) is None
