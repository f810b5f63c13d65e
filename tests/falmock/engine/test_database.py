"""Actions that follow the end of a transaction."""

from __future__ import annotations

import pytest

from falmock.engine.store import Store


def fail() -> None:
    raise OSError("the disk does not work")


def commit(store: Store, called: list[str]) -> None:
    with store.transaction():
        store.on_commit(lambda: called.append("first"))
        store.on_commit(fail)
        store.on_commit(lambda: called.append("last"))


def roll_back(store: Store, called: list[str]) -> None:
    with store.transaction():
        store.on_rollback(lambda: called.append("first"))
        store.on_rollback(fail)
        store.on_rollback(lambda: called.append("last"))
        raise ValueError("the reason for the rollback")


def test_an_action_that_fails_after_a_commit_does_not_skip_the_others() -> None:
    called: list[str] = []
    with Store(None) as store, pytest.raises(OSError, match="the disk does not work"):
        commit(store, called)

    assert called == ["first", "last"]


def test_an_action_that_fails_after_a_rollback_does_not_skip_the_others() -> None:
    called: list[str] = []
    with Store(None) as store, pytest.raises(OSError, match="the disk does not work"):
        roll_back(store, called)

    assert called == ["last", "first"]
