from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from falmock.protocol.bodies import BodyTooComplexError, load, measure
from falmock.protocol.limits import DEFAULT, Limits


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def flat(members: int) -> bytes:
    return b"[" + b",".join([b"1"] * members) + b"]"


def test_body_at_the_limit_in_depth_is_parsed() -> None:
    assert json.dumps(load(nested(10), Limits(depth=10))) == nested(10).decode()


def test_body_one_level_over_the_limit_is_refused() -> None:
    with pytest.raises(BodyTooComplexError):
        load(nested(11), Limits(depth=10))


def test_body_at_the_limit_in_members_is_parsed() -> None:
    assert load(flat(10), Limits(members=10)) == [1] * 10


def test_body_one_member_over_the_limit_is_refused() -> None:
    with pytest.raises(BodyTooComplexError):
        load(flat(11), Limits(members=10))


@pytest.mark.parametrize(
    "text", ["[[[[[", ",,,,,", "}{][", '\\"[[[', "\\\\", '\\\\\\"[,', '",[', "\\"], ids=repr
)
def test_brackets_in_a_string_do_not_count(text: str) -> None:
    limits = Limits(depth=2, members=4)
    body = json.dumps({text: text}).encode()

    assert load(body, limits) == {text: text}


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"[]," * (14 * 1024 * 1024 // 3) + b"[]]",
        b"[]" * 300 + b'""' * 1_000_000,
        b"[]" * 300 + b"]" * 1_000_000,
        b"[" * 1_000_000,
        b'{"a":' * 1_000_000,
    ],
    ids=["empty-lists", "empty-strings", "closed", "opened", "opened-objects"],
)
def test_megabytes_of_brackets_are_refused_before_they_are_parsed(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("json.loads", lambda _: pytest.fail("parsed"))

    with pytest.raises(BodyTooComplexError):
        load(body)


@pytest.mark.parametrize(
    "body", [b'"' + b"[" * 1_000_000 + b'"', b'"' + b'\\"' * 1_000_000 + b'"', b'"' + b"," * 1_000_000 + b'"']
)
def test_long_string_is_within_the_limits(body: bytes) -> None:
    assert load(body) == json.loads(body)


@pytest.mark.parametrize("body", [b"9" * 5000, b"\xff", b"[", b""])
def test_invalid_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        load(body)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


texts = st.text(st.sampled_from('[]{},"\\a:'), max_size=6)
values = st.recursive(
    st.one_of(st.integers(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=12,
)


@given(values, st.integers(0, 6))
def test_body_is_refused_exactly_if_it_is_deeper_than_the_limit(value: Any, depth: int) -> None:
    limits = Limits(depth=depth, members=DEFAULT.members)
    body = json.dumps(value).encode()
    try:
        measure(body, limits)
        taken = True
    except BodyTooComplexError:
        taken = False

    assert taken == (depth_of(value) <= depth)
