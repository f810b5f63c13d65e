"""Triggers: faults that a call asks for itself."""

from __future__ import annotations

import pytest

from falmock.faults.triggers import faults_in_header, faults_in_input, may_have_triggers
from falmock.faults.vocabulary import FaultError


def test_a_prompt_can_ask_for_several_faults() -> None:
    given = {"prompt": "a cat [[fal: requeued times=2]] [[fal:webhook_twice]]", "duration": 5}

    assert [str(fault) for fault in faults_in_input(given)] == ["requeued times=2", "webhook_twice"]


def test_a_file_url_on_the_reserved_host_asks_for_a_fault() -> None:
    given = {"image_url": "https://falmock.invalid/image_too_small.png?min_width=640"}

    assert [str(fault) for fault in faults_in_input(given)] == ["image_too_small min_width=640"]


def test_a_header_asks_for_faults_separated_by_semicolons() -> None:
    faults = faults_in_header("slow seconds=5; ;webhook_twice")

    assert [str(fault) for fault in faults] == ["slow seconds=5.0", "webhook_twice"]


def test_too_many_faults_at_once_are_rejected() -> None:
    with pytest.raises(FaultError, match="more than 2 faults"):
        faults_in_header("slow; requeued; webhook_twice", most=2)


@pytest.mark.parametrize(
    ("body", "suspicious"),
    [
        (b'{"prompt": "a cat"}', False),
        (b'{"prompt": "[[fal: slow]]"}', True),
        (b'{"image_url": "https://falmock.invalid/slow.png"}', True),
    ],
)
def test_a_body_without_triggers_is_recognised_without_parsing(body: bytes, *, suspicious: bool) -> None:
    assert may_have_triggers(body) == suspicious
