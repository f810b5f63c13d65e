"""What fal has published says what is wrong with an input."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from falcontract import published, strategies
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
def test_faults(given_input: Any, expected: set[published.Fault]) -> None:
    assert published.faults(given_input) == expected


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
def test_faults_of_a_body(body: bytes, kind: str | None, expected: set[published.Fault]) -> None:
    assert set(published.body_errors(body, kind) or ()) == expected


def test_bytes_that_are_no_text_have_no_list_of_faults() -> None:
    assert published.body_errors(b'"\xff"', "application/json") is None


@given(strategies.good_inputs())
def test_good_inputs_are_good(given_input: Any) -> None:
    assert not published.faults(given_input)


@given(strategies.broken_inputs())
def test_broken_inputs_are_broken_in_one_way(given_input: Any) -> None:
    assert len(published.faults(given_input)) == 1


@pytest.mark.parametrize(
    ("given_input", "usd"), [({}, 2.5), ({"duration": "8s"}, 4.0), ({"duration": "?"}, 4.0), ([], 4.0)]
)
def test_a_broken_input_is_priced_as_if_it_were_taken(given_input: Any, usd: float) -> None:
    assert published.price(given_input) == usd


@pytest.mark.parametrize("detail", [None, "text", [], ["text"], [{"loc": [], "msg": ""}]])
def test_what_is_no_list_of_faults_is_none(detail: Any) -> None:
    assert published.reported_errors(detail) is None
