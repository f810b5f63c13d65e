"""The queue as its callers meet it: PROTOCOL.md 2.1, 2.2, 3, 4 and 11."""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from emulated import APPLICATION, BASE, ENDPOINT, GOOD, HOSTED, KEY, OTHER_KEY, Mock

from falmock.settings import Span

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Start = Callable[..., Awaitable[Mock]]

NOBODY = str(uuid.UUID(int=7 << 76))
WHY = "Authentication is required to access this application."
DENIED = f'{{"detail":"Cannot access application \\"{APPLICATION}\\". {WHY}"}}'
NOT_FOUND = '{"status":"NOT_FOUND"}'


# Submit


async def test_submit_returns_the_status_of_a_queued_request(mock: Mock) -> None:
    answer = await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers=KEY)

    body = answer.json()
    base = f"{BASE}/{APPLICATION}/requests/{body['request_id']}"
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert list(body.items()) == [
        ("status", "IN_QUEUE"),
        ("request_id", body["request_id"]),
        ("response_url", base),
        ("status_url", f"{base}/status"),
        ("cancel_url", f"{base}/cancel"),
        ("logs", None),
        ("metrics", {}),
        ("queue_position", 0),
    ]


async def test_request_ids_are_uuid7_and_ordered_by_time(mock: Mock) -> None:
    ids = []
    for _ in range(3):
        ids.append(uuid.UUID((await mock.submit())["request_id"]))
        await mock.pass_time(0.01)

    assert [each.version for each in ids] == [7, 7, 7]
    assert ids == sorted(set(ids))


async def test_submit_returns_the_request_id_as_a_header_too(mock: Mock) -> None:
    answer = await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers=KEY)

    assert answer.headers["x-fal-request-id"] == answer.json()["request_id"]


async def test_queue_position_counts_the_requests_ahead(mock: Mock) -> None:
    assert [(await mock.submit())["queue_position"] for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nobody/nothing", "nobody/nothing"),
        ("nobody/nothing/deep/path", "nobody/nothing"),
        ("fal-ai/nosuchmodel/x", "nosuchmodel"),
        ("workflows/fal-ai/flow", "flow"),
    ],
)
async def test_unknown_application_is_404_even_without_credentials(mock: Mock, name: str, text: str) -> None:
    answer = await mock.http.post(f"/{name}")

    assert (answer.status_code, answer.text) == (404, f'{{"detail":"Application \\"{text}\\" not found"}}')


@pytest.mark.parametrize("header", [None, "Key nocolon", "Bearer some.jwt", "Basic bWU6c2VjcmV0"])
async def test_missing_credentials_are_401(mock: Mock, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}

    answer = await mock.http.post(f"/{ENDPOINT}", headers=headers)

    assert (answer.status_code, answer.text) == (401, DENIED)


async def test_unknown_key_is_401_with_a_spaced_json_body(start: Start) -> None:
    mock = await start(keys=("me:other",))

    answer = await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers=KEY)

    assert (answer.status_code, answer.text) == (401, '{"detail": "No user found for Key ID and Secret"}')


async def test_locked_account_is_refused_before_the_body_is_read(start: Start) -> None:
    mock = await start(locked=("me",))

    answer = await mock.http.post(f"/{APPLICATION}/no/such/path", content=b"no json", headers=KEY)

    detail = "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."
    assert (answer.status_code, answer.json()) == (403, {"detail": detail})


async def test_no_key_is_needed_when_auth_is_off(start: Start) -> None:
    mock = await start(auth=False)

    answer = await mock.http.post(f"/{ENDPOINT}", json=GOOD)

    assert (await mock.http.get(answer.json()["status_url"])).status_code == 202


