"""Programs are data, and know which abilities they need."""

from __future__ import annotations

import pytest

from falcontract.steps import FAULTS, Program, Step, lock, program, status, submit, wait


@pytest.mark.parametrize(
    ("found", "needs"),
    [
        (program("x", submit(), status(), wait(5)), set()),
        (program("x", wait(5.1)), {"pass-time"}),
        (program("x", submit(webhook="r")), {"receive"}),
        (program("x", status(key="b")), {"second-key"}),
        (program("x", submit(key="unknown")), {"known-keys"}),
        (program("x", lock()), {"lock"}),
        (program("x", runners=1), {"configure"}),
        (Program(name="x", steps=(), setup={FAULTS: []}), {"configure", "faults"}),
    ],
)
def test_a_program_needs_the_abilities_of_its_steps_and_setup(found: Program, needs: set[str]) -> None:
    assert found.needs() == needs


def test_a_header_is_found_in_any_case() -> None:
    step = submit(headers={"X-Fal-No-Retry": "1"})
    assert step.header("x-fal-no-retry") == "1"
    assert step.header("x-fal-request-timeout") is None


def test_a_submit_without_an_input_or_body_gets_a_valid_input() -> None:
    assert submit().input["prompt"]
    assert submit(given={}).input == {}
    assert submit(body="{").input is None


def test_json_has_only_the_members_that_differ_from_their_defaults() -> None:
    step = submit("B", {}, times=2)
    assert step.as_json() == {"do": "submit", "job": "B", "input": {}, "times": 2}
    assert Step.from_json(step.as_json()) == step


def test_a_printed_program_numbers_its_steps_and_cuts_long_values() -> None:
    text = str(program("long", submit(given={"prompt": "x" * 1000}), wait(2), runners=1)).splitlines()
    assert text[0] == 'long  (with {"runners": 1})'
    assert text[1].startswith('  1. submit A input={"prompt": "xxx')
    assert text[1].endswith("...(1014)")
    assert text[2] == "  2. wait seconds=2"
