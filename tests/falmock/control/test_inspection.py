from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from emulated import ENDPOINT

from falmock.inspection.entries import read

if TYPE_CHECKING:
    from emulated import Mock


async def test_the_journal_is_returned_as_json_lines(mock: Mock, ask: Any) -> None:
    await mock.finish()

    answer = await ask("GET", "/journal")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert read(answer.text) == mock.journal.entries()


async def test_the_journal_is_returned_as_an_http_archive(mock: Mock, ask: Any) -> None:
    await mock.finish()

    assert len((await ask("GET", "/journal", format="har")).json()["log"]["entries"]) == 2


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ({"operation": "submit"}, 2),
        ({"test": "a"}, 4),
        ({"key": "me"}, 9),
        ({"key": "you"}, 0),
        ({"endpoint": "fal-ai/*", "until": 1}, 0),
    ],
)
async def test_the_journal_is_filtered_by_the_query(mock: Mock, ask: Any, query: Any, number: int) -> None:
    await mock.submit(headers={"X-Falmock-Test": "a"})
    await mock.submit()
    await mock.pass_time(60)
    await mock.get("/nobody/nothing")
    before = len(mock.journal.entries())

    _, *lines = (await ask("GET", "/journal", **query)).text.splitlines()
    assert (before, len(lines)) == (9, number)


async def test_control_calls_are_not_in_the_journal(mock: Mock, ask: Any) -> None:
    await ask("GET", "/journal")

    assert mock.journal.entries() == []


async def test_the_ledger_returns_sums_prices_and_doubles(mock: Mock, ask: Any) -> None:
    await mock.finish(headers={"X-Falmock-Test": "a"})
    await mock.submit()
    await mock.submit()

    bill = (await ask("GET", "/ledger", window=3600)).json()
    assert (bill["usd"], bill["by_key"], bill["by_test"]) == (2.5, {"me": 2.5}, {"a": 2.5, "": 0.0})
    assert bill["prices"][ENDPOINT] == {
        "unit": "seconds",
        "usd": 0.5,
        "source": "fal.ai/models/fal-ai/veo2 (the text model): $2.50 for 5 s, then $0.50 a second",
        "date": "2026",
    }
    assert [double["usd"] for double in bill["doubles"]] == [2.5]
    assert (await ask("GET", "/ledger", test="a")).json()["doubles"] == []


async def test_lint_returns_findings_without_secrets(mock: Mock, ask: Any) -> None:
    headers = {"Authorization": "Bearer me:secret", "X-Falmock-Test": "a"}
    await mock.http.post(f"/{ENDPOINT}", json={}, headers=headers)

    checked = (await ask("GET", "/lint")).json()
    assert checked["dropped"] == 0
    assert [(finding["rule"], finding["test"]) for finding in checked["findings"]] == [("bearer-key", "a")]
    assert (await ask("GET", "/lint", test="b")).json()["findings"] == []
    assert "secret" not in json.dumps(checked)


async def test_a_reset_clears_the_journal_of_a_test_or_all_of_it(mock: Mock, ask: Any) -> None:
    await mock.finish(headers={"X-Falmock-Test": "a"})
    await mock.finish()

    await ask("POST", "/reset", test="a")
    left = {each.test for each in mock.journal.entries()}
    await ask("POST", "/reset")

    assert (left, mock.journal.entries()) == ({None}, [])


async def test_a_key_that_is_sent_as_a_host_name_is_masked_in_the_account_and_the_journal(
    mock: Mock, ask: Any
) -> None:
    secret = "a-secret-that-is-long-enough-to-be-masked"
    await mock.submit(headers={"Authorization": f"Key me:{secret}"})
    await mock.http.get("/", headers={"Host": f"{secret}.example"})

    for path in ("/account", "/journal"):
        assert secret not in (await ask("GET", path)).text
