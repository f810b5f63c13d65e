"""The complete headers of each kind of answer: PROTOCOL.md 11.2."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from emulated import ENDPOINT, GOOD, KEY, Mock, veo
from wire import EDGE, READABLE, about_body, lines

from falmock.catalogue import BUNDLED, Catalogue, Model
from falmock.inspection.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx

    Start = Callable[..., Awaitable[Mock]]

QUEUED, RUNNING, DONE = 0, 2, 6  # seconds after the submit
NOBODY = str(uuid.UUID(int=7 << 76))
RUN = f"/fal.run/{ENDPOINT}"


async def run(mock: Mock, path: str = RUN, body: Any = GOOD) -> httpx.Response:
    """Call the run host, and let the run end."""
    call = asyncio.create_task(mock.http.post(path, json=body, headers=KEY))
    while not mock.emulator.store.open_requests():  # noqa: ASYNC110 - the call is on its way
        await asyncio.sleep(0)
    await mock.pass_time(60)
    return await call


def runner_of(answer: httpx.Response) -> str:
    """Return `x-fal-served-from`, which is a random UUID."""
    runner = answer.headers["x-fal-served-from"]
    assert uuid.UUID(runner).version == 4
    return str(runner)


# The queue host


async def test_submit_has_the_request_id(mock: Mock) -> None:
    answer = await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers=KEY)

    request_id = answer.json()["request_id"]
    assert answer.status_code == 200
    assert lines(answer) == [*about_body(answer), f"x-fal-request-id: {request_id}", *READABLE, *EDGE]


@pytest.mark.parametrize(("seconds", "status"), [(QUEUED, 202), (RUNNING, 202), (DONE, 200)])
async def test_status_has_no_header_about_the_request(mock: Mock, seconds: float, status: int) -> None:
    submitted = await mock.submit()
    await mock.pass_time(seconds)

    answer = await mock.status(submitted, "?logs=1")

    assert answer.status_code == status
    assert lines(answer) == [*about_body(answer), *READABLE, *EDGE]


async def test_status_stream_has_no_header_about_the_request(mock: Mock) -> None:
    submitted = await mock.submit()
    await mock.pass_time(DONE)

    answer = await mock.status(submitted, "/stream")

    assert answer.status_code == 200
    assert lines(answer) == [
        "cache-control: no-cache",
        *READABLE,
        *EDGE,
        "content-type: text/event-stream; charset=utf-8",
        "transfer-encoding: chunked",
    ]


@pytest.mark.parametrize(("seconds", "status"), [(QUEUED, 202), (RUNNING, 202), (DONE, 400)])
async def test_cancel_has_no_header_about_the_request(mock: Mock, seconds: float, status: int) -> None:
    submitted = await mock.submit()
    await mock.pass_time(seconds)

    answer = await mock.cancel(submitted)

    assert answer.status_code == status
    assert lines(answer) == [*about_body(answer), *READABLE, *EDGE]


async def test_result_has_units_runner_and_request_id(mock: Mock) -> None:
    submitted = await mock.submit()
    await mock.pass_time(DONE)

    answer = await mock.result(submitted)

    assert answer.status_code == 200
    assert lines(answer) == [
        *about_body(answer),
        "x-fal-billable-units: 5.0",
        f"x-fal-served-from: {runner_of(answer)}",
        f"x-fal-request-id: {submitted['request_id']}",
        *READABLE,
        *EDGE,
    ]


@pytest.mark.parametrize("seconds", [QUEUED, RUNNING])
async def test_result_that_is_not_there_yet_has_the_request_id(mock: Mock, seconds: float) -> None:
    submitted = await mock.submit()
    await mock.pass_time(seconds)

    answer = await mock.result(submitted)

    request_id = submitted["request_id"]
    assert answer.status_code == 400
    assert lines(answer) == [*about_body(answer), f"x-fal-request-id: {request_id}", *READABLE, *EDGE]


@pytest.mark.parametrize(
    "more",
    [
        {"duration": "4s"},
        {"prompt": "[[fal: content_policy_violation]]"},
        {"image_url": "data:image/png;base64,"},
    ],
    ids=["schema", "refusal", "image"],
)
async def test_422_of_a_model_says_that_another_try_is_useless(mock: Mock, more: dict[str, Any]) -> None:
    submitted = await mock.submit(**more)
    await mock.pass_time(DONE)

    answer = await mock.result(submitted)

    assert answer.status_code == 422
    assert lines(answer) == [
        *about_body(answer),
        "x-fal-billable-units: 0",
        "x-fal-needs-retry: false",
        f"x-fal-served-from: {runner_of(answer)}",
        f"x-fal-request-id: {submitted['request_id']}",
        *READABLE,
        *EDGE,
    ]


HINT = "to add this model: falmock models add FILE, or --unknown-models generic"


async def test_404_of_a_runner_is_not_billed(mock: Mock) -> None:
    submitted = (await mock.http.post("/fal-ai/veo2/no/such", json=GOOD, headers=KEY)).json()
    await mock.pass_time(DONE)

    answer = await mock.result(submitted)

    assert answer.status_code == 404
    assert lines(answer) == [
        *about_body(answer),
        "x-fal-billable-units: 0",
        f"x-falmock-hint: did you mean fal-ai/veo2? {HINT}",
        f"x-fal-served-from: {runner_of(answer)}",
        f"x-fal-request-id: {submitted['request_id']}",
        *READABLE,
        *EDGE,
    ]


async def test_platform_error_has_its_type_and_no_runner(mock: Mock) -> None:
    for _ in range(2):
        await mock.submit()
    late = await mock.submit(headers={"X-Fal-Request-Timeout": "2"})
    await mock.pass_time(DONE)

    answer = await mock.result(late)

    assert answer.status_code == 504
    assert lines(answer) == [
        *about_body(answer),
        "x-fal-error-type: request_timeout",
        "x-fal-request-timeout-type: user",
        f"x-fal-request-id: {late['request_id']}",
        *READABLE,
        *EDGE,
    ]


async def test_platform_error_in_a_run_has_no_runner_either(mock: Mock) -> None:
    submitted = await mock.submit(prompt="[[fal: runner_server_error]]")
    await mock.pass_time(DONE)

    answer = await mock.result(submitted)

    assert answer.status_code == 500
    assert lines(answer) == [
        *about_body(answer),
        "x-fal-error-type: runner_server_error",
        f"x-fal-request-id: {submitted['request_id']}",
        *READABLE,
        *EDGE,
    ]


@pytest.mark.parametrize("fault", ["internal_error", "gateway_timeout"])
async def test_5xx_of_a_status_has_the_request_id_because_python_takes_others_for_nginx(
    mock: Mock, fault: str
) -> None:
    submitted = await mock.submit()

    answer = await mock.get(submitted["status_url"], **{"x-falmock-fault": fault})

    assert answer.status_code >= 500
    assert answer.headers["x-fal-request-id"] == submitted["request_id"]
    assert lines(answer)[-4:] == [*READABLE, *EDGE]


async def test_rate_limited_status_has_no_request_id(mock: Mock) -> None:
    submitted = await mock.submit()

    answer = await mock.get(submitted["status_url"], **{"x-falmock-fault": "rate_limited"})

    assert answer.status_code == 429
    assert lines(answer) == [*about_body(answer), *READABLE, *EDGE]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", f"/{ENDPOINT}", {}, 401),
        ("POST", f"/{ENDPOINT}", {"Authorization": "Key locked:secret"}, 403),
        ("POST", "/nobody/nothing", KEY, 404),
        ("GET", f"/fal-ai/veo2/requests/{NOBODY}", KEY, 404),
        ("GET", f"/fal-ai/veo2/requests/{NOBODY}/status", {}, 404),
        ("PUT", f"/fal-ai/veo2/requests/{NOBODY}/cancel", {"Authorization": "Key me"}, 401),
    ],
)
async def test_refusal_of_the_queue_host_has_no_header_about_a_request(
    start: Start, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    mock = await start(locked=("locked",))

    answer = await mock.http.request(method, path, json=GOOD, headers=headers)

    assert answer.status_code == status
    hint = [f"x-falmock-hint: {HINT}"] if path == "/nobody/nothing" else []
    assert lines(answer) == [*about_body(answer), *hint, *READABLE, *EDGE]


# The other hosts


async def test_run_has_the_headers_of_a_result_without_cors(mock: Mock) -> None:
    answer = await run(mock)

    assert answer.status_code == 200
    assert lines(answer) == [
        *about_body(answer),
        "x-fal-billable-units: 5.0",
        f"x-fal-served-from: {runner_of(answer)}",
        f"x-fal-request-id: {answer.headers['x-fal-request-id']}",
        *EDGE,
    ]
    assert uuid.UUID(answer.headers["x-fal-request-id"]).version == 7


async def test_invalid_run_has_the_headers_of_an_invalid_result(mock: Mock) -> None:
    answer = await run(mock, body={})

    assert answer.status_code == 422
    assert lines(answer) == [
        *about_body(answer),
        "x-fal-billable-units: 0",
        "x-fal-needs-retry: false",
        f"x-fal-served-from: {runner_of(answer)}",
        f"x-fal-request-id: {answer.headers['x-fal-request-id']}",
        *EDGE,
    ]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", RUN, {}, 401),
        ("POST", "/fal.run/nobody/nothing", KEY, 404),
        ("POST", "/rest.fal.ai/storage/upload/initiate", KEY, 200),
        ("POST", "/rest.fal.ai/storage/upload/initiate", {}, 401),
        ("GET", "/rest.fal.ai/.well-known/jwks.json", {}, 200),
        ("GET", "/rest.fal.ai/nothing", {}, 404),
    ],
)
async def test_run_and_rest_hosts_say_that_they_want_tls_and_no_robots(
    mock: Mock, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    body = {"file_name": "a.png", "content_type": "image/png"}

    answer = await mock.http.request(method, path, json=body, headers=headers)

    assert answer.status_code == status
    hint = [f"x-falmock-hint: {HINT}"] if path == "/fal.run/nobody/nothing" else []
    assert sorted(lines(answer)) == sorted([*about_body(answer), *hint, *EDGE])


@pytest.mark.parametrize("path", [RUN, f"/{ENDPOINT}", "/rest.fal.ai/tokens/", "/v3.fal.media/files/x"])
async def test_no_answer_names_a_server_or_a_proxy(mock: Mock, path: str) -> None:
    answer = await mock.http.get(path)

    assert {"server", "via", "x-powered-by"}.isdisjoint(answer.headers)


# Runners


async def test_one_runner_serves_queued_requests_and_runs(start: Start) -> None:
    mock = await start(runners=1)

    queued = [await mock.finish() for _ in range(2)]

    assert {runner_of(each) for each in queued} == {runner_of(await run(mock))}


async def test_an_application_has_as_many_runners_as_the_settings_say(start: Start) -> None:
    mock = await start(runners=3)

    served = {runner_of(await mock.finish()) for _ in range(30)}

    assert len(served) == 3


async def test_runners_follow_from_the_seed(start: Start) -> None:
    async def runners(seed: int) -> list[str]:
        mock = await start(seed=seed)
        return [runner_of(await mock.finish()) for _ in range(5)]

    assert await runners(1) == await runners(1)
    assert set(await runners(1)).isdisjoint(await runners(2))


async def test_applications_share_no_runner(start: Start) -> None:
    mock = await start(catalogue=Catalogue([veo(), veo(endpoint="fal-ai/veo9/animate")]), runners=1)

    first = await mock.finish()
    submitted = (await mock.http.post("/fal-ai/veo9/animate", json=GOOD, headers=KEY)).json()
    await mock.pass_time(DONE)

    assert runner_of(first) != runner_of(await mock.result(submitted))


# Units


@pytest.mark.parametrize(("duration", "units"), [("5s", "5.0"), ("6s", "6.0"), ("7s", "7.0"), ("8s", "8.0")])
async def test_units_times_the_published_price_are_the_bill(mock: Mock, duration: str, units: str) -> None:
    result = await mock.finish(duration=duration)
    listed = (await mock.get(f"/api.fal.ai/v1/models/pricing?endpoint_id={ENDPOINT}")).json()["prices"]

    bill = Ledger(mock.emulator.store, mock.emulator.payloads.kept_body, BUNDLED).bill()
    assert result.headers["x-fal-billable-units"] == units
    assert [(each["unit"], each["unit_price"]) for each in listed] == [("seconds", 0.5)]
    assert bill.usd == float(units) * listed[0]["unit_price"]


@pytest.mark.parametrize(
    ("units", "text"), [(1, "1"), (1.0, "1.0"), (8.439999999999998, "8.439999999999998"), (0.02, "0.02")]
)
async def test_units_are_written_as_python_writes_them(start: Start, units: float, text: str) -> None:
    class Billed(Model):
        def units(self, *_: object) -> float:
            return units

    mock = await start(catalogue=Catalogue([Billed(veo().entry)]))

    assert (await mock.finish()).headers["x-fal-billable-units"] == text
