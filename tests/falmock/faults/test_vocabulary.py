"""The vocabulary: every name that fal's errors have, and how a fault is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falmock.faults.vocabulary import (
    FAULTS,
    PLACES,
    Fault,
    FaultError,
    limits,
    model_error,
    parse,
    platform_error,
)
from falmock.protocol.errors import PlatformError
from falmock.protocol.model_errors import MODEL_ERRORS

ASKED = {"prompt": "a", "image_url": "https://example.com/a.png", "duration": "5s"}


def test_a_name_alone_is_a_fault_with_its_usual_options() -> None:
    assert parse("requeued") == Fault("requeued", {"times": 3})


def test_an_option_takes_the_type_of_its_usual_value() -> None:
    assert parse("slow seconds=5").options["seconds"] == 5.0
    assert parse("one_of expected=a,b").options["expected"] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense", "there is no fault 'nonsense'"),
        ("slow minutes=5", "slow has no option 'minutes': it has seconds"),
        ("slow seconds=soon", "seconds=soon of slow should be like seconds=600.0"),
        ("stuck_running now", "stuck_running has no option 'now': it has none"),
        ("", "is no fault"),
        ("slow 'seconds", "is no fault"),
    ],
)
def test_a_fault_that_there_is_not_is_told_in_one_line(text: str, says: str) -> None:
    with pytest.raises(FaultError, match=r"^[^\n]+$") as caught:
        parse(text)

    assert says in str(caught.value)


@given(st.sampled_from(sorted(FAULTS)), st.data())
def test_a_fault_reads_as_it_was_written(name: str, data: st.DataObject) -> None:
    options = dict(FAULTS[name].options)
    for option, usual in options.items():
        if isinstance(usual, str):
            options[option] = data.draw(st.text(st.characters(exclude_categories=["C", "Z"])))
        elif isinstance(usual, int):
            options[option] = data.draw(st.integers(*limits(name, option)))
    fault = Fault(name, options)

    assert parse(str(fault)) == fault


@pytest.mark.parametrize("name", MODEL_ERRORS)
def test_every_error_of_a_model_has_fals_envelope(name: str) -> None:
    error = model_error(parse(name), ASKED)

    (entry,) = error.body["detail"]
    assert list(entry)[:4] == ["loc", "msg", "type", "url"]
    assert entry["type"] == name
    assert entry["url"] == f"https://docs.fal.ai/errors#{name}"
    assert entry["loc"][0] == "body"
    assert "{" not in entry["msg"]


def test_a_rejected_prompt_echoes_the_whole_input() -> None:
    (entry,) = model_error(parse("content_policy_violation"), ASKED).body["detail"]

    assert entry["loc"] == ["body", "prompt"]
    assert entry["input"] == ASKED


def test_a_rejected_field_echoes_what_was_in_it() -> None:
    (entry,) = model_error(parse("image_too_small min_width=640"), ASKED).body["detail"]

    assert entry["input"] == ASKED["image_url"]
    assert entry["ctx"] == {"min_height": 720, "min_width": 640}
    assert entry["msg"].endswith("Minimum dimensions required: 640x720 pixels.")


def test_a_choice_is_told_as_pydantic_tells_it() -> None:
    (entry,) = model_error(parse("one_of"), ASKED).body["detail"]

    assert entry["msg"] == "Input should be '5s', '6s', '7s' or '8s'"


def test_place_and_text_of_an_error_can_be_set() -> None:
    fault = parse("feature_not_supported loc=body.input.image_urls msg='Not in 4K'")

    (entry,) = model_error(fault, ASKED).body["detail"]

    assert (entry["loc"], entry["msg"]) == (["body", "input", "image_urls"], "Not in 4K")


@pytest.mark.parametrize("name", PlatformError.STATUS)
def test_every_error_of_the_platform_names_its_type(name: str) -> None:
    error = platform_error(parse(name))

    assert error.body["error_type"] == error.headers["x-fal-error-type"] == name


@pytest.mark.parametrize("kind", FAULTS.values(), ids=lambda kind: kind.name)
def test_every_fault_strikes_somewhere_that_it_may(kind: object) -> None:
    assert kind.on  # type: ignore[attr-defined]
    assert set(kind.on) <= kind.may <= set(PLACES)  # type: ignore[attr-defined]