async def test_submit_with_a_body_over_the_limit_is_refused(start: Start) -> None:
    mock = await start(max_body=1000)

    answer = await mock.http.post(f"/{ENDPOINT}", content=b"x" * 1001, headers=KEY)

    assert (answer.status_code, list(answer.json())) == (413, ["detail"])


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"X-Fal-Request-Timeout": "soon"}, ""),
        ({"X-Fal-Request-Timeout": "nan"}, ""),
        ({"X-Fal-Request-Timeout": "inf"}, ""),
        ({"X-Fal-Request-Timeout": "0.1"}, ""),
        ({"X-Fal-Request-Timeout": "-5"}, ""),
        ({"X-Fal-Queue-Priority": "urgent"}, ""),
        ({"X-Fal-Object-Lifecycle-Preference": "{"}, ""),
        ({"X-Fal-Object-Lifecycle-Preference": '{"expiration_duration_seconds":"x"}'}, ""),
        ({"X-Fal-Object-Lifecycle-Preference": '{"initial_acl":{"default":"maybe"}}'}, ""),
        ({}, "?fal_max_queue_length=many"),
        ({}, "?fal_webhook=nowhere"),
        ({}, "?fal_webhook=ftp://localhost/x"),
        ({}, "?fal_webhook="),
    ],
)
async def test_invalid_header_or_query_is_a_bad_request_and_creates_no_request(
    mock: Mock, headers: dict[str, str], query: str
) -> None:
    answer = await mock.http.post(f"/{ENDPOINT}{query}", json=GOOD, headers=KEY | headers)

    assert (answer.status_code, answer.json()["error_type"]) == (400, "bad_request")
    assert answer.headers["x-fal-error-type"] == "bad_request"
    assert mock.emulator.store.open_requests() == []


async def test_submit_is_429_when_the_queue_exceeds_the_callers_maximum(mock: Mock) -> None:
    for _ in range(3):
        await mock.submit()

    answer = await mock.http.post(f"/{ENDPOINT}?fal_max_queue_length=2", json=GOOD, headers=KEY)

    assert (answer.status_code, list(answer.json())) == (429, ["detail"])


async def test_submit_is_accepted_when_the_queue_equals_the_callers_maximum(mock: Mock) -> None:
    await mock.submit()

    assert (await mock.submit(query="?fal_max_queue_length=1"))["queue_position"] == 1


# Status


async def test_status_of_a_queued_request_equals_the_live_recording(mock: Mock) -> None:
    submitted = await mock.submit()

    answer = await mock.status(submitted)

    rid = submitted["request_id"]
    base = f"{BASE}/{APPLICATION}/requests/{rid}"
    assert answer.status_code == 202
    assert answer.text == (
        f'{{"status":"IN_QUEUE","request_id":"{rid}","response_url":"{base}","status_url":"{base}/status",'
        f'"cancel_url":"{base}/cancel","logs":null,"metrics":{{}},"queue_position":0}}'
    )


async def test_status_of_a_running_request_has_no_queue_position(mock: Mock) -> None:
    submitted = await mock.submit()
    await mock.pass_time(2)

    answer = await mock.status(submitted)

    assert (answer.status_code, answer.json()["status"]) == (202, "IN_PROGRESS")
    assert list(answer.json())[-2:] == ["logs", "metrics"]


async def test_status_of_a_completed_request_is_200_with_its_inference_time(mock: Mock) -> None:
    submitted = await mock.submit()
    await mock.pass_time(6)

    answer = await mock.status(submitted)

    assert (answer.status_code, answer.json()["status"]) == (200, "COMPLETED")
    assert list(answer.json().items())[-2:] == [("logs", None), ("metrics", {"inference_time": 4.0})]


async def test_polling_does_not_change_a_request(mock: Mock) -> None:
    submitted = await mock.submit()

    answers = {(await mock.status(submitted)).text for _ in range(20)}

    assert len(answers) == 1


@pytest.mark.parametrize("spelling", ["1", "true", "True"])
async def test_status_has_logs_when_the_query_asks_for_them(mock: Mock, spelling: str) -> None:
    submitted = await mock.submit()
    await mock.pass_time(2)

    logs = (await mock.status(submitted, f"?logs={spelling}")).json()["logs"]

    assert [entry["message"] for entry in logs] == ["Starting video generation", "Reading the input image"]


