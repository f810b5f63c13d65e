from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falmock.account import Account

if TYPE_CHECKING:
    from emulated import Mock

COUNT = st.integers(0, 10)
ACCOUNT = st.builds(
    Account,
    requests=COUNT,
    results=COUNT,
    failures=COUNT,
    webhooks=COUNT,
    usd=COUNT.map(float),
    calls=st.dictionaries(st.sampled_from("abc"), st.integers(1, 10)),
    refused=st.lists(st.sampled_from("xyz"), unique=True).map(tuple),
)


@given(ACCOUNT)
def test_what_came_after_nothing_is_all(account: Account) -> None:
    assert account.since(Account()) == account


@given(ACCOUNT)
def test_what_came_since_now_is_nothing(account: Account) -> None:
    assert account.since(account) == Account()


@given(ACCOUNT)
def test_an_account_survives_being_written_down(account: Account) -> None:
    assert Account.from_json(account.to_json()) == account


@pytest.mark.parametrize(
    ("account", "told"),
    [
        (Account(), "0 requests, 0 results, 0 webhooks, $0.00 not spent"),
        (
            Account(requests=1, results=1, webhooks=1, usd=2.5),
            "1 request, 1 result, 1 webhook, $2.50 not spent",
        ),
        (
            Account(requests=2, failures=1, refused=("a", "b")),
            "2 requests, 0 results, 1 failure, 0 webhooks, $0.00 not spent, REFUSED: calls to a, b",
        ),
    ],
)
def test_an_account_is_one_line(account: Account, told: str) -> None:
    assert str(account) == told


async def test_an_emulator_tells_what_it_has_done(mock: Mock) -> None:
    await mock.finish(duration="6s")
    await mock.finish(duration="4s")
    await mock.submit()
    await mock.http.get("/", headers={"Host": "gateway.fal.ai"})

    assert (await mock.http.get("/account")).json() == {
        "requests": 3,
        "results": 1,
        "failures": 1,
        "webhooks": 0,
        "usd": 3.0,
        "calls": {"queue.fal.run": 5},
        "refused": ["gateway.fal.ai"],
    }
