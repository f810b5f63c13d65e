"""Parsing of object lifecycles, and the decisions of access lists."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falmock.engine.files import Lifecycle, LifecycleError, decide
from falmock.engine.rows import StoredFile

DECISIONS = ["allow", "forbid", "hide"]
MEMBERS = st.sampled_from(["user", "decision", "default", "rules"])
ODD: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(DECISIONS),
    lambda inner: st.lists(inner) | st.dictionaries(MEMBERS, inner),
    max_leaves=8,
)


@given(ODD, ODD)
def test_any_json_is_a_usable_lifecycle_or_a_lifecycle_error(seconds: Any, acl: Any) -> None:
    text = json.dumps({"expiration_duration_seconds": seconds, "initial_acl": acl})
    try:
        lifecycle = Lifecycle.parse(text)
    except LifecycleError:
        return
    file = StoredFile("/files/x", "x", "a/b", 1, "me", 0.0, None, json.dumps(lifecycle.acl))

    assert decide(file, "me") == "allow"
    assert lifecycle.acl is None or decide(file, "you") in DECISIONS


@pytest.mark.parametrize(
    "text",
    ["", "[]", "1", "[" * 100_000, '{"expiration_duration_seconds": ' + "9" * 5000 + "}", '{"a": 1'],
)
def test_an_invalid_lifecycle_is_an_error(text: str) -> None:
    with pytest.raises(LifecycleError):
        Lifecycle.parse(text)


@pytest.mark.parametrize("acl", [{"default": []}, {"rules": [{"user": "a", "decision": {}}]}, {"rules": [1]}])
def test_an_invalid_access_list_is_an_error(acl: Any) -> None:
    with pytest.raises(LifecycleError):
        Lifecycle.parse(json.dumps({"initial_acl": acl}))