@pytest.mark.parametrize("query", ["", "?logs=0", "?logs=false", "?logs="])
async def test_logs_are_null_without_the_query_parameter(mock: Mock, query: str) -> None:
    submitted = await mock.submit()
    await mock.pass_time(2)

    assert (await mock.status(submitted, query)).json()["logs"] is None


async def test_logs_grow_while_the_request_runs(mock: Mock) -> None:
    submitted = await mock.submit()
    counts = []
    for _ in range(4):
        counts.append(len((await mock.status(submitted, "?logs=1")).json()["logs"]))
        await mock.pass_time(2)

    assert counts == [0, 2, 5, 7]


@pytest.mark.parametrize("suffix", ["/status", "/status/", "/status/stream", "", "/", "/response", "/cancel"])
@pytest.mark.parametrize("headers", [{}, KEY])
async def test_unknown_request_id_is_404_with_a_key_and_without(
    mock: Mock, suffix: str, headers: dict[str, str]
) -> None:
    method = "PUT" if suffix == "/cancel" else "GET"

    answer = await mock.http.request(method, f"/{APPLICATION}/requests/{NOBODY}{suffix}", headers=headers)

    assert (answer.status_code, answer.text) == (404, NOT_FOUND)


@pytest.mark.parametrize(
    "name", ["x", "..", "%2e%2e", "%00", "a%2Fb", "é", "1" * 10_000, NOBODY[:-1], NOBODY + "0"]
)
async def test_malformed_request_id_is_refused_without_a_5xx(mock: Mock, name: str) -> None:
    answer = await mock.get(f"/{APPLICATION}/requests/{name}/status")

    assert answer.status_code in {404, 405}


@pytest.mark.parametrize("suffix", ["/status", "/status/", "/status?logs=0", "/status/?logs=0"])
async def test_status_is_found_with_and_without_a_slash(mock: Mock, suffix: str) -> None:
    rid = (await mock.submit())["request_id"]

    assert (await mock.get(f"/{APPLICATION}/requests/{rid}{suffix}")).status_code == 202


async def test_request_is_not_found_under_another_application(mock: Mock) -> None:
    rid = (await mock.submit())["request_id"]

    assert (await mock.get(f"/fal-ai/veo3/requests/{rid}/status")).text == NOT_FOUND


async def test_known_request_without_credentials_is_401(mock: Mock) -> None:
    submitted = await mock.submit()

    assert (await mock.http.get(submitted["status_url"])).text == DENIED


@pytest.mark.parametrize("suffix", ["", "/status", "/status/stream"])
async def test_request_of_another_caller_is_not_found(mock: Mock, suffix: str) -> None:
    submitted = await mock.submit()

    answer = await mock.http.get(submitted["response_url"] + suffix, headers=OTHER_KEY)

    assert (answer.status_code, answer.text) == (404, NOT_FOUND)


async def test_request_cannot_be_cancelled_by_another_caller(mock: Mock) -> None:
    submitted = await mock.submit()

    answer = await mock.http.put(submitted["cancel_url"], headers=OTHER_KEY)

    assert (answer.text, (await mock.status(submitted)).json()["status"]) == (NOT_FOUND, "IN_QUEUE")


# Result


async def test_result_is_the_json_of_the_model(mock: Mock) -> None:
    answer = await mock.finish()

    video = answer.json()["video"]
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert list(video) == ["url", "content_type", "file_name", "file_size"]
    assert re.fullmatch(BASE + r"/v3b\.fal\.media/files/b/[0-9a-f]{8}/[\w-]{21}_output\.mp4", video["url"])


async def test_result_has_the_headers_of_the_run(mock: Mock) -> None:
    submitted = await mock.submit(duration="8s")
    await mock.pass_time(6)

    headers = (await mock.result(submitted)).headers

    assert headers["x-fal-request-id"] == submitted["request_id"]
    assert headers["x-fal-billable-units"] == "8.0"
    assert str(uuid.UUID(headers["x-fal-served-from"])) == headers["x-fal-served-from"]


