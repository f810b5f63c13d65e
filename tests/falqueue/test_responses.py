"""The exception for each body of PROTOCOL.md 2.2, 4.6, 13 and 14."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import falqueue
from falqueue import Client

if TYPE_CHECKING:
    import respx

ID = "019e7b6a-5c1d-7f3e-9a2b-4c5d6e7f8091"
SUBMIT = "https://queue.fal.run/fal-ai/veo2/image-to-video"
RUN = "https://fal.run/fal-ai/veo2/image-to-video"
REQUEST = f"https://queue.fal.run/fal-ai/veo2/requests/{ID}"
Body = dict[str, Any]
AnyHandle = falqueue.Handle[Body]

REFUSALS = [
    pytest.param(
        401,
        'Cannot access application "fal-ai/veo2". Authentication is required to access this application.',
        falqueue.Unauthorized,
        id="no credentials",
    ),
    pytest.param(401, "No user found for Key ID and Secret", falqueue.Unauthorized, id="nobody's key"),
    pytest.param(401, "Authorization header is required", falqueue.Unauthorized, id="rest"),
    pytest.param(404, 'Application "nosuchowner/nope" not found', falqueue.NotFound, id="no owner"),
    pytest.param(404, 'Application "nosuchvendor" not found', falqueue.NotFound, id="no alias"),
    pytest.param(
        403,
        "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing.",
        falqueue.AccountLocked,
        id="locked",
    ),
    pytest.param(403, "User is locked. Reason: TOP_UP.", falqueue.AccountLocked, id="top up"),
    pytest.param(402, "User is locked. Reason: TOP_UP.", falqueue.AccountLocked, id="402"),
    pytest.param(403, "Access denied", falqueue.Refused, id="forbidden"),
    pytest.param(400, "Invalid X-Fal-Request-Timeout", falqueue.InvalidRequest, id="bad header"),
    pytest.param(405, "Method Not Allowed", falqueue.InvalidRequest, id="405"),
    pytest.param(413, "Payload Too Large", falqueue.InvalidRequest, id="413"),
    pytest.param(409, "Conflict", falqueue.Refused, id="409"),
]


@pytest.mark.parametrize(("code", "detail", "kind"), REFUSALS)
class TestRefusals:
    def test_a_refused_submit_raises_the_class_for_its_status(
        self, client: Client, fal: respx.Router, code: int, detail: str, kind: type[falqueue.Refused]
    ) -> None:
        fal.post(SUBMIT).respond(code, json={"detail": detail})
        with pytest.raises(falqueue.Refused) as caught:
            client.submit("fal-ai/veo2/image-to-video", {})
        assert (type(caught.value), caught.value.status_code, caught.value.message) == (
            kind,
            code,
            f"HTTP {code}: {detail}",
        )

    def test_a_refused_run_raises_the_class_for_its_status(
        self, client: Client, fal: respx.Router, code: int, detail: str, kind: type[falqueue.Refused]
    ) -> None:
        if kind in {falqueue.InvalidRequest, falqueue.Refused} and code not in {403, 409}:
            kind = falqueue.RequestFailed  # type: ignore[assignment]  # the answer may be the runner's own
        fal.post(RUN).respond(code, json={"detail": detail})
        with pytest.raises(kind):
            client.run("fal-ai/veo2/image-to-video", {})


MODEL_ERRORS = [
    (500, "internal_server_error", falqueue.RunnerFailed, True),
    (504, "generation_timeout", falqueue.RunnerFailed, True),
    (400, "downstream_service_error", falqueue.RunnerFailed, True),
    (500, "downstream_service_error", falqueue.RunnerFailed, True),
    (504, "downstream_service_error", falqueue.RunnerFailed, True),
    (500, "downstream_service_unavailable", falqueue.RunnerFailed, True),
    (422, "content_policy_violation", falqueue.ContentPolicyViolation, False),
    (422, "no_media_generated", falqueue.NoMediaGenerated, False),
    (422, "file_download_error", falqueue.FileDownloadFailed, False),
    (422, "image_too_small", falqueue.FileRejected, False),
    (422, "image_too_large", falqueue.FileRejected, False),
    (422, "image_aspect_ratio_error", falqueue.FileRejected, False),
    (422, "image_load_error", falqueue.FileRejected, False),
    (422, "face_detection_error", falqueue.FileRejected, False),
    (422, "file_too_large", falqueue.FileRejected, False),
    (422, "invalid_archive", falqueue.FileRejected, False),
    (422, "archive_file_count_below_minimum", falqueue.FileRejected, False),
    (422, "archive_file_count_exceeds_maximum", falqueue.FileRejected, False),
    (422, "audio_duration_too_long", falqueue.FileRejected, False),
    (422, "audio_duration_too_short", falqueue.FileRejected, False),
    (422, "video_duration_too_long", falqueue.FileRejected, False),
    (422, "video_duration_too_short", falqueue.FileRejected, False),
    (422, "unsupported_audio_format", falqueue.FileRejected, False),
    (422, "unsupported_image_format", falqueue.FileRejected, False),
    (422, "unsupported_video_format", falqueue.FileRejected, False),
    (422, "greater_than", falqueue.InputRejected, False),
    (422, "greater_than_equal", falqueue.InputRejected, False),
    (422, "less_than", falqueue.InputRejected, False),
    (422, "less_than_equal", falqueue.InputRejected, False),
    (422, "multiple_of", falqueue.InputRejected, False),
    (422, "sequence_too_short", falqueue.InputRejected, False),
    (422, "sequence_too_long", falqueue.InputRejected, False),
    (422, "one_of", falqueue.InputRejected, False),
    (422, "feature_not_supported", falqueue.InputRejected, False),
    (422, "invalid_request", falqueue.InputRejected, False),
    (422, "missing", falqueue.InputRejected, False),
    (422, "literal_error", falqueue.InputRejected, False),
    (422, "json_invalid", falqueue.InputRejected, False),
    (422, "value_error.missing", falqueue.InputRejected, False),
    (422, "something_new", falqueue.InputRejected, False),
]


class TestFailures:
    @pytest.mark.parametrize(("code", "name", "kind", "retryable"), MODEL_ERRORS)
    def test_a_model_error_raises_the_class_for_its_type(
        self,
        client: Client,
        fal: respx.Router,
        handle: AnyHandle,
        code: int,
        name: str,
        kind: type[falqueue.RequestFailed],
        retryable: bool,
    ) -> None:
        entry = {"loc": ["body", "prompt"], "msg": "No", "type": name, "url": "u", "input": "x"}
        fal.get(REQUEST).respond(code, json={"detail": [entry]}, headers={"x-fal-billable-units": "0"})
        with pytest.raises(
            falqueue.RequestFailed, match=rf"prompt: No \[{name}\] \(request {ID}\)"
        ) as caught:
            client.result(handle)
        error = caught.value
        assert (type(error), error.error_type, error.retryable, error.status_code, error.handle) == (
            kind,
            name,
            retryable,
            code,
            handle,
        )

    @pytest.mark.parametrize(
        ("code", "error_type", "kind", "retryable"),
        [
            (504, "request_timeout", falqueue.PlatformFailed, True),
            (504, "startup_timeout", falqueue.PlatformFailed, True),
            (503, "runner_scheduling_failure", falqueue.PlatformFailed, True),
            (503, "runner_connection_timeout", falqueue.PlatformFailed, True),
            (503, "runner_disconnected", falqueue.PlatformFailed, True),
            (503, "runner_connection_refused", falqueue.PlatformFailed, True),
            (503, "runner_connection_error", falqueue.PlatformFailed, True),
            (502, "runner_incomplete_response", falqueue.PlatformFailed, True),
            (500, "runner_server_error", falqueue.PlatformFailed, True),
            (499, "client_disconnected", falqueue.Cancelled, False),
            (499, "client_cancelled", falqueue.Cancelled, False),
            (400, "bad_request", falqueue.PlatformFailed, False),
            (500, "internal_error", falqueue.PlatformFailed, True),
        ],
    )
    @pytest.mark.parametrize("place", ["body", "header"])
    def test_a_platform_error_raises_the_class_for_its_type(
        self,
        client: Client,
        fal: respx.Router,
        handle: AnyHandle,
        code: int,
        error_type: str,
        kind: type[falqueue.RequestFailed],
        retryable: bool,
        place: str,
    ) -> None:
        body = {"detail": "Text"} | ({"error_type": error_type} if place == "body" else {})
        headers = {"x-fal-error-type": error_type} if place == "header" else {}
        fal.get(REQUEST).respond(code, json=body, headers=headers)
        with pytest.raises(falqueue.RequestFailed) as caught:
            client.result(handle)
        error = caught.value
        assert (type(error), error.error_type, error.retryable) == (kind, error_type, retryable)

    @pytest.mark.parametrize(
        ("code", "body", "kind"),
        [
            (404, {"detail": "Path /x not found"}, falqueue.UnknownPath),
            (422, {"detail": "A text"}, falqueue.InputRejected),
            (400, {"detail": "An AppException"}, falqueue.RequestFailed),
            (418, {"detail": "An AppException"}, falqueue.RequestFailed),
            (499, {"detail": "Request cancelled by the client."}, falqueue.Cancelled),
            (500, {"detail": "Internal Server Error"}, falqueue.RunnerFailed),
            (405, {"detail": "Method Not Allowed"}, falqueue.RequestFailed),
        ],
    )
    def test_a_failure_without_a_type_raises_the_class_for_its_status(
        self,
        client: Client,
        fal: respx.Router,
        handle: AnyHandle,
        code: int,
        body: Body,
        kind: type[falqueue.RequestFailed],
    ) -> None:
        fal.get(REQUEST).respond(code, json=body)
        with pytest.raises(falqueue.RequestFailed) as caught:
            client.result(handle)
        assert type(caught.value) is kind

    def test_a_start_timeout_of_the_caller_is_not_retryable(
        self, client: Client, fal: respx.Router, handle: AnyHandle
    ) -> None:
        fal.get(REQUEST).respond(
            504, json={"detail": "Request timed out"}, headers={"x-fal-request-timeout-type": "user"}
        )
        with pytest.raises(falqueue.StartTimedOut) as caught:
            client.result(handle)
        assert not caught.value.retryable

    @pytest.mark.parametrize(
        ("said", "retryable"), [("1", True), ("true", True), ("0", False), ("false", False)]
    )
    def test_a_failure_is_retryable_if_fal_says_so(
        self, client: Client, fal: respx.Router, handle: AnyHandle, said: str, retryable: bool
    ) -> None:
        fal.get(REQUEST).respond(500, json={"detail": "x"}, headers={"x-fal-needs-retry": said})
        with pytest.raises(falqueue.RunnerFailed) as caught:
            client.result(handle)
        assert caught.value.retryable is retryable

    def test_a_number_in_a_text_does_not_make_a_failure_retryable(
        self, client: Client, fal: respx.Router, handle: AnyHandle
    ) -> None:
        fal.get(REQUEST).respond(422, json={"detail": "Seed 503 is taken, error 500"})
        with pytest.raises(falqueue.InputRejected) as caught:
            client.result(handle)
        assert not caught.value.retryable

    def test_the_text_of_a_failure_leaves_out_the_echoed_input(
        self, client: Client, fal: respx.Router, handle: AnyHandle
    ) -> None:
        image = "data:image/png;base64," + "A" * 1000
        entry = {"loc": ["body"], "msg": "No", "type": "no_media_generated", "input": {"image_url": image}}
        fal.get(REQUEST).respond(422, json={"detail": [entry]})
        with pytest.raises(falqueue.NoMediaGenerated) as caught:
            client.result(handle)
        assert "base64" not in f"{caught.value} {caught.value!r} {caught.value.errors!r}"
        assert caught.value.errors[0].input == {"image_url": image}

    @pytest.mark.parametrize("code", [401, 402, 403, 404, 408, 409, 429])
    def test_a_refused_result_is_not_a_failed_job(
        self, client: Client, fal: respx.Router, handle: AnyHandle, code: int
    ) -> None:
        fal.get(REQUEST).respond(code, json={"detail": "no"})
        with pytest.raises(falqueue.Refused, match=ID):
            client.result(handle)

    def test_the_result_of_an_unknown_request_is_not_found(
        self, client: Client, fal: respx.Router, handle: AnyHandle
    ) -> None:
        fal.get(REQUEST).respond(404, json={"status": "NOT_FOUND"})
        with pytest.raises(falqueue.NotFound):
            client.result(handle)

    @pytest.mark.parametrize(
        "loc", [["body", "input.image_urls"], ["body", "image_urls", 0], ["body"], [], None]
    )
    def test_a_field_error_may_have_any_loc(
        self, client: Client, fal: respx.Router, handle: AnyHandle, loc: list[Any] | None
    ) -> None:
        fal.get(REQUEST).respond(422, json={"detail": [{"loc": loc, "msg": "No", "type": "t"}]})
        with pytest.raises(falqueue.InputRejected) as caught:
            client.result(handle)
        assert caught.value.errors[0].loc == tuple(loc or ())

    @pytest.mark.parametrize(
        ("loc", "place"), [("prompt", ("prompt",)), (5, ("5",)), ({"a": 1}, ("{'a': 1}",))]
    )
    def test_a_field_error_may_have_a_loc_that_is_no_list(
        self, client: Client, fal: respx.Router, handle: AnyHandle, loc: object, place: tuple[str]
    ) -> None:
        fal.get(REQUEST).respond(422, json={"detail": [{"loc": loc, "msg": "No", "type": "t"}]})
        with pytest.raises(falqueue.InputRejected) as caught:
            client.result(handle)
        assert caught.value.errors[0].loc == place
