"""Hostile input ends at most one request and never stops the scheduler."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import httpx
import hypothesis.strategies as st
import pytest
import respx
from emulated import BASE, ENDPOINT, GOOD, KEY, Mock, opened
from hypothesis import HealthCheck, given, settings

from falmock.app import create_app
from falmock.engine.clock import ManualClock
from falmock.engine.rows import Request
from falmock.engine.runner import Runner
from falmock.faults.rules import Rule
from falmock.faults.vocabulary import FAULTS, FaultError, parse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

HOOK = "http://localhost:3000/hook"
SURROGATE = "\ud800"
REAL_TIME = {"webhook_slow", "media_slow"}  # a valid option would make a test wait

POISON = [
    "slow seconds=nan",
    "slow seconds=inf",
    "slow seconds=-1",
    "slow seconds=1e308",
    "deep_queue seconds=nan",
    "deep_queue position=99999999999999999999999",
    "requeued times=-1",
    "requeued times=99999999999999999999999",
    "log_window lines=-1",
    "result_expired seconds=nan",
    "result_expired seconds=-inf",
    "media_expired seconds=1e300",
    "media_slow seconds=nan",
    "webhook_late seconds=nan",
    "webhook_late seconds=1e308",
    "webhook_twice seconds=inf",
    "webhook_out_of_order seconds=nan",
    "webhook_early seconds=nan",
    "webhook_old_timestamp seconds=nan",
    "webhook_slow seconds=1e9",
    "concurrency_limit limit=-1",
    "image_aspect_ratio_error min_aspect_ratio=nan",
    "video_duration_too_short provided_duration=inf",
    "greater_than gt=99999999999999999999999",
    f"internal_error detail={SURROGATE}",
    f"content_policy_violation msg={SURROGATE}",
    f"content_policy_violation loc=body.{SURROGATE}",
    f"one_of expected=a,{SURROGATE}",
    f"locked reason={SURROGATE}",
    f"slow {SURROGATE}=1",
    SURROGATE,
]
poison = pytest.mark.parametrize("fault", POISON, ids=ascii)


async def post(mock: Mock, path: str, body: object, **headers: str) -> httpx.Response:
    """Post JSON in ASCII; escapes allow lone surrogates."""
    sent = json.dumps(body).encode()
    return await mock.http.post(
        path, content=sent, headers=KEY | {"content-type": "application/json"} | headers
    )


# Rejected input


@poison
async def test_an_invalid_fault_in_a_prompt_is_refused_with_one_line(mock: Mock, fault: str) -> None:
    answer = await post(mock, f"/{ENDPOINT}", GOOD | {"prompt": f"a [[fal: {fault}]]"})

    assert (answer.status_code, answer.json()["error_type"]) == (400, "bad_request")
    assert "\n" not in answer.json()["detail"]
    await mock.assert_alive()


@pytest.mark.parametrize("fault", [fault for fault in POISON if fault.isascii()])
async def test_an_invalid_fault_in_a_header_is_refused_with_one_line(mock: Mock, fault: str) -> None:
    answer = await post(mock, f"/{ENDPOINT}", GOOD, **{"x-falmock-fault": fault})

    assert (answer.status_code, "\n" in answer.json()["detail"]) == (400, False)


@poison
async def test_an_invalid_fault_in_a_rule_is_refused_by_the_control_api(mock: Mock, fault: str) -> None:
    answers = [
        await post(mock, "/control/rules", {"fault": fault}),
        await post(mock, "/control/rules", {"fault": "hang", "then": [fault]}),
        await post(mock, "/control/rules/load", {"toml": f"[[rules]]\nfault = '''{fault}'''"}),
    ]

    assert [answer.status_code for answer in answers] == [422] * 3
    assert (await mock.http.get("/control/rules")).json() == {"rules": []}


@poison
async def test_an_invalid_fault_in_a_manual_failure_is_refused(mock: Mock, fault: str) -> None:
    submitted = await mock.submit()

    answer = await post(mock, f"/control/requests/{submitted['request_id']}/fail", {"fault": fault})

    assert answer.status_code == 422


@poison
def test_an_invalid_fault_in_python_is_a_value_error_of_one_line(fault: str) -> None:
    with pytest.raises(FaultError, match=r"\A[ -~…]*\Z"):
        parse(fault)


@pytest.mark.parametrize(
    "rule",
    [
        {"endpoint": SURROGATE},
        {"prompt": SURROGATE},
        {"caller": SURROGATE},
        {"test": SURROGATE},
        {"request": SURROGATE},
        {"input": {"a": SURROGATE}},
        {"input": {SURROGATE: 1}},
        {"input": {"a": [float("nan")]}},
        {"input": {"a": float("inf")}},
        {"after": 10**30},
        {"after": -1},
        {"times": 10**30},
        {"times": 0},
        {"share": float("nan")},
        {"share": 0},
        {"share": 1.1},
        {"then": ["ok"] * 1001},
    ],
    ids=ascii,
)
async def test_a_rule_with_an_impossible_value_is_refused_and_the_list_stays_readable(
    mock: Mock, rule: dict[str, Any]
) -> None:
    answer = await post(mock, "/control/rules", {"fault": "hang"} | rule)

    assert answer.status_code == 422
    assert (await mock.http.get("/control/rules")).json() == {"rules": []}


def test_a_rule_whose_input_is_nested_too_deep_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(33):
        deep = {"a": deep}

    with pytest.raises(ValueError, match="more than 32 levels"):
        Rule(fault="hang", input=deep)


@given(
    st.sampled_from(sorted(name for name, kind in FAULTS.items() if kind.options and name not in REAL_TIME)),
    st.data(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_option_is_refused_or_ends_only_its_own_request(
    renders: Path, name: str, data: st.DataObject
) -> None:
    option = data.draw(st.sampled_from(sorted(FAULTS[name].options)))
    texts = st.text(st.characters(exclude_characters="]"), max_size=9)
    value = data.draw(st.one_of(st.integers().map(str), st.floats().map(str), texts))
    async with opened(renders, ManualClock()) as mock:
        with respx.mock(assert_all_called=False) as router:
            router.post(HOOK).respond(200)

            answer = await post(
                mock,
                f"/{ENDPOINT}?fal_webhook={HOOK}",
                GOOD | {"prompt": f"[[fal: {name} {option}={value}]]"},
            )
            await mock.pass_time(700)

        assert answer.status_code < 500
        await mock.assert_alive()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("reset", {"test": SURROGATE}),
        ("reset", {"key": SURROGATE}),
        ("snapshots", {"name": SURROGATE}),
        ("rules/load", {"preset": SURROGATE}),
        ("rules/load", {"toml": SURROGATE}),
        ("rules/load", {"toml": "a = " + "[" * 5000}),
        ("rules/load", {"toml": "a = " + "9" * 5000}),
        ("rules/load", {"toml": "rules = []\nteaches = '\ud800'"}),
        ("clock", {"advance": float("nan")}),
    ],
    ids=lambda value: ascii(value)[:40],
)
async def test_a_control_call_with_a_value_that_is_not_json_is_rejected(
    mock: Mock, path: str, body: dict[str, Any]
) -> None:
    assert (await post(mock, f"/control/{path}", body)).status_code == 422


@pytest.mark.parametrize(
    "acl",
    [
        {"default": []},
        {"default": {}},
        {"default": 1},
        {"rules": [{"user": "a", "decision": []}]},
        {"rules": [{"user": [], "decision": "allow"}]},
        {"rules": 7},
        [],
    ],
    ids=json.dumps,
)
async def test_an_access_list_with_a_wrong_shape_is_a_bad_request(mock: Mock, acl: object) -> None:
    preference = json.dumps({"initial_acl": acl})

    answer = await post(mock, f"/{ENDPOINT}", GOOD, **{"x-fal-object-lifecycle-preference": preference})

    assert answer.status_code == 400


# Stored by an older version, or damaged


@pytest.fixture
def lives(start: Callable[..., Awaitable[Mock]]) -> Callable[[Mock], Awaitable[Mock]]:
    """Start a second emulator that has the rows of a first one."""

    async def again(first: Mock) -> Mock:
        second = await start()
        rows = first.emulator.store.rows()
        await second.emulator.manual.restore(lambda: second.emulator.store.replace(rows, later=0.0))
        return second

    return again


STORED = [
    json.dumps([[0, "slow seconds=nan"]]),
    json.dumps([[0, "slow seconds=1e308"]]),
    json.dumps([[0, f"internal_error detail={SURROGATE}"]]),
    json.dumps([[0, "a_fault_of_a_later_version"]]),
    json.dumps([[0, 7]]),
    json.dumps([7]),
    "no JSON",
    "[" * 5000,
]


@pytest.mark.parametrize("faults", STORED, ids=lambda text: text[:30])
@pytest.mark.parametrize("seconds", [0, 2], ids=["waiting", "running"])
async def test_a_request_with_an_unreadable_stored_fault_ends_with_500_and_others_continue(
    mock: Mock, lives: Callable[[Mock], Awaitable[Mock]], faults: str, seconds: float
) -> None:
    poisoned, other = await mock.submit(), await mock.submit()
    await mock.pass_time(seconds)
    mock.emulator.store.update(Request, poisoned["request_id"], faults=faults)

    second = await lives(mock)
    await second.pass_time(20)

    assert (await second.result(poisoned)).status_code == 500
    assert (await second.result(poisoned)).json()["error_type"] == "internal_error"
    assert (await second.result(other)).status_code == 200


async def test_a_request_that_fails_at_its_start_ends_with_500_and_one_line_and_a_webhook(
    mock: Mock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    usual = Runner.prepare

    def prepare(self: Runner, request: Any, body: bytes) -> Any:
        if b"poison" in body:
            raise ZeroDivisionError("poison")
        return usual(self, request, body)

    monkeypatch.setattr(Runner, "prepare", prepare)
    with respx.mock() as router:
        hook = router.post(HOOK).respond(200)
        poisoned = await mock.submit(prompt="poison", query=f"?fal_webhook={HOOK}")
        other = await mock.submit()
        await mock.pass_time(20)

    assert ((await mock.result(poisoned)).status_code, (await mock.result(other)).status_code) == (500, 200)
    assert json.loads(hook.calls.last.request.content)["error"] == "Unexpected status code: 500"
    errors = [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]
    assert errors == [
        f"request {poisoned['request_id']} failed and ends with 500: ZeroDivisionError('poison')"
    ]


async def test_a_request_without_its_body_file_ends_with_500_and_others_continue(
    start: Callable[..., Awaitable[Mock]], tmp_path: Path
) -> None:
    mock = await start(state=tmp_path)
    damaged, other = await mock.submit(prompt="x" * 20_000), await mock.submit()
    for body in (tmp_path / "inputs").iterdir():
        body.unlink()

    ledger = await mock.http.get("/control/ledger")
    await mock.pass_time(20)

    assert ledger.status_code == 200
    assert ((await mock.result(damaged)).status_code, (await mock.result(other)).status_code) == (500, 200)


async def test_a_webhook_with_an_unusable_url_fails_and_others_are_delivered(
    mock: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with respx.mock() as router:
        hook = router.post(HOOK).respond(200)
        submitted = [await mock.submit(query=f"?fal_webhook={HOOK}") for _ in range(2)]
        await mock.cancel(submitted[0])
        mock.emulator.store._db.execute(
            "UPDATE deliveries SET url = 'http://[' WHERE request_id = ?", [submitted[0]["request_id"]]
        )
        await mock.pass_time(20)

    outcomes = [mock.emulator.store.delivery(each["request_id"]) for each in submitted]
    assert [each and each.outcome for each in outcomes] == ["failed", "delivered"]
    assert hook.call_count == 1


async def test_a_reset_forgets_a_request_whose_output_is_damaged(mock: Mock) -> None:
    submitted = await mock.submit()
    await mock.pass_time(20)
    mock.emulator.store.keep(submitted["request_id"], "output", b"{no JSON")

    answer = await mock.http.post("/control/reset", json={})

    assert answer.json() == {"requests": 1}
    await mock.assert_alive()


async def test_a_failed_tick_does_not_stop_the_scheduler(mock: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("falmock.engine.runs.RETRY", 0.0)
    usual, failures, seen = mock.emulator.timeline.tick, [ZeroDivisionError()], asyncio.Event()

    def tick() -> None:
        if failures:
            seen.set()
            raise failures.pop()
        usual()

    monkeypatch.setattr(mock.emulator.timeline, "tick", tick)
    submitted = await mock.submit()  # wakes the scheduler
    await seen.wait()
    changed = mock.emulator.changed()
    mock.clock.move_to(mock.clock.now() + 2)
    await changed.wait()

    assert [job.id for job in mock.emulator.waiting_jobs("fal-ai/veo2")] == []
    assert submitted["request_id"] in {each.id for each in mock.emulator.store.open_requests()}
    await mock.assert_alive()


async def test_health_reports_when_the_scheduler_is_not_running(renders: Path) -> None:
    async with opened(renders, ManualClock()) as mock:
        app = create_app(mock.emulator)
        before = (await mock.http.get("/health")).json()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as http:
        after = (await http.get("/health")).json()

    assert before["status"] == "ok"
    assert (after["status"], after["reason"]) == ("degraded", "the scheduler does not run")


# Extreme times


@pytest.mark.parametrize("seconds", ["1e308", "1e400", "-1", "NaN", "Infinity", "-Infinity", "4e10"])
@pytest.mark.parametrize("change", ["advance", "to", "scale"])
async def test_an_impossible_clock_change_is_refused(mock: Mock, change: str, seconds: str) -> None:
    answer = await mock.http.post("/control/clock", content=f'{{"{change}": {seconds}}}')

    assert answer.status_code in {409, 422}
    await mock.assert_alive()


@pytest.mark.parametrize("seconds", [1e308, float("nan"), float("inf"), -1.0])
async def test_an_impossible_duration_is_a_value_error(mock: Mock, seconds: float) -> None:
    with pytest.raises(ValueError, match="cannot pass"):
        await mock.pass_time(seconds)

    await mock.assert_alive()


@pytest.mark.parametrize("timeout", ["1e308", "1e10", "inf", "nan", "-0.0", "1_0e9"])
async def test_an_impossible_start_timeout_is_a_bad_request(mock: Mock, timeout: str) -> None:
    answer = await post(mock, f"/{ENDPOINT}", GOOD, **{"x-fal-request-timeout": timeout})

    assert answer.status_code == 400


async def test_a_request_at_the_end_of_emulated_time_is_readable_and_time_stops_there(mock: Mock) -> None:
    end = 32_503_680_000.0  # the year 3000
    day = 24 * 3600
    mock.clock.move_to(end - day)
    submitted = await mock.submit(headers={"x-falmock-fault": f"slow seconds={2 * day}"})
    await mock.pass_time(day)

    status = await mock.status(submitted, "?logs=1")
    clock = (await mock.http.get("/control/clock")).json()

    assert (status.status_code, status.json()["status"]) == (202, "IN_PROGRESS")
    assert (clock["now"], clock["iso"]) == (end, "3000-01-01T00:00:00.000+00:00")