@pytest.mark.parametrize("suffix", ["", "/", "/response", "/response/"])
async def test_result_is_found_with_and_without_the_response_suffix(mock: Mock, suffix: str) -> None:
    submitted = await mock.submit()
    await mock.pass_time(6)

    assert "video" in (await mock.get(submitted["response_url"] + suffix)).json()


@pytest.mark.parametrize("seconds", [0, 2])
async def test_result_is_400_while_the_request_is_in_progress(mock: Mock, seconds: float) -> None:
    submitted = await mock.submit()
    await mock.pass_time(seconds)

    answer = await mock.result(submitted)

    urls = {name: submitted[name] for name in ("request_id", "response_url", "status_url", "cancel_url")}
    assert (answer.status_code, list(answer.json().items())) == (
        400,
        [("detail", "Request is still in progress"), *urls.items()],
    )


async def test_result_is_the_same_each_time(mock: Mock) -> None:
    submitted = await mock.submit()
    await mock.pass_time(6)

    assert len({(await mock.result(submitted)).content for _ in range(5)}) == 1


async def test_result_expires_after_the_retention_but_the_status_remains(start: Any) -> None:
    mock = await start(retention=3600)
    submitted = await mock.submit()
    await mock.pass_time(6 + 3600)

    assert (await mock.result(submitted)).text == NOT_FOUND
    assert (await mock.status(submitted)).json()["status"] == "COMPLETED"


async def test_large_result_can_expire_earlier(start: Any) -> None:
    mock = await start(retention_large=360)
    answer = await mock.http.post(f"/{ENDPOINT}", json={"image_url": "x" * 10_000}, headers=KEY)
    await mock.pass_time(6)
    assert (await mock.result(answer.json())).status_code == 422

    await mock.pass_time(360)

    assert (await mock.result(answer.json())).text == NOT_FOUND


async def test_request_is_deleted_after_a_month(mock: Mock) -> None:
    submitted = await mock.submit()
    await mock.pass_time(31 * 86_400)

    assert (await mock.status(submitted)).text == NOT_FOUND


async def test_request_without_stored_payloads_is_deleted_with_its_result(mock: Mock) -> None:
    submitted = await mock.submit(headers={"X-Fal-Store-IO": "0"})
    await mock.pass_time(3700)

    assert (await mock.status(submitted)).text == NOT_FOUND


# Failures: the status is COMPLETED, the result has the error


async def failed(mock: Mock, content: bytes, content_type: str = "application/json") -> tuple[Any, Any, Any]:
    """Submit a bad body; return its status, the answer to the fetch, and that answer's body."""
    headers = KEY | {"content-type": content_type}
    answer = await mock.http.post(f"/{ENDPOINT}", content=content, headers=headers)
    assert answer.status_code == 200
    await mock.pass_time(6)
    status = await mock.status(answer.json())
    result = await mock.result(answer.json())
    return status, result, result.json()


async def test_invalid_input_is_accepted_and_completes_without_an_error_in_the_status(mock: Mock) -> None:
    status, result, _ = await failed(mock, b"{}")

    assert (status.status_code, status.json()["status"], "error" in status.json()) == (
        200,
        "COMPLETED",
        False,
    )
    assert (result.status_code, result.headers["x-fal-billable-units"]) == (422, "0")


@pytest.mark.parametrize(
    ("sent", "entry"),
    [
        (b'{"image_url":"u"}', ["missing", ["body", "prompt"], "Field required", {"image_url": "u"}]),
        (
            b'{"prompt":1,"image_url":"u"}',
            ["string_type", ["body", "prompt"], "Input should be a valid string", 1],
        ),
        (
            b'{"prompt":NaN,"image_url":"u"}',
            ["string_type", ["body", "prompt"], "Input should be a valid string", "nan"],
        ),
        (b"", ["missing", ["body"], "Field required", None]),
        (b"null", ["missing", ["body"], "Field required", None]),
    ],
)
async def test_result_of_an_invalid_input_is_pydantics_error_list(
    mock: Mock, sent: bytes, entry: list[Any]
) -> None:
    _, result, body = await failed(mock, sent)

    keys = ["type", "loc", "msg", "input"]
    assert (result.status_code, list(body["detail"][0].items())) == (422, list(zip(keys, entry, strict=True)))


