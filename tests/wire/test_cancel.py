"""Cancels, byte for byte: PROTOCOL.md 4.7."""

from __future__ import annotations

import pytest
from recorded import recorded

REQUESTED = '{"status":"CANCELLATION_REQUESTED"}'


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_running_request_runs_on_and_ends_with_its_result_and_is_billed() -> None:
    async with recorded() as mock:
        submitted, uncancelled = await mock.submit(), await mock.submit()
        await mock.pass_time(1.4)
        cancel = await mock.cancel(submitted)
        await mock.pass_time(1)
        between = await mock.status(submitted)
        await mock.pass_time(60)
        status, result = (await mock.status(submitted)).json(), await mock.result(submitted)
        other = await mock.result(uncancelled)

    assert (cancel.status_code, cancel.text) == (202, REQUESTED)
    assert between.json()["status"] == "IN_PROGRESS"
    assert (status["metrics"], "error" in status) == ({"inference_time": 4.0}, False)
    assert (result.status_code, list(result.json())) == (200, ["video"])
    assert result.headers["x-fal-billable-units"] == other.headers["x-fal-billable-units"]


async def test_a_model_that_honours_the_signal_ends_at_once_with_499() -> None:
    async with recorded(cancel="honoured") as mock:
        submitted = await mock.submit()
        await mock.pass_time(1.5)
        cancel = await mock.cancel(submitted)
        status, result = (await mock.status(submitted)).json(), await mock.result(submitted)

    assert (cancel.status_code, cancel.text) == (202, REQUESTED)
    assert (status["status"], status["metrics"]) == ("COMPLETED", {"inference_time": 0.5})
    assert (result.status_code, result.text) == (499, '{"detail":"Request cancelled by the client."}')
    assert result.headers["x-fal-billable-units"] == "0"


@pytest.mark.parametrize("setting", ["ignored", "honoured"])
async def test_a_waiting_request_never_runs(setting: str) -> None:
    async with recorded(cancel=setting) as mock:
        submitted = await mock.submit()
        cancel = await mock.cancel(submitted)
        await mock.pass_time(60)
        status, result = (await mock.status(submitted)).json(), await mock.result(submitted)

    assert (cancel.status_code, cancel.text) == (202, REQUESTED)
    assert (status["metrics"], status["error"], status["error_type"]) == (
        {},
        "Request was cancelled",
        "client_cancelled",
    )
    assert (result.status_code, result.text) == (
        499,
        '{"detail":"Request was cancelled","error_type":"client_cancelled"}',
    )


async def test_a_completed_request_cannot_be_cancelled() -> None:
    async with recorded() as mock:
        submitted = await mock.submit()
        await mock.pass_time(60)
        cancel = await mock.cancel(submitted)
        result = await mock.result(submitted)

    assert (cancel.status_code, cancel.text) == (400, '{"status":"ALREADY_COMPLETED"}')
    assert result.status_code == 200


async def test_a_body_that_comes_with_a_cancel_is_ignored() -> None:
    async with recorded() as mock:
        submitted = await mock.submit()
        cancel = await mock.http.put(
            submitted["cancel_url"], json={}, headers={"Authorization": "Key me:secret"}
        )

    assert (cancel.status_code, cancel.text) == (202, REQUESTED)
