from __future__ import annotations

import pytest

from falmock.engine.keys import Caller, Keyring, Problem
from falmock.settings import Settings


@pytest.mark.parametrize("header", ["Key me:secret", "key me:secret", "  Key   me:secret ", "Key me:se:cret"])
def test_any_well_formed_key_is_accepted_without_a_list_of_keys(header: str) -> None:
    assert Keyring(Settings()).identify(header) == Caller("me")


@pytest.mark.parametrize(
    "header",
    ["", "Key", "Key nocolon", "Key :secret", "Key me:", "Bearer me:secret", "me:secret", "Key\tme:secret"],
)
def test_an_unreadable_header_is_a_different_problem_than_a_missing_one(header: str) -> None:
    keyring = Keyring(Settings())

    assert (keyring.identify(header), keyring.identify(None)) == (Problem.UNREADABLE, Problem.MISSING)


@pytest.mark.parametrize("header", ["Key me:wrong", "Key you:secret", "Key me:\udcff"])
def test_a_key_that_is_not_listed_is_unknown(header: str) -> None:
    assert Keyring(Settings(keys=("me:secret",))).identify(header) is Problem.UNKNOWN


def test_a_listed_key_is_accepted() -> None:
    assert Keyring(Settings(keys=("me:secret",))).identify("Key me:secret") == Caller("me")


@pytest.mark.parametrize(
    ("header", "name"), [(None, "anonymous"), ("Bearer x", "anonymous"), ("Key me:x", "me")]
)
def test_without_authentication_a_call_without_a_key_is_anonymous(header: str | None, name: str) -> None:
    assert Keyring(Settings(auth=False)).identify(header) == Caller(name)


def test_the_caller_of_a_locked_account_is_locked() -> None:
    keyring = Keyring(Settings(), is_locked=lambda key_id: key_id == "me")

    assert keyring.identify("Key me:secret") == Caller("me", locked=True)


@pytest.mark.parametrize(("auth", "seen"), [(True, False), (False, True)])
def test_requests_of_another_caller_are_visible_only_without_authentication(auth: bool, seen: bool) -> None:
    assert Keyring(Settings(auth=auth)).may_see(Caller("me"), "you") is seen