async def test_invalid_input_has_no_log_lines_of_the_model(mock: Mock) -> None:
    submitted = await mock.submit(duration="9s")
    await mock.pass_time(6)

    (line,) = (await mock.status(submitted, "?logs=1")).json()["logs"]

    assert line["message"].endswith('"POST /image-to-video HTTP/1.1" 422 Unprocessable Entity')


async def test_error_of_a_wrong_enum_value_lists_the_allowed_values(mock: Mock) -> None:
    sent = json.dumps(GOOD | {"duration": "4s"}).encode()

    _, _, body = await failed(mock, sent)

    expected = "'5s', '6s', '7s' or '8s'"
    assert body == {
        "detail": [
            {
                "type": "literal_error",
                "loc": ["body", "duration"],
                "msg": f"Input should be {expected}",
                "input": "4s",
                "ctx": {"expected": expected},
            }
        ]
    }


async def test_number_as_a_duration_is_invalid(mock: Mock) -> None:
    _, result, _ = await failed(mock, json.dumps(GOOD | {"duration": 8}).encode())

    assert result.status_code == 422


async def test_malformed_json_is_reported_in_the_result(mock: Mock) -> None:
    _, result, body = await failed(mock, b'{"prompt": ')

    assert result.status_code == 422
    assert body["detail"][0] == {
        "type": "json_invalid",
        "loc": ["body", 11],
        "msg": "JSON decode error",
        "input": {},
        "ctx": {"error": "Expecting value"},
    }


@pytest.mark.parametrize("sent", [b"[]", b'"text"', b"7", b"true"])
async def test_json_that_is_not_an_object_is_invalid(mock: Mock, sent: bytes) -> None:
    _, result, body = await failed(mock, sent)

    assert (result.status_code, body["detail"][0]["type"]) == (422, "model_attributes_type")


async def test_body_with_another_content_type_is_invalid(mock: Mock) -> None:
    _, result, body = await failed(mock, b"prompt=x", "application/x-www-form-urlencoded")

    assert (result.status_code, body["detail"][0]["input"]) == (422, "<binary 8 bytes>")


@pytest.mark.parametrize("sent", [b'{"\xff"}', b"[" * 100_000, b'{"prompt":' + b"9" * 5000 + b"}"])
async def test_body_that_cannot_be_parsed_is_reported_in_the_result(mock: Mock, sent: bytes) -> None:
    _, result, body = await failed(mock, sent)

    assert (result.status_code, body) == (400, {"detail": "There was an error parsing the body"})


async def test_unknown_endpoint_of_a_known_application_ends_as_404(mock: Mock) -> None:
    submitted = (await mock.http.post(f"/{APPLICATION}/no/such", json=GOOD, headers=KEY)).json()
    await mock.pass_time(6)

    result = await mock.result(submitted)

    assert (result.status_code, result.json()) == (404, {"detail": "Path /no/such not found"})
    assert result.headers["x-fal-billable-units"] == "0"


@pytest.mark.parametrize(
    ("method", "suffix", "has_id"),
    [
        ("GET", "", True),
        ("GET", "/status", False),
        ("GET", "/status/stream", False),
        ("PUT", "/cancel", False),
    ],
)
@pytest.mark.parametrize("seconds", [0, 6])
async def test_only_a_result_has_the_request_id_in_a_header(
    mock: Mock, method: str, suffix: str, has_id: bool, seconds: float
) -> None:
    submitted = await mock.submit()
    await mock.pass_time(seconds)
    if suffix == "/status/stream":
        await mock.pass_time(6)  # it ends with its first event

    answer = await mock.http.request(method, submitted["response_url"] + suffix, headers=KEY)

    assert answer.headers.get("x-fal-request-id") == (submitted["request_id"] if has_id else None)


