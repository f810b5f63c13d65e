"""The vocabulary of faults: names, options, and the errors of fal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falmock.faults.vocabulary import (
    FAULTS,
    PLACES,
    Fault,
    FaultError,
    FaultKind,
    limits,
    model_error,
    parse,
    platform_error,
)
from falmock.protocol.errors import PlatformError
from falmock.protocol.model_errors import MODEL_ERRORS

INPUT = {"prompt": "a", "image_url": "https://example.com/a.png", "duration": "5s"}


def test_a_fault_without_options_has_the_defaults() -> None:
    assert parse("requeued") == Fault("requeued", {"times": 3})


def test_an_option_is_converted_to_the_type_of_its_default() -> None:
    assert parse("slow seconds=5").options["seconds"] == 5.0
    assert parse("one_of expected=a,b").options["expected"] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nonsense", "there is no fault 'nonsense'"),
        ("slow minutes=5", "slow has no option 'minutes': it has seconds"),
        ("slow seconds=soon", "seconds=soon of slow should be like seconds=600.0"),
        ("stuck_running now", "stuck_running has no option 'now': it has none"),
        ("", "is no fault"),
        ("slow 'seconds", "is no fault"),
    ],
)
def test_an_invalid_fault_is_rejected_with_one_line(text: str, reason: str) -> None:
    with pytest.raises(FaultError, match=r"^[^\n]+$") as caught:
        parse(text)

    assert reason in str(caught.value)


@given(st.sampled_from(sorted(FAULTS)), st.data())
def test_a_fault_is_equal_after_it_was_written_and_parsed(name: str, data: st.DataObject) -> None:
    options = dict(FAULTS[name].options)
    for option, usual in options.items():
        if isinstance(usual, str):
            options[option] = data.draw(st.text(st.characters(exclude_categories=["C", "Z"])))
        elif isinstance(usual, int):
            options[option] = data.draw(st.integers(*limits(name, option)))
    fault = Fault(name, options)

    assert parse(str(fault)) == fault


@pytest.mark.parametrize("name", MODEL_ERRORS)
def test_every_model_error_has_the_keys_of_fal(name: str) -> None:
    error = model_error(parse(name), INPUT)

    (entry,) = error.body["detail"]
    assert list(entry)[:4] == ["loc", "msg", "type", "url"]
    assert entry["type"] == name
    assert entry["url"] == f"https://docs.fal.ai/errors#{name}"
    assert entry["loc"][0] == "body"
    assert "{" not in entry["msg"]


def test_a_rejected_prompt_echoes_the_whole_input() -> None:
    (entry,) = model_error(parse("content_policy_violation"), INPUT).body["detail"]

    assert entry["loc"] == ["body", "prompt"]
    assert entry["input"] == INPUT


def test_a_rejected_field_echoes_its_value() -> None:
    (entry,) = model_error(parse("image_too_small min_width=640"), INPUT).body["detail"]

    assert entry["input"] == INPUT["image_url"]
    assert entry["ctx"] == {"min_height": 720, "min_width": 640}
    assert entry["msg"].endswith("Minimum dimensions required: 640x720 pixels.")


def test_the_values_of_a_choice_are_listed_as_pydantic_lists_them() -> None:
    (entry,) = model_error(parse("one_of"), INPUT).body["detail"]

    assert entry["msg"] == "Input should be '5s', '6s', '7s' or '8s'"


def test_loc_and_msg_of_a_model_error_can_be_set() -> None:
    fault = parse("feature_not_supported loc=body.input.image_urls msg='Not in 4K'")

    (entry,) = model_error(fault, INPUT).body["detail"]

    assert (entry["loc"], entry["msg"]) == (["body", "input", "image_urls"], "Not in 4K")


@pytest.mark.parametrize("name", PlatformError.STATUS)
def test_every_platform_error_has_its_type_in_body_and_header(name: str) -> None:
    error = platform_error(parse(name))

    assert error.body["error_type"] == error.headers["x-fal-error-type"] == name


@pytest.mark.parametrize("kind", FAULTS.values(), ids=lambda kind: kind.name)
def test_the_default_places_of_every_fault_are_allowed_places(kind: FaultKind) -> None:
    assert kind.on
    assert set(kind.on) <= kind.may <= set(PLACES)
