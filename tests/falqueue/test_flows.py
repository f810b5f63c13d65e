"""The operations on the queue, with both clients and every answer of fal."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import falqueue
from falqueue import Cancellation, Client, Completed, Handle, InProgress, LogEntry, Queued

if TYPE_CHECKING:
    import respx

ID = "019e7b6a-5c1d-7f3e-9a2b-4c5d6e7f8091"
ENDPOINT = "fal-ai/veo2/image-to-video"
SUBMIT = f"https://queue.fal.run/{ENDPOINT}"
REQUEST = f"https://queue.fal.run/fal-ai/veo2/requests/{ID}"
STATUS, CANCEL, STREAM = f"{REQUEST}/status", f"{REQUEST}/cancel", f"{REQUEST}/status/stream"
INPUT = {"prompt": "It waves", "image_url": "https://example.com/a.png"}
Body = dict[str, Any]
AnyHandle = Handle[Body]
Streamed = Callable[..., httpx.Response]
NO_STATUS = [
    b"data: nothing\n\n",
    b"data: []\n\n",
    b"data: " + b"[" * 100_000 + b"\n\n",
    b'data: {"status": "DONE"}\n\n',
]


class TestSubmit:
    def test_submit_returns_a_handle_with_the_url_that_fal_returned(
        self, client: Client, fal: respx.Router, submitted: Body
    ) -> None:
        fal.post(SUBMIT).respond(200, json=submitted)
        assert str(client.submit(ENDPOINT, INPUT)) == f"{REQUEST}#{ENDPOINT}"

    def test_submit_sends_the_arguments_as_the_body(
        self, client: Client, fal: respx.Router, submitted: Body, sent: Callable[[int], Any]
    ) -> None:
        fal.post(SUBMIT).respond(200, json=submitted)
        client.submit(ENDPOINT, INPUT)
        assert sent(0) == INPUT

    def test_submit_can_send_a_lone_surrogate(
        self, client: Client, fal: respx.Router, submitted: Body, sent: Callable[[int], Any]
    ) -> None:
        fal.post(SUBMIT).respond(200, json=submitted)
        client.submit(ENDPOINT, {"prompt": "\ud800"})
        assert sent(0) == {"prompt": "\ud800"}

    def test_submit_sends_the_key(self, client: Client, fal: respx.Router, submitted: Body, key: str) -> None:
        fal.post(SUBMIT).respond(200, json=submitted)
        client.submit(ENDPOINT, INPUT)
        assert fal.calls[0].request.headers["authorization"] == f"Key {key}"

    def test_submit_sends_the_webhook_url_in_the_query(
        self, client: Client, fal: respx.Router, submitted: Body
    ) -> None:
        fal.post(SUBMIT).respond(200, json=submitted)
        client.submit(ENDPOINT, INPUT, webhook_url="https://me.example/hook?a=1&b=2", max_queue_length=7)
        assert dict(fal.calls[0].request.url.params) == {
            "fal_webhook": "https://me.example/hook?a=1&b=2",
            "fal_max_queue_length": "7",
        }

    def test_a_submit_to_a_workflow_uses_three_parts_of_its_id(
        self, client: Client, fal: respx.Router
    ) -> None:
        fal.post("https://queue.fal.run/workflows/me/clip/run").respond(200, json={"request_id": ID})
        handle = client.submit("workflows/me/clip/run", {})
        assert handle.url == f"https://queue.fal.run/workflows/me/clip/requests/{ID}"

    @pytest.mark.parametrize(
        "urls",
        [
            pytest.param({"response_url": "https://evil.example/requests/" + ID}, id="another host"),
            pytest.param({"response_url": f"http://queue.fal.run/fal-ai/veo2/requests/{ID}"}, id="http"),
            pytest.param({"response_url": f"https://queue.fal.run:444/fal-ai/veo2/requests/{ID}"}, id="port"),
            pytest.param({"response_url": f"https://queue.fal.run@evil.example/requests/{ID}"}, id="user"),
            pytest.param({"status_url": "https://evil.example/status"}, id="only the status"),
            pytest.param({"cancel_url": "https://evil.example/cancel"}, id="only the cancel"),
            pytest.param({"response_url": "https://queue.fal.run/x/y/requests/other"}, id="another id"),
            pytest.param({"response_url": None}, id="none"),
        ],
    )
    def test_submit_never_uses_a_returned_url_of_another_origin_or_request(
        self, client: Client, fal: respx.Router, submitted: Body, urls: Body
    ) -> None:
        fal.post(SUBMIT).respond(200, json=submitted | urls)
        assert client.submit(ENDPOINT, INPUT).url == REQUEST

    def test_submit_accepts_the_documented_form_of_the_urls(
        self, client: Client, fal: respx.Router, submitted: Body
    ) -> None:
        full = f"https://queue.fal.run/{ENDPOINT}/requests/{ID}"
        fal.post(SUBMIT).respond(
            200,
            json=submitted
            | {
                "response_url": f"{full}/response",
                "status_url": f"{full}/status",
                "cancel_url": f"{full}/cancel",
            },
        )
        assert client.submit(ENDPOINT, INPUT).url == full

    @pytest.mark.parametrize("endpoint", ["veo2", "fal-ai/../veo2", "/veo2", "fal-ai/veo2?x=1", "a/b c", ""])
    def test_submit_rejects_a_malformed_endpoint_id(self, client: Client, endpoint: str) -> None:
        with pytest.raises(falqueue.UsageError):
            client.submit(endpoint, INPUT)

    @pytest.mark.parametrize("name", ["webhookUrl", "webhook_url", "fal_webhook"])
    def test_submit_rejects_a_webhook_inside_the_input(self, client: Client, name: str) -> None:
        with pytest.raises(falqueue.InvalidInput, match="webhook_url= to submit"):
            client.submit(ENDPOINT, INPUT | {name: "https://me.example/hook"})

    @pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}])
    def test_submit_rejects_values_that_json_cannot_express(self, client: Client, value: object) -> None:
        with pytest.raises(falqueue.InvalidInput):
            client.submit(ENDPOINT, {"seed": value})

    @pytest.mark.parametrize("option", ["timeout", "webhookUrl", "on_update"])
    def test_submit_rejects_an_option_that_it_does_not_have(self, client: Client, option: str) -> None:
        with pytest.raises(TypeError, match=f"unexpected option '{option}'"):
            client.submit(ENDPOINT, INPUT, **{option: 600})  # type: ignore[call-overload]

    def test_wait_rejects_an_option_that_it_does_not_have(self, client: Client, handle: AnyHandle) -> None:
        with pytest.raises(TypeError, match="unexpected option 'timeuot'"):
            client.wait(handle, timeuot=600)  # type: ignore[call-arg]

    def test_submit_does_not_send_an_option_that_is_none(
        self, client: Client, fal: respx.Router, submitted: Body
    ) -> None:
        fal.post(SUBMIT).respond(200, json=submitted)
        client.submit(ENDPOINT, INPUT, webhook_url=None, priority=None)  # type: ignore[call-overload]
        request = fal.calls[0].request
        assert (dict(request.url.params), "x-fal-queue-priority" in request.headers) == ({}, False)


@pytest.mark.parametrize(
    ("operation", "method", "url"),
    [
        ("status", "GET", STATUS),
        ("stream", "GET", STREAM),
        ("result", "GET", REQUEST),
        ("cancel", "PUT", CANCEL),
    ],
)
def test_each_operation_on_a_handle_sends_the_key_once_to_its_url(
    client: Client, fal: respx.Router, handle: AnyHandle, key: str, operation: str, method: str, url: str
) -> None:
    fal.route(method=method, url__startswith=url).respond(401, json={"detail": "No user found"})
    call = getattr(client, operation)
    with pytest.raises(falqueue.Unauthorized):
        list(call(handle))
    assert [call.request.headers["authorization"] for call in fal.calls] == [f"Key {key}"]


class TestStatus:
    def test_status_reads_a_queued_job(
        self, client: Client, fal: respx.Router, handle: AnyHandle, queued: httpx.Response
    ) -> None:
        fal.get(STATUS).mock(return_value=queued)
        assert client.status(handle) == Queued(ID, position=3)

    def test_status_reads_a_running_job(
        self, client: Client, fal: respx.Router, handle: AnyHandle, in_progress: httpx.Response
    ) -> None:
        fal.get(STATUS).mock(return_value=in_progress)
        assert client.status(handle) == InProgress(ID)

    def test_status_reads_a_completed_job(
        self, client: Client, fal: respx.Router, handle: AnyHandle, completed: httpx.Response
    ) -> None:
        fal.get(STATUS).mock(return_value=completed)
        assert client.status(handle) == Completed(ID, inference_time=61.5)

    @pytest.mark.parametrize(("logs", "spelled"), [(True, "1"), (False, "0")])
    def test_status_requests_logs_only_if_asked_to(
        self,
        client: Client,
        fal: respx.Router,
        handle: AnyHandle,
        completed: httpx.Response,
        logs: bool,
        spelled: str,
    ) -> None:
        fal.get(STATUS).mock(return_value=completed)
        client.status(handle, logs=logs)
        assert fal.calls[0].request.url.params["logs"] == spelled

    @pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "completed", "", None, 1, ["COMPLETED"]])
    def test_an_unknown_status_is_an_error(
        self, client: Client, fal: respx.Router, handle: AnyHandle, status: object
    ) -> None:
        fal.get(STATUS).respond(200, json={"status": status, "request_id": ID})
        with pytest.raises(falqueue.UnknownStatus, match=ID) as caught:
            client.status(handle)
        assert caught.value.status == status

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(httpx.Response(200, content=b""), id="nothing"),
            pytest.param(httpx.Response(200, text="<html>nginx</html>"), id="a page"),
            pytest.param(httpx.Response(200, json=[]), id="a list"),
            pytest.param(httpx.Response(202, json={"status": "IN_QUEUE"}), id="no position"),
            pytest.param(httpx.Response(202, json={"status": "IN_QUEUE", "queue_position": None}), id="null"),
            pytest.param(
                httpx.Response(202, content=b'{"status": "IN_QUEUE", "queue_position": 1e999}'), id="infinity"
            ),
            pytest.param(httpx.Response(202, json={"status": "IN_PROGRESS", "logs": ["line"]}), id="logs"),
            pytest.param(httpx.Response(200, json={"status": "COMPLETED", "request_id": "x"}), id="other"),
            pytest.param(httpx.Response(307, headers={"location": "https://evil.example"}), id="redirect"),
        ],
    )
    def test_a_malformed_status_is_an_error_without_retries(
        self, client: Client, fal: respx.Router, handle: AnyHandle, answer: httpx.Response, slept: list[float]
    ) -> None:
        fal.get(STATUS).mock(return_value=answer)
        with pytest.raises(falqueue.ProtocolError):
            client.status(handle)
        assert slept == []

    def test_the_status_of_an_unknown_request_is_not_found(
        self, client: Client, fal: respx.Router, handle: AnyHandle
    ) -> None:
        fal.get(STATUS).respond(404, json={"status": "NOT_FOUND"})
        with pytest.raises(falqueue.NotFound, match=f"NOT_FOUND .*{ID}"):
            client.status(handle)


class TestEvents:
    def test_events_polls_until_the_job_is_completed(
        self,
        client: Client,
        fal: respx.Router,
        handle: AnyHandle,
        queued: httpx.Response,
        in_progress: httpx.Response,
        completed: httpx.Response,
    ) -> None:
        fal.get(STATUS).mock(side_effect=[queued, queued, in_progress, completed])
        kinds = [type(status) for status in client.events(handle)]
        assert kinds == [Queued, Queued, InProgress, Completed]

    def test_events_waits_longer_after_each_poll(
        self,
        client: Client,
        fal: respx.Router,
        handle: AnyHandle,
        in_progress: httpx.Response,
        completed: httpx.Response,
        slept: list[float],
    ) -> None:
        fal.get(STATUS).mock(side_effect=[*[in_progress] * 12, completed])
        list(client.events(handle))
        assert slept[0] == 0.5
        assert slept == sorted(slept)
        assert slept[-1] == 5.0

    def test_events_yields_each_log_entry_once(
        self, client: Client, fal: respx.Router, handle: AnyHandle
    ) -> None:
        def answer(status: str, *lines: str) -> httpx.Response:
            logs = [{"message": line, "timestamp": line, "labels": {"level": "INFO"}} for line in lines]
            return httpx.Response(200, json={"status": status, "logs": logs})

        fal.get(STATUS).mock(
            side_effect=[
                answer("IN_PROGRESS", "a", "b"),
                answer("IN_PROGRESS", "b", "c"),
                answer("COMPLETED", "c"),
            ]
        )
        shown = [getattr(status, "logs", ()) for status in client.events(handle, logs=True)]
        assert shown == [
            (LogEntry("a", "a", "INFO"), LogEntry("b", "b", "INFO")),
            (LogEntry("c", "c", "INFO"),),
            (),
        ]


class TestStream:
    def events(self, *statuses: str, end: str = "\n\n") -> bytes:
        bodies = [
            json.dumps({"status": status, "queue_position": 0, "request_id": ID}) for status in statuses
        ]
        return b": keep-alive\n\n" + "".join(f"data: {body}{end}" for body in bodies).encode()

    @pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n"])
    def test_stream_yields_the_statuses_that_fal_sends(
        self, client: Client, fal: respx.Router, handle: AnyHandle, end: str, streamed: Streamed
    ) -> None:
        fal.get(STREAM).mock(
            side_effect=lambda _: streamed(self.events("IN_QUEUE", "IN_PROGRESS", "COMPLETED", end=end))
        )
        assert list(client.stream(handle)) == [Queued(ID, 0), InProgress(ID), Completed(ID)]

    def test_a_stream_that_ends_too_early_is_opened_again(
        self, client: Client, fal: respx.Router, handle: AnyHandle, streamed: Streamed
    ) -> None:
        fal.get(STREAM).mock(
            side_effect=[
                streamed(self.events("IN_QUEUE")),
                streamed(self.events("COMPLETED")),
            ]
        )
        assert list(client.stream(handle)) == [Queued(ID, 0), Completed(ID)]

    def test_a_stream_that_breaks_is_opened_again(
        self, client: Client, fal: respx.Router, handle: AnyHandle, streamed: Streamed
    ) -> None:
        first, second = self.events("IN_QUEUE"), self.events("IN_PROGRESS", "COMPLETED")
        fal.get(STREAM).mock(
            side_effect=[streamed(first, httpx.ReadError("gone")), streamed(second[:40], second[40:])]
        )
        assert list(client.stream(handle)) == [Queued(ID, 0), InProgress(ID), Completed(ID)]

    def test_stream_yields_each_log_entry_once(
        self, client: Client, fal: respx.Router, handle: AnyHandle, streamed: Streamed
    ) -> None:
        def event(status: str, *lines: str) -> bytes:
            logs = [{"message": line, "timestamp": line} for line in lines]
            return f"data: {json.dumps({'status': status, 'logs': logs})}\n\n".encode()

        fal.get(STREAM).mock(
            side_effect=[
                streamed(event("IN_PROGRESS", "a"), event("IN_PROGRESS", "b"), httpx.ReadTimeout("silent")),
                streamed(event("IN_PROGRESS", "a", "b"), event("COMPLETED", "c")),
            ]
        )
        shown = [getattr(status, "logs", ()) for status in client.stream(handle, logs=True)]
        assert shown == [(LogEntry("a", "a"),), (LogEntry("b", "b"),), (), (LogEntry("c", "c"),)]

    def test_stream_gives_up_if_fal_never_sends_a_status(
        self, client: Client, fal: respx.Router, handle: AnyHandle, slept: list[float], streamed: Streamed
    ) -> None:
        fal.get(STREAM).mock(side_effect=lambda _: streamed(b""))
        with pytest.raises(falqueue.ProtocolError, match="without COMPLETED"):
            list(client.stream(handle))
        assert len(slept) == 9

    def test_stream_raises_the_refusal_of_fal(
        self, client: Client, fal: respx.Router, handle: AnyHandle
    ) -> None:
        fal.get(STREAM).respond(404, json={"status": "NOT_FOUND"})
        with pytest.raises(falqueue.NotFound):
            list(client.stream(handle))

    @pytest.mark.parametrize("data", NO_STATUS)
    def test_a_stream_event_that_is_no_status_is_an_error(
        self, client: Client, fal: respx.Router, handle: AnyHandle, data: bytes, streamed: Streamed
    ) -> None:
        fal.get(STREAM).mock(side_effect=lambda _: streamed(data))
        with pytest.raises(falqueue.ProtocolError):
            list(client.stream(handle))


class TestResult:
    def test_result_returns_the_json_of_the_model(
        self, client: Client, fal: respx.Router, handle: AnyHandle, video: Body
    ) -> None:
        fal.get(REQUEST).respond(200, json=video)
        assert client.result(handle) == video

    def test_result_returns_a_typed_output_for_a_typed_request(
        self, client: Client, fal: respx.Router, submitted: Body, video: Body
    ) -> None:
        fal.post(SUBMIT).respond(200, json=submitted)
        fal.get(REQUEST).respond(200, json=video)
        handle = client.submit(falqueue.Veo2ImageToVideo(prompt="x", image_url="https://example.com/a.png"))
        assert client.result(handle).video.file_size == 1234

    def test_an_output_with_the_keys_of_an_error_is_an_output(
        self, client: Client, fal: respx.Router, handle: AnyHandle
    ) -> None:
        body = {"detail": [{"type": "face"}], "error_type": "none"}
        fal.get(REQUEST).respond(200, json=body)
        assert client.result(handle) == body

    def test_result_raises_still_in_progress_before_the_end(
        self, client: Client, fal: respx.Router, handle: AnyHandle
    ) -> None:
        fal.get(REQUEST).respond(400, json={"detail": "Request is still in progress", "request_id": ID})
        with pytest.raises(falqueue.StillInProgress):
            client.result(handle)

    @pytest.mark.parametrize(
        "output", [{}, {"video": None}, {"video": {"url": 1}}, {"video": {"url": "u", "file_size": "x"}}]
    )
    def test_a_malformed_typed_output_is_an_error_that_names_the_request(
        self, client: Client, fal: respx.Router, output: Body
    ) -> None:
        fal.get(REQUEST).respond(200, json=output)
        handle = Handle.from_text(f"{REQUEST}#{ENDPOINT}", falqueue.Veo2ImageToVideo)
        with pytest.raises(falqueue.ProtocolError, match=ID):
            client.result(handle)

    def test_a_202_is_not_taken_for_an_output(
        self, client: Client, fal: respx.Router, handle: AnyHandle, in_progress: httpx.Response
    ) -> None:
        fal.get(REQUEST).mock(return_value=in_progress)
        with pytest.raises(falqueue.StillInProgress):
            client.result(handle)

    def test_result_never_sends_the_key_to_another_service(self, client: Client) -> None:
        foreign = Handle.from_text(f"https://evil.example/a/b/requests/{ID}#a/b")
        with pytest.raises(falqueue.InvalidHandle):
            client.result(foreign)


class TestCancel:
    @pytest.mark.parametrize(
        ("code", "body", "expected"),
        [
            (202, {"status": "CANCELLATION_REQUESTED"}, Cancellation.REQUESTED),
            (200, {"success": True}, Cancellation.REQUESTED),
            (400, {"status": "ALREADY_COMPLETED"}, Cancellation.ALREADY_COMPLETED),
            (404, {"status": "NOT_FOUND"}, Cancellation.NOT_FOUND),
        ],
    )
    def test_cancel_returns_the_answer_of_fal(
        self,
        client: Client,
        fal: respx.Router,
        handle: AnyHandle,
        code: int,
        body: Body,
        expected: Cancellation,
    ) -> None:
        fal.put(CANCEL).respond(code, json=body)
        assert client.cancel(handle) is expected

    @pytest.mark.parametrize(
        ("code", "body", "error"),
        [
            (200, {"success": False}, falqueue.ProtocolError),
            (200, {"status": "CANCELLED"}, falqueue.ProtocolError),
            (401, {"detail": "No user found for Key ID and Secret"}, falqueue.Unauthorized),
            (405, {"detail": "Method Not Allowed"}, falqueue.InvalidRequest),
            (500, {"status": "CANCELLATION_REQUESTED"}, falqueue.Unavailable),
            (500, {"success": True}, falqueue.Unavailable),
        ],
    )
    def test_cancel_raises_for_an_unexpected_answer(
        self,
        client: Client,
        fal: respx.Router,
        handle: AnyHandle,
        code: int,
        body: Body,
        error: type[falqueue.FalqueueError],
    ) -> None:
        fal.put(CANCEL).respond(code, json=body)
        with pytest.raises(error, match=ID):
            client.cancel(handle)

    @pytest.mark.parametrize("content", [b"", b"[]", b"<html>nginx</html>", b"[" * 100_000])
    def test_cancel_raises_for_an_answer_that_is_no_object(
        self, client: Client, fal: respx.Router, handle: AnyHandle, content: bytes
    ) -> None:
        fal.put(CANCEL).respond(200, content=content)
        with pytest.raises(falqueue.ProtocolError, match=ID):
            client.cancel(handle)


class TestSubscribe:
    def test_subscribe_submits_waits_and_returns_the_output(
        self,
        client: Client,
        fal: respx.Router,
        submitted: Body,
        queued: httpx.Response,
        completed: httpx.Response,
        video: Body,
    ) -> None:
        fal.post(SUBMIT).respond(200, json=submitted)
        fal.get(STATUS).mock(side_effect=[queued, completed])
        fal.get(REQUEST).respond(200, json=video)
        seen: list[falqueue.Status] = []
        assert client.subscribe(ENDPOINT, INPUT, on_update=seen.append) == video
        assert seen == [Queued(ID, 3), Completed(ID, inference_time=61.5)]

    def test_subscribe_cancels_the_job_when_its_timeout_passes(
        self,
        client: Client,
        fal: respx.Router,
        submitted: Body,
        in_progress: httpx.Response,
        handle: AnyHandle,
    ) -> None:
        fal.post(SUBMIT).respond(200, json=submitted)
        fal.get(STATUS).mock(return_value=in_progress)
        fal.put(CANCEL).respond(202, json={"status": "CANCELLATION_REQUESTED"})
        with pytest.raises(falqueue.TookTooLong, match=f"CANCELLATION_REQUESTED.*{ID}") as caught:
            client.subscribe(ENDPOINT, INPUT, timeout=60)
        assert (caught.value.handle, caught.value.cancellation) == (handle, Cancellation.REQUESTED)

    def test_subscribe_waits_no_longer_than_its_timeout(
        self,
        client: Client,
        fal: respx.Router,
        submitted: Body,
        in_progress: httpx.Response,
        slept: list[float],
    ) -> None:
        fal.post(SUBMIT).respond(200, json=submitted)
        fal.get(STATUS).mock(return_value=in_progress)
        fal.put(CANCEL).respond(404, json={"status": "NOT_FOUND"})
        with pytest.raises(falqueue.TookTooLong):
            client.subscribe(ENDPOINT, INPUT, timeout=60)
        assert sum(slept) == pytest.approx(60)

    def test_subscribe_returns_the_output_if_the_job_completed_before_the_cancel(
        self, client: Client, fal: respx.Router, submitted: Body, in_progress: httpx.Response, video: Body
    ) -> None:
        fal.post(SUBMIT).respond(200, json=submitted)
        fal.get(STATUS).mock(return_value=in_progress)
        fal.put(CANCEL).respond(400, json={"status": "ALREADY_COMPLETED"})
        fal.get(REQUEST).respond(200, json=video)
        assert client.subscribe(ENDPOINT, INPUT, timeout=60) == video

    def test_subscribe_says_that_the_job_may_be_billed_if_the_cancel_fails(
        self, client: Client, fal: respx.Router, submitted: Body, in_progress: httpx.Response
    ) -> None:
        fal.post(SUBMIT).respond(200, json=submitted)
        fal.get(STATUS).mock(return_value=in_progress)
        fal.put(CANCEL).mock(side_effect=httpx.ReadTimeout)
        with pytest.raises(falqueue.TookTooLong, match="may still be billed") as caught:
            client.subscribe(ENDPOINT, INPUT, timeout=60)
        assert caught.value.cancellation is None

    def test_subscribe_cancels_the_job_if_an_outage_lasts_until_the_timeout(
        self, client: Client, fal: respx.Router, submitted: Body
    ) -> None:
        fal.post(SUBMIT).respond(200, json=submitted)
        fal.get(STATUS).mock(side_effect=httpx.ConnectError)
        fal.put(CANCEL).respond(202, json={"status": "CANCELLATION_REQUESTED"})
        with pytest.raises(falqueue.TookTooLong):
            client.subscribe(ENDPOINT, INPUT, timeout=10)

    def test_subscribe_cancels_the_job_if_the_gateway_fails_until_the_timeout(
        self, client: Client, fal: respx.Router, submitted: Body, slept: list[float]
    ) -> None:
        fal.post(SUBMIT).respond(200, json=submitted)
        fal.get(STATUS).respond(503)
        fal.put(CANCEL).respond(202, json={"status": "CANCELLATION_REQUESTED"})
        with pytest.raises(falqueue.TookTooLong) as caught:
            client.subscribe(ENDPOINT, INPUT, timeout=10)
        assert caught.value.cancellation is Cancellation.REQUESTED
        assert sum(slept) == pytest.approx(10)

    def test_no_poll_waits_longer_for_the_server_than_the_time_that_is_left(
        self, client: Client, fal: respx.Router, submitted: Body, time: Any
    ) -> None:
        allowed: list[float] = []

        def slow(request: httpx.Request) -> httpx.Response:
            timeout = request.extensions["timeout"]
            allowed.append(max(timeout["connect"], timeout["read"]))
            time.now += 4
            raise httpx.ReadTimeout("slow")

        fal.post(SUBMIT).respond(200, json=submitted)
        fal.get(STATUS).mock(side_effect=slow)
        fal.put(CANCEL).respond(202, json={"status": "CANCELLATION_REQUESTED"})
        with pytest.raises(falqueue.TookTooLong):
            client.subscribe(ENDPOINT, INPUT, timeout=10)
        assert allowed == [10, 5.5, 0.5]

    def test_subscribe_cancels_the_job_if_a_malformed_status_arrives_after_the_timeout(
        self, client: Client, fal: respx.Router, submitted: Body, time: Any
    ) -> None:
        def late(_: httpx.Request) -> httpx.Response:
            time.now += 11
            return httpx.Response(200, json={"status": "FAILED"})

        fal.post(SUBMIT).respond(200, json=submitted)
        fal.get(STATUS).mock(side_effect=late)
        fal.put(CANCEL).respond(202, json={"status": "CANCELLATION_REQUESTED"})
        with pytest.raises(falqueue.TookTooLong):
            client.subscribe(ENDPOINT, INPUT, timeout=10)

    def test_subscribe_does_not_cancel_the_job_for_a_malformed_status_before_the_timeout(
        self, client: Client, fal: respx.Router, submitted: Body, handle: AnyHandle
    ) -> None:
        fal.post(SUBMIT).respond(200, json=submitted)
        fal.get(STATUS).respond(200, json={"status": "FAILED"})
        cancel = fal.put(CANCEL).respond(202, json={"status": "CANCELLATION_REQUESTED"})
        with pytest.raises(falqueue.UnknownStatus) as caught:
            client.subscribe(ENDPOINT, INPUT, timeout=10)
        assert (caught.value.handle, cancel.call_count) == (handle, 0)

    def test_subscribe_took_too_long_even_if_the_answer_to_the_cancel_was_lost(
        self, client: Client, fal: respx.Router, submitted: Body, in_progress: httpx.Response
    ) -> None:
        fal.post(SUBMIT).respond(200, json=submitted)
        fal.get(STATUS).mock(return_value=in_progress)
        fal.put(CANCEL).mock(
            side_effect=[httpx.ReadTimeout, httpx.Response(400, json={"status": "ALREADY_COMPLETED"})]
        )
        fal.get(REQUEST).respond(499, json={"detail": "Request was cancelled"})
        with pytest.raises(falqueue.TookTooLong):
            client.subscribe(ENDPOINT, INPUT, timeout=10)

    def test_subscribe_raises_unreachable_with_the_handle_after_an_outage(
        self, client: Client, fal: respx.Router, submitted: Body, handle: AnyHandle
    ) -> None:
        fal.post(SUBMIT).respond(200, json=submitted)
        fal.get(STATUS).mock(side_effect=httpx.ConnectError)
        with pytest.raises(falqueue.Unreachable) as caught:
            client.subscribe(ENDPOINT, INPUT)
        assert caught.value.handle == handle


class TestRun:
    def test_run_returns_the_output(self, client: Client, fal: respx.Router, video: Body) -> None:
        fal.post(f"https://fal.run/{ENDPOINT}").respond(200, json=video)
        assert client.run(ENDPOINT, INPUT) == video

    def test_run_raises_the_errors_of_the_model(self, client: Client, fal: respx.Router) -> None:
        detail = [{"loc": ["body", "prompt"], "msg": "Field required", "type": "missing", "input": {}}]
        fal.post(f"https://fal.run/{ENDPOINT}").respond(
            422, json={"detail": detail}, headers={"x-fal-request-id": ID}
        )
        with pytest.raises(
            falqueue.InputRejected, match=rf"prompt: Field required \[missing\] \(request {ID}"
        ):
            client.run(ENDPOINT, INPUT)

    def test_run_is_sent_again_after_a_429(
        self, client: Client, fal: respx.Router, video: Body, slept: list[float]
    ) -> None:
        limit = {
            "detail": "Reached concurrent requests limit of 20",
            "type": "concurrent_requests_limit",
            "data": {"limit": 20},
        }
        fal.post(f"https://fal.run/{ENDPOINT}").mock(
            side_effect=[httpx.Response(429, json=limit), httpx.Response(200, json=video)]
        )
        assert client.run(ENDPOINT, INPUT) == video
        assert slept == [0.5]
