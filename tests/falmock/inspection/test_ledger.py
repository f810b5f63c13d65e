from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from emulated import ENDPOINT, KEY, data_uri, png
from hypothesis import given
from hypothesis import strategies as st

from falmock.inspection.ledger import NAMED, Account, Bill, Ledger

if TYPE_CHECKING:
    from emulated import Mock


def bill(mock: Mock, **options: Any) -> Bill:
    return Ledger(mock.emulator.store, mock.emulator.payloads.body, mock.emulator.catalogue).bill(**options)


COUNT = st.integers(0, 10)
ACCOUNT = st.builds(
    Account,
    requests=COUNT,
    results=COUNT,
    failures=COUNT,
    webhooks=COUNT,
    usd=COUNT.map(float),
    calls=st.dictionaries(st.sampled_from("abc"), st.integers(1, 10)),
    **dict.fromkeys(NAMED, st.lists(st.sampled_from("xyz"), unique=True).map(tuple)),
)


@given(ACCOUNT)
def test_the_difference_from_an_empty_account_is_the_account(account: Account) -> None:
    assert account.since(Account()) == account


@given(ACCOUNT)
def test_the_difference_of_an_account_from_itself_is_empty(account: Account) -> None:
    assert account.since(account) == Account()


@given(ACCOUNT)
def test_an_account_is_read_back_from_json_unchanged(account: Account) -> None:
    assert Account.from_json(account.to_json()) == account


@pytest.mark.parametrize(
    ("account", "text"),
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
        (
            Account(
                models=("a/b", "a/c"), keys=("a key without a colon",), inputs=("http://a/1", "http://a/2")
            ),
            "0 requests, 0 results, 0 webhooks, $0.00 not spent, "
            "2 models not emulated, 1 wrong form of a key, 2 inputs not fetched",
        ),
    ],
)
def test_the_text_of_an_account_is_one_line(account: Account, text: str) -> None:
    assert str(account) == text


async def test_the_control_api_returns_the_account(mock: Mock) -> None:
    await mock.finish(duration="6s")
    await mock.finish(duration="4s")
    await mock.submit()
    await mock.http.get("/", headers={"Host": "gateway.fal.ai"})

    assert (await mock.http.get("/control/account")).json() == {
        "requests": 3,
        "results": 1,
        "failures": 1,
        "webhooks": 0,
        "usd": 3.0,
        "calls": {"queue.fal.run": 5},
        "refused": ["gateway.fal.ai"],
        "models": [],
        "keys": [],
        "inputs": ["https://example.com/chef.png"],
    }


async def test_a_bill_has_a_charge_for_each_request(mock: Mock) -> None:
    result = await mock.finish(duration="6s")
    await mock.finish(duration="4s")
    waiting = await mock.submit()

    billed = bill(mock)
    assert [(charge.status, charge.units, charge.usd, charge.due) for charge in billed.charges] == [
        (200, 6.0, 3.0, 3.0),
        (422, 0.0, 0.0, 0.0),
        (None, 5.0, 2.5, 0.0),
    ]
    assert billed.usd == 3.0
    assert billed.charges[0].request_id == result.headers["x-fal-request-id"]
    assert billed.charges[2].request_id == waiting["request_id"]


async def test_a_bill_has_sums_for_each_key_and_test(mock: Mock) -> None:
    await mock.finish()
    await mock.finish(duration="6s", headers={"Authorization": "Key test-a:x"})

    billed = bill(mock)
    assert (billed.by_caller, billed.by_test) == ({"me": 2.5, "test-a": 3.0}, {"": 2.5, "a": 3.0})
    assert bill(mock, test="a").usd == bill(mock, caller="test-a").usd == 3.0


async def test_a_price_has_a_source_and_a_date(mock: Mock) -> None:
    await mock.submit()

    price = bill(mock).prices[ENDPOINT]
    assert (price.unit, price.usd, price.date) == ("seconds", 0.5, "2026")
    assert price.source.startswith("fal.ai/")


async def test_a_repeated_submit_is_a_double_with_its_price(mock: Mock) -> None:
    first = await mock.submit(duration="6s")
    await mock.pass_time(10)
    second = await mock.submit(duration="6s")

    (double,) = bill(mock).doubles
    assert (double.first, double.second) == (first["request_id"], second["request_id"])
    assert (double.seconds, double.usd) == (10.0, 3.0)
    assert str(double).endswith(
        "repeats " + first["request_id"] + f" after 10 s: {ENDPOINT}, key me, $3.00 extra"
    )


@pytest.mark.parametrize(
    "other",
    [
        {"prompt": "another"},
        {"headers": {"Authorization": "Key you:x"}},
        {"headers": {"X-Falmock-Test": "another"}},
        {"duration": "6s"},
    ],
    ids=["another prompt", "another key", "another test", "another input"],
)
async def test_submits_that_differ_are_not_doubles(mock: Mock, other: Any) -> None:
    await mock.submit()
    await mock.submit(**other)

    assert bill(mock).doubles == ()


async def test_a_submit_after_the_window_is_not_a_double(mock: Mock) -> None:
    await mock.submit()
    await mock.pass_time(61)
    await mock.submit()

    assert bill(mock).doubles == ()
    assert len(bill(mock, window=61).doubles) == 1


async def test_three_equal_submits_are_two_doubles(mock: Mock) -> None:
    ids = [(await mock.submit())["request_id"] for _ in range(3)]

    assert [(double.first, double.second) for double in bill(mock).doubles] == [*pairwise(ids)]


async def test_equal_submits_of_megabytes_are_doubles(mock: Mock) -> None:
    picture = data_uri(png() + bytes(100_000))
    await mock.submit(picture)
    await mock.submit(picture)

    assert [double.usd for double in bill(mock).doubles] == [2.5]


async def test_an_invalid_input_or_unknown_endpoint_costs_nothing(mock: Mock) -> None:
    await mock.submit(duration="9s")
    await mock.http.post("/fal-ai/veo2/nothing", json={}, headers=KEY)

    assert [charge.usd for charge in bill(mock).charges] == [0.0, 0.0]


async def test_a_model_billed_by_time_costs_the_seconds_of_its_run(mock: Mock) -> None:
    audio = {"audio_url": "https://example.com/talk.mp3"}
    await mock.http.post("/fal-ai/whisper", json=audio, headers=KEY)
    (expected,) = bill(mock).charges
    await mock.pass_time(600)

    (charge,) = bill(mock).charges
    price = bill(mock).prices["fal-ai/whisper"]
    assert price.unit == "compute seconds"
    assert charge.units > 0
    assert charge.usd == charge.units * price.usd
    assert (expected.units, expected.usd) == (charge.units, charge.usd)