async def test_unknown_input_fields_are_ignored(mock: Mock) -> None:
    assert (await mock.finish(webhookUrl="http://localhost/x", colour="red")).status_code == 200


@pytest.mark.parametrize("prompt", ["\u202eרטל", "👩‍👩‍👧‍👦", "\x00", "", "x" * 100_000, "\ud800"])
async def test_prompt_may_be_any_unicode_text(mock: Mock, prompt: str) -> None:
    content = json.dumps({"prompt": prompt, "image_url": HOSTED}).encode()

    _, result, _ = await failed(mock, content)

    assert result.status_code == 200


@pytest.mark.parametrize("prompt", ["\u202eרטל", "\ud800"])
async def test_error_that_repeats_any_unicode_text_is_valid_json(mock: Mock, prompt: str) -> None:
    _, _, body = await failed(mock, json.dumps({"prompt": prompt}).encode())

    assert body["detail"][0]["input"] == {"prompt": prompt}


# Deadlines, priorities, limits


async def test_request_that_starts_after_the_callers_deadline_ends_as_504(mock: Mock) -> None:
    for _ in range(2):
        await mock.submit()
    late = await mock.submit(headers={"X-Fal-Request-Timeout": "2"})
    await mock.pass_time(6)

    status, result = (await mock.status(late)).json(), await mock.result(late)

    assert (status["error"], status["error_type"]) == ("Request timed out", "request_timeout")
    assert (result.status_code, result.json()) == (
        504,
        {"detail": "Request timed out", "error_type": "request_timeout"},
    )
    assert (result.headers["x-fal-request-timeout-type"], result.headers["x-fal-error-type"]) == (
        "user",
        "request_timeout",
    )


async def test_request_that_starts_in_time_is_not_ended_by_the_deadline(mock: Mock) -> None:
    submitted = await mock.submit(headers={"X-Fal-Request-Timeout": "2.0"})
    await mock.pass_time(6)

    assert (await mock.result(submitted)).status_code == 200


async def test_low_priority_request_waits_behind_later_normal_ones(mock: Mock) -> None:
    low = await mock.submit(headers={"X-Fal-Queue-Priority": "low"})
    await mock.submit(headers={"X-Fal-Queue-Priority": "normal"})

    assert (await mock.status(low)).json()["queue_position"] == 1


async def test_requests_over_the_concurrency_limit_wait_and_are_never_429(start: Start) -> None:
    mock = await start(runners=5, concurrency=2)
    submitted = [await mock.submit() for _ in range(4)]
    await mock.pass_time(2)

    states = [(await mock.status(each)).json()["status"] for each in submitted]

    assert states == ["IN_PROGRESS", "IN_PROGRESS", "IN_QUEUE", "IN_QUEUE"]


async def test_run_that_exceeds_its_time_is_tried_ten_times_and_ends_as_504(start: Start) -> None:
    mock = await start(run_timeout=2)
    submitted = await mock.submit()
    await mock.pass_time(2.5)
    assert (await mock.status(submitted)).json()["status"] == "IN_PROGRESS"
    await mock.pass_time(1)
    assert (await mock.status(submitted)).json()["status"] == "IN_QUEUE"
    await mock.pass_time(60)

    result = await mock.result(submitted)

    assert (result.status_code, result.json()["error_type"]) == (504, "request_timeout")
    assert "x-fal-request-timeout-type" not in result.headers
    assert mock.emulator.store.request(submitted["request_id"]).attempts == 10  # type: ignore[union-attr]


@pytest.mark.parametrize("spelling", ["1", "true", "yes", "YES"])
async def test_run_that_exceeds_its_time_is_not_repeated_with_no_retry(start: Start, spelling: str) -> None:
    mock = await start(run_timeout=2)
    submitted = await mock.submit(headers={"X-Fal-No-Retry": spelling})
    await mock.pass_time(3.5)

    assert (await mock.result(submitted)).status_code == 504


