from __future__ import annotations

import math
import random

import pytest

from falmock.settings import Settings, SettingsError, Span


@pytest.mark.parametrize(
    ("text", "span"),
    [("4", Span(4, 4)), ("3.5-4.5", Span(3.5, 4.5)), (" 0 ", Span(0, 0)), ("1-1", Span(1, 1))],
)
def test_a_duration_is_a_number_or_a_range(text: str, span: Span) -> None:
    assert Span.parse(text) == span


@pytest.mark.parametrize("text", ["", "x", "-1", "5-4", "1-2-3", "nan", "1e3"])
def test_a_text_that_is_no_duration_is_rejected_with_advice(text: str) -> None:
    with pytest.raises(SettingsError, match="write"):
        Span.parse(text)


def test_a_duration_prints_as_it_was_written() -> None:
    assert [str(Span.parse(text)) for text in ("4", "3.5-4.5")] == ["4", "3.5-4.5"]


def test_a_duration_drawn_from_a_range_lies_in_it() -> None:
    drawn = Span(3, 5).draw(random.Random(1))

    assert 3 <= drawn <= 5


@pytest.mark.parametrize("token", ["", "two words", "tok\xe9n", "token\n"])
def test_a_control_token_that_no_header_can_have_is_rejected_without_printing_it(token: str) -> None:
    with pytest.raises(SettingsError, match="--control-token") as raised:
        Settings(control_token=token)

    assert not token or token not in str(raised.value)


def test_secrets_are_not_in_the_representation_of_settings() -> None:
    text = repr(Settings(control_token="a-secret", keys=("me:a-secret",)))

    assert "a-secret" not in text


@pytest.mark.parametrize("pair", ["", "nocolon", "id:", ":secret"])
def test_a_key_that_is_no_pair_is_rejected(pair: str) -> None:
    with pytest.raises(SettingsError, match="id:secret"):
        Settings(keys=(pair,))


def test_a_rejected_key_is_not_repeated_in_the_error() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings(keys=("my-secret-without-colon",))

    assert "my-secret" not in str(caught.value)


def test_the_repr_of_settings_has_no_secrets() -> None:
    assert "hush" not in repr(Settings(keys=("id:hush",)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("time_scale", 1e300),
        ("time_scale", math.nan),
        ("seed", 2**63),
        ("runners", 0),
        ("concurrency", -1),
        ("renders", 0),
        ("queue_seconds", Span(math.nan, math.nan)),
        ("queue_seconds", Span(-1, 1)),
        ("run_seconds", Span(0, math.inf)),
        ("run_seconds", Span.parse("9" * 400)),
        ("run_timeout", math.nan),
        ("render_timeout", math.inf),
        ("retention", math.nan),
        ("retention_large", -1.0),
        ("payload_days", 1e300),
        ("journal_size", -1),
        ("max_body", -1),
        ("max_upload", -1),
    ],
)
def test_a_number_out_of_range_is_rejected_in_one_line(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=rf"^--{name.replace('_', '-')} is a number from [^\n]+$"):
        Settings(**{name: value})  # type: ignore[arg-type]
