from __future__ import annotations

import pytest

from falmock.engine.keys import Caller, Keyring, Problem
from falmock.settings import Settings


@pytest.mark.parametrize("header", ["Key me:secret", "key me:secret", "  Key   me:secret ", "Key me:se:cret"])
def test_any_well_formed_pair_is_taken(header: str) -> None:
    assert Keyring(Settings()).identify(header) == Caller("me")


@pytest.mark.parametrize(
    "header",
    ["", "Key", "Key nocolon", "Key :secret", "Key me:", "Bearer me:secret", "me:secret", "Key\tme:secret"],
)
def test_what_cannot_be_read_is_told_apart_from_what_is_missing(header: str) -> None:
    keyring = Keyring(Settings())

    assert (keyring.identify(header), keyring.identify(None)) == (Problem.UNREADABLE, Problem.MISSING)


@pytest.mark.parametrize("header", ["Key me:wrong", "Key you:secret", "Key me:\udcff"])
def test_a_list_of_keys_shuts_all_others_out(header: str) -> None:
    assert Keyring(Settings(keys=("me:secret",))).identify(header) is Problem.UNKNOWN


def test_a_listed_key_is_let_in() -> None:
    assert Keyring(Settings(keys=("me:secret",))).identify("Key me:secret") == Caller("me")


@pytest.mark.parametrize(
    ("header", "name"), [(None, "anonymous"), ("Bearer x", "anonymous"), ("Key me:x", "me")]
)
def test_without_auth_everybody_is_somebody(header: str | None, name: str) -> None:
    assert Keyring(Settings(auth=False)).identify(header) == Caller(name)


def test_a_locked_account_is_known_as_such() -> None:
    assert Keyring(Settings(locked=("me",))).identify("Key me:secret") == Caller("me", locked=True)


@pytest.mark.parametrize(("auth", "seen"), [(True, False), (False, True)])
def test_another_callers_requests_are_hidden_only_when_keys_count(auth: bool, seen: bool) -> None:
    assert Keyring(Settings(auth=auth)).may_see(Caller("me"), "you") is seen