async def test_second_run_that_is_faster_succeeds(start: Start) -> None:
    mock = await start(run_timeout=4, run_seconds=Span(3, 6))

    results = [await mock.finish() for _ in range(4)]

    assert {result.status_code for result in results} == {200}


# Cancel


async def test_request_cancelled_in_the_queue_never_runs_and_ends_as_499(mock: Mock) -> None:
    submitted = await mock.submit()

    answer = await mock.cancel(submitted)
    await mock.pass_time(60)

    assert (answer.status_code, answer.text) == (202, '{"status":"CANCELLATION_REQUESTED"}')
    status, result = (await mock.status(submitted)).json(), await mock.result(submitted)
    assert (status["status"], status["metrics"], status["error_type"]) == (
        "COMPLETED",
        {},
        "client_cancelled",
    )
    assert (result.status_code, result.json()) == (
        499,
        {"detail": "Request was cancelled", "error_type": "client_cancelled"},
    )
    assert "x-fal-billable-units" not in result.headers


async def test_request_cancelled_while_running_ends_with_499_where_models_honour_the_signal(
    start: Any,
) -> None:
    mock = await start(cancel="honoured")
    submitted = await mock.submit()
    await mock.pass_time(2)

    answer = await mock.cancel(submitted)

    result = await mock.result(submitted)
    assert (answer.status_code, result.status_code) == (202, 499)
    assert result.json() == {"detail": "Request cancelled by the client."}


async def test_cancel_of_a_completed_request_is_refused(mock: Mock) -> None:
    submitted = await mock.submit()
    await mock.pass_time(6)

    answer = await mock.cancel(submitted)

    assert (answer.status_code, answer.text) == (400, '{"status":"ALREADY_COMPLETED"}')


async def test_second_cancel_has_no_effect(mock: Mock) -> None:
    submitted = await mock.submit()
    await mock.cancel(submitted)

    assert (await mock.cancel(submitted)).text == '{"status":"ALREADY_COMPLETED"}'


async def test_cancel_does_not_affect_other_requests(mock: Mock) -> None:
    before, between, behind = [await mock.submit() for _ in range(3)]

    await mock.cancel(between)
    await mock.pass_time(20)

    assert [(await mock.result(each)).status_code for each in (before, behind)] == [200, 200]


async def test_cancel_with_a_wrong_method_is_405(mock: Mock) -> None:
    submitted = await mock.submit()

    answer = await mock.http.post(submitted["cancel_url"], headers=KEY)

    assert (answer.status_code, answer.headers["allow"]) == (405, "PUT")


# The same everywhere


@pytest.mark.parametrize("prefix", ["", "/queue.fal.run"])
async def test_returned_urls_have_the_host_prefix_of_the_call(mock: Mock, prefix: str) -> None:
    answer = await mock.http.post(f"{prefix}/{ENDPOINT}", json=GOOD, headers=KEY)

    assert answer.json()["status_url"].startswith(f"{BASE}{prefix}/{APPLICATION}/requests/")


async def test_returned_urls_have_fals_host_name_if_the_call_used_it(mock: Mock) -> None:
    answer = await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers=KEY | {"Host": "queue.fal.run"})

    assert answer.json()["status_url"].startswith(f"http://queue.fal.run/{APPLICATION}/requests/")


async def test_same_seed_and_calls_give_the_same_responses_byte_for_byte(start: Start) -> None:
    async def story() -> list[bytes]:
        mock = await start(seed=7, run_seconds=Span(3, 9))
        submitted = await mock.submit()
        await mock.pass_time(5)
        running = await mock.status(submitted, "?logs=1")
        await mock.pass_time(20)
        done = await mock.status(submitted, "?logs=1")
        return [
            json.dumps(submitted).encode(),
            running.content,
            done.content,
            (await mock.result(submitted)).content,
        ]

    assert await story() == await story()


async def test_another_seed_gives_other_request_ids(start: Start) -> None:
    first, second = await start(seed=1), await start(seed=2)

    assert (await first.submit())["request_id"] != (await second.submit())["request_id"]
