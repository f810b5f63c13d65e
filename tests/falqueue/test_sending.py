"""Which requests are sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

import falqueue
from falqueue import Client, Completed

if TYPE_CHECKING:
    import respx

ID = "019e7b6a-5c1d-7f3e-9a2b-4c5d6e7f8091"
ENDPOINT = "fal-ai/veo2/image-to-video"
SUBMIT, RUN = f"https://queue.fal.run/{ENDPOINT}", f"https://fal.run/{ENDPOINT}"
REQUEST = f"https://queue.fal.run/fal-ai/veo2/requests/{ID}"
NGINX = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
Body = dict[str, Any]
AnyHandle = falqueue.Handle[Body]

NEVER_ARRIVED = [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout]
MAY_HAVE_ARRIVED = [
    httpx.ReadError,
    httpx.ReadTimeout,
    httpx.WriteError,
    httpx.WriteTimeout,
    httpx.CloseError,
    httpx.RemoteProtocolError,
    httpx.ProxyError,
]


class TestSubmit:
    @pytest.mark.parametrize("error", NEVER_ARRIVED)
    def test_submit_is_retried_if_no_connection_was_made(
        self, client: Client, fal: respx.Router, submitted: Body, error: type[httpx.TransportError]
    ) -> None:
        fal.post(SUBMIT).mock(side_effect=[error, error, httpx.Response(200, json=submitted)])
        assert client.submit(ENDPOINT, {}).request_id == ID

    @pytest.mark.parametrize("error", NEVER_ARRIVED)
    def test_submit_raises_not_sent_if_it_never_connects(
        self, client: Client, fal: respx.Router, error: type[httpx.TransportError], slept: list[float]
    ) -> None:
        fal.post(SUBMIT).mock(side_effect=error)
        with pytest.raises(falqueue.NotSent):
            client.submit(ENDPOINT, {})
        assert slept == [0.5, 1.0, 2.0]

    @pytest.mark.parametrize("error", MAY_HAVE_ARRIVED)
    def test_submit_is_not_retried_after_a_lost_answer(
        self, client: Client, fal: respx.Router, error: type[httpx.TransportError]
    ) -> None:
        route = fal.post(SUBMIT).mock(side_effect=error)
        with pytest.raises(falqueue.SubmitUnconfirmed, match=error.__name__):
            client.submit(ENDPOINT, {})
        assert route.call_count == 1

    @pytest.mark.parametrize("code", [408, 499, 500, 502, 503, 504])
    @pytest.mark.parametrize("retry", [{}, {"x-fal-needs-retry": "1"}], ids=["", "needs-retry"])
    def test_submit_is_not_retried_after_a_server_error(
        self, client: Client, fal: respx.Router, code: int, retry: dict[str, str]
    ) -> None:
        route = fal.post(SUBMIT).respond(code, text=NGINX, headers=retry)
        with pytest.raises(falqueue.SubmitUnconfirmed, match=f"HTTP {code}"):
            client.submit(ENDPOINT, {})
        assert route.call_count == 1

    @pytest.mark.parametrize(
        "answer",
        [{"text": "ok"}, {"json": {}}, {"json": {"request_id": None}}, {"json": {"request_id": ".."}}],
    )
    def test_submit_is_unconfirmed_if_the_answer_has_no_request_id(
        self, client: Client, fal: respx.Router, answer: Body
    ) -> None:
        fal.post(SUBMIT).respond(200, **answer)
        with pytest.raises(falqueue.SubmitUnconfirmed):
            client.submit(ENDPOINT, {})

    def test_submit_is_retried_after_a_429(self, client: Client, fal: respx.Router, submitted: Body) -> None:
        fal.post(SUBMIT).mock(
            side_effect=[
                httpx.Response(429, json={"detail": "Too many"}),
                httpx.Response(200, json=submitted),
            ]
        )
        assert client.submit(ENDPOINT, {}).request_id == ID

    @pytest.mark.parametrize(
        ("asked", "waited"), [("10", 10.0), ("0", 0.5), ("3600", 60.0), ("9" * 5000, 0.5), ("soon", 0.5)]
    )
    def test_submit_waits_after_a_429_as_long_as_fal_asks_but_at_most_a_minute(
        self,
        client: Client,
        fal: respx.Router,
        submitted: Body,
        slept: list[float],
        asked: str,
        waited: float,
    ) -> None:
        refused = httpx.Response(429, json={"detail": "Too many"}, headers={"retry-after": asked})
        fal.post(SUBMIT).mock(side_effect=[refused, httpx.Response(200, json=submitted)])
        client.submit(ENDPOINT, {})
        assert slept == [waited]

    def test_submit_with_max_queue_length_is_not_retried_after_a_429(
        self, client: Client, fal: respx.Router
    ) -> None:
        route = fal.post(SUBMIT).respond(429, json={"detail": "Queue too long"})
        with pytest.raises(falqueue.RateLimited, match="Queue too long"):
            client.submit(ENDPOINT, {}, max_queue_length=0)
        assert route.call_count == 1

    @pytest.mark.parametrize("code", [400, 401, 402, 403, 404, 405, 409, 413, 422])
    def test_submit_is_not_retried_after_a_refusal(
        self, client: Client, fal: respx.Router, code: int
    ) -> None:
        route = fal.post(SUBMIT).respond(code, json={"detail": "no"})
        with pytest.raises(falqueue.Refused):
            client.submit(ENDPOINT, {})
        assert route.call_count == 1


class TestRun:
    @pytest.mark.parametrize("error", MAY_HAVE_ARRIVED)
    def test_run_is_not_retried_after_a_lost_answer(
        self, client: Client, fal: respx.Router, error: type[httpx.TransportError]
    ) -> None:
        route = fal.post(RUN).mock(side_effect=error)
        with pytest.raises(falqueue.SubmitUnconfirmed):
            client.run(ENDPOINT, {})
        assert route.call_count == 1

    @pytest.mark.parametrize("code", [502, 503, 504])
    def test_run_is_not_retried_after_a_gateway_error(
        self, client: Client, fal: respx.Router, code: int
    ) -> None:
        route = fal.post(RUN).respond(code, text=NGINX)
        with pytest.raises(falqueue.SubmitUnconfirmed):
            client.run(ENDPOINT, {})
        assert route.call_count == 1

    def test_run_is_not_retried_after_a_429_of_the_model(self, client: Client, fal: respx.Router) -> None:
        runner = {"x-fal-served-from": "4c5d6e7f-8091-4b2c-9d3e-5f6071829304"}
        route = fal.post(RUN).respond(429, json={"detail": "Too busy"}, headers=runner)
        with pytest.raises(falqueue.RequestFailed, match="Too busy"):
            client.run(ENDPOINT, {})
        assert route.call_count == 1


class TestPoll:
    @pytest.mark.parametrize("error", NEVER_ARRIVED + MAY_HAVE_ARRIVED)
    def test_a_poll_is_retried_after_a_network_error(
        self,
        client: Client,
        fal: respx.Router,
        handle: AnyHandle,
        completed: httpx.Response,
        error: type[httpx.TransportError],
    ) -> None:
        fal.get(f"{REQUEST}/status").mock(side_effect=[error, completed])
        assert isinstance(client.status(handle), Completed)

    @pytest.mark.parametrize("code", [408, 409, 429, 500, 502, 503, 504])
    def test_a_poll_is_retried_after_a_transient_error(
        self, client: Client, fal: respx.Router, handle: AnyHandle, completed: httpx.Response, code: int
    ) -> None:
        fal.get(f"{REQUEST}/status").mock(side_effect=[httpx.Response(code, text=NGINX), completed])
        assert isinstance(client.status(handle), Completed)

    def test_a_poll_waits_as_long_as_fal_asks(
        self,
        client: Client,
        fal: respx.Router,
        handle: AnyHandle,
        completed: httpx.Response,
        slept: list[float],
    ) -> None:
        busy = httpx.Response(503, text=NGINX, headers={"retry-after": "7"})
        fal.get(f"{REQUEST}/status").mock(side_effect=[busy, completed])
        client.status(handle)
        assert slept == [7.0]

    @pytest.mark.parametrize("spelled", ["1", "true", "True"])
    @pytest.mark.parametrize("name", ["x-fal-needs-retry", "x-fal-retryable"])
    def test_a_poll_is_retried_if_fal_says_so(
        self,
        client: Client,
        fal: respx.Router,
        handle: AnyHandle,
        completed: httpx.Response,
        name: str,
        spelled: str,
    ) -> None:
        refused = httpx.Response(418, headers={name: spelled})
        fal.get(f"{REQUEST}/status").mock(side_effect=[refused, completed])
        assert isinstance(client.status(handle), Completed)

    @pytest.mark.parametrize(
        "headers",
        [
            {"x-fal-needs-retry": "0"},
            {"x-fal-needs-retry": "false"},
            {"x-fal-request-timeout-type": "user"},
            {"x-fal-request-timeout-type": "user", "x-fal-needs-retry": "1"},
        ],
    )
    def test_a_poll_is_not_retried_if_fal_says_so(
        self, client: Client, fal: respx.Router, handle: AnyHandle, headers: dict[str, str]
    ) -> None:
        route = fal.get(f"{REQUEST}/status").respond(504, headers=headers)
        with pytest.raises(falqueue.Unavailable):
            client.status(handle)
        assert route.call_count == 1

    def test_a_poll_that_always_fails_raises_unreachable_with_the_handle(
        self, client: Client, fal: respx.Router, handle: AnyHandle
    ) -> None:
        route = fal.get(f"{REQUEST}/status").mock(side_effect=httpx.ReadTimeout)
        with pytest.raises(falqueue.AnswerLost, match=ID) as caught:
            client.status(handle)
        assert (route.call_count, caught.value.handle) == (10, handle)


class TestResult:
    @pytest.mark.parametrize("code", [502, 503, 504])
    @pytest.mark.parametrize(
        "answer", [{"text": NGINX}, {"text": ""}, {"json": {"detail": "Gateway timeout"}}], ids=str
    )
    def test_a_result_is_fetched_again_after_a_gateway_error(
        self, client: Client, fal: respx.Router, handle: AnyHandle, video: Body, code: int, answer: Body
    ) -> None:
        fal.get(REQUEST).mock(
            side_effect=[httpx.Response(code, **answer)] * 3 + [httpx.Response(200, json=video)]
        )
        assert client.result(handle) == video

    @pytest.mark.parametrize("code", [502, 503, 504])
    def test_a_result_that_stays_unavailable_is_not_a_failed_job(
        self, client: Client, fal: respx.Router, handle: AnyHandle, code: int
    ) -> None:
        fal.get(REQUEST).respond(code, text=NGINX)
        with pytest.raises(falqueue.Unavailable) as caught:
            client.result(handle)
        assert caught.value.handle == handle

    @pytest.mark.parametrize(
        ("code", "body", "headers"),
        [
            (504, {}, {"x-fal-request-timeout-type": "user"}),
            (504, {"detail": "Request timed out", "error_type": "request_timeout"}, {}),
            (503, {"detail": "Runner disconnected", "error_type": "runner_disconnected"}, {}),
            (503, {}, {"x-fal-error-type": "runner_disconnected"}),
            (
                504,
                {"detail": [{"loc": ["body"], "msg": "Generation timeout", "type": "generation_timeout"}]},
                {},
            ),
        ],
    )
    def test_the_result_of_a_failed_job_is_fetched_once(
        self,
        client: Client,
        fal: respx.Router,
        handle: AnyHandle,
        code: int,
        body: Body,
        headers: dict[str, str],
    ) -> None:
        route = fal.get(REQUEST).respond(code, json=body, headers=headers)
        with pytest.raises(falqueue.RequestFailed):
            client.result(handle)
        assert route.call_count == 1
