"""Money: what is sent again, and what never is."""

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


class TestASubmit:
    @pytest.mark.parametrize("error", NEVER_ARRIVED)
    def test_is_sent_again_if_no_connection_came_about(
        self, door: Client, fal: respx.Router, submitted: Body, error: type[httpx.TransportError]
    ) -> None:
        fal.post(SUBMIT).mock(side_effect=[error, error, httpx.Response(200, json=submitted)])
        assert door.submit(ENDPOINT, {}).request_id == ID

    @pytest.mark.parametrize("error", NEVER_ARRIVED)
    def test_that_never_connects_was_not_sent(
        self, door: Client, fal: respx.Router, error: type[httpx.TransportError], slept: list[float]
    ) -> None:
        fal.post(SUBMIT).mock(side_effect=error)
        with pytest.raises(falqueue.NotSent):
            door.submit(ENDPOINT, {})
        assert slept == [0.5, 1.0, 2.0]

    @pytest.mark.parametrize("error", MAY_HAVE_ARRIVED)
    def test_whose_answer_is_lost_is_sent_once(
        self, door: Client, fal: respx.Router, error: type[httpx.TransportError]
    ) -> None:
        route = fal.post(SUBMIT).mock(side_effect=error)
        with pytest.raises(falqueue.SubmitUnconfirmed, match=error.__name__):
            door.submit(ENDPOINT, {})
        assert route.call_count == 1

    @pytest.mark.parametrize("code", [408, 499, 500, 502, 503, 504])
    @pytest.mark.parametrize("retry", [{}, {"x-fal-needs-retry": "1"}], ids=["", "needs-retry"])
    def test_that_meets_trouble_is_sent_once(
        self, door: Client, fal: respx.Router, code: int, retry: dict[str, str]
    ) -> None:
        route = fal.post(SUBMIT).respond(code, text=NGINX, headers=retry)
        with pytest.raises(falqueue.SubmitUnconfirmed, match=f"HTTP {code}"):
            door.submit(ENDPOINT, {})
        assert route.call_count == 1

    @pytest.mark.parametrize(
        "answer",
        [{"text": "ok"}, {"json": {}}, {"json": {"request_id": None}}, {"json": {"request_id": ".."}}],
    )
    def test_whose_answer_names_no_request_is_unconfirmed(
        self, door: Client, fal: respx.Router, answer: Body
    ) -> None:
        fal.post(SUBMIT).respond(200, **answer)
        with pytest.raises(falqueue.SubmitUnconfirmed):
            door.submit(ENDPOINT, {})

    def test_is_sent_again_after_a_429(self, door: Client, fal: respx.Router, submitted: Body) -> None:
        fal.post(SUBMIT).mock(
            side_effect=[
                httpx.Response(429, json={"detail": "Too many"}),
                httpx.Response(200, json=submitted),
            ]
        )
        assert door.submit(ENDPOINT, {}).request_id == ID

    def test_with_a_longest_queue_takes_429_for_the_answer(self, door: Client, fal: respx.Router) -> None:
        route = fal.post(SUBMIT).respond(429, json={"detail": "Queue too long"})
        with pytest.raises(falqueue.RateLimited, match="Queue too long"):
            door.submit(ENDPOINT, {}, max_queue_length=0)
        assert route.call_count == 1

    @pytest.mark.parametrize("code", [400, 401, 402, 403, 404, 405, 409, 413, 422])
    def test_that_is_refused_is_sent_once(self, door: Client, fal: respx.Router, code: int) -> None:
        route = fal.post(SUBMIT).respond(code, json={"detail": "no"})
        with pytest.raises(falqueue.Refused):
            door.submit(ENDPOINT, {})
        assert route.call_count == 1


class TestARun:
    @pytest.mark.parametrize("error", MAY_HAVE_ARRIVED)
    def test_whose_answer_is_lost_is_sent_once(
        self, door: Client, fal: respx.Router, error: type[httpx.TransportError]
    ) -> None:
        route = fal.post(RUN).mock(side_effect=error)
        with pytest.raises(falqueue.SubmitUnconfirmed):
            door.run(ENDPOINT, {})
        assert route.call_count == 1

    @pytest.mark.parametrize("code", [502, 503, 504])
    def test_that_meets_a_bare_gateway_error_is_sent_once(
        self, door: Client, fal: respx.Router, code: int
    ) -> None:
        route = fal.post(RUN).respond(code, text=NGINX)
        with pytest.raises(falqueue.SubmitUnconfirmed):
            door.run(ENDPOINT, {})
        assert route.call_count == 1


class TestAPoll:
    @pytest.mark.parametrize("error", NEVER_ARRIVED + MAY_HAVE_ARRIVED)
    def test_is_sent_again_after_any_broken_line(
        self,
        door: Client,
        fal: respx.Router,
        handle: AnyHandle,
        completed: httpx.Response,
        error: type[httpx.TransportError],
    ) -> None:
        fal.get(f"{REQUEST}/status").mock(side_effect=[error, completed])
        assert isinstance(door.status(handle), Completed)

    @pytest.mark.parametrize("code", [408, 409, 429, 500, 502, 503, 504])
    def test_is_sent_again_after_trouble(
        self, door: Client, fal: respx.Router, handle: AnyHandle, completed: httpx.Response, code: int
    ) -> None:
        fal.get(f"{REQUEST}/status").mock(side_effect=[httpx.Response(code, text=NGINX), completed])
        assert isinstance(door.status(handle), Completed)

    @pytest.mark.parametrize("spelled", ["1", "true", "True"])
    @pytest.mark.parametrize("name", ["x-fal-needs-retry", "x-fal-retryable"])
    def test_is_sent_again_if_fal_says_so(
        self,
        door: Client,
        fal: respx.Router,
        handle: AnyHandle,
        completed: httpx.Response,
        name: str,
        spelled: str,
    ) -> None:
        asked = httpx.Response(418, headers={name: spelled})
        fal.get(f"{REQUEST}/status").mock(side_effect=[asked, completed])
        assert isinstance(door.status(handle), Completed)

    @pytest.mark.parametrize(
        "headers",
        [
            {"x-fal-needs-retry": "0"},
            {"x-fal-needs-retry": "false"},
            {"x-fal-request-timeout-type": "user"},
            {"x-fal-request-timeout-type": "user", "x-fal-needs-retry": "1"},
        ],
    )
    def test_is_not_sent_again_if_fal_says_so(
        self, door: Client, fal: respx.Router, handle: AnyHandle, headers: dict[str, str]
    ) -> None:
        route = fal.get(f"{REQUEST}/status").respond(504, headers=headers)
        with pytest.raises(falqueue.Unavailable):
            door.status(handle)
        assert route.call_count == 1

    def test_gives_up_at_last_with_the_handle(
        self, door: Client, fal: respx.Router, handle: AnyHandle
    ) -> None:
        route = fal.get(f"{REQUEST}/status").mock(side_effect=httpx.ReadTimeout)
        with pytest.raises(falqueue.AnswerLost, match=ID) as caught:
            door.status(handle)
        assert (route.call_count, caught.value.handle) == (10, handle)


class TestAResult:
    @pytest.mark.parametrize("code", [502, 503, 504])
    @pytest.mark.parametrize(
        "answer", [{"text": NGINX}, {"text": ""}, {"json": {"detail": "Gateway timeout"}}], ids=str
    )
    def test_that_the_gateway_does_not_hand_out_is_asked_for_again(
        self, door: Client, fal: respx.Router, handle: AnyHandle, video: Body, code: int, answer: Body
    ) -> None:
        fal.get(REQUEST).mock(
            side_effect=[httpx.Response(code, **answer)] * 3 + [httpx.Response(200, json=video)]
        )
        assert door.result(handle) == video

    @pytest.mark.parametrize("code", [502, 503, 504])
    def test_that_stays_out_of_reach_is_no_failure_of_the_job(
        self, door: Client, fal: respx.Router, handle: AnyHandle, code: int
    ) -> None:
        fal.get(REQUEST).respond(code, text=NGINX)
        with pytest.raises(falqueue.Unavailable) as caught:
            door.result(handle)
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
    def test_that_is_a_failure_is_asked_for_once(
        self,
        door: Client,
        fal: respx.Router,
        handle: AnyHandle,
        code: int,
        body: Body,
        headers: dict[str, str],
    ) -> None:
        route = fal.get(REQUEST).respond(code, json=body, headers=headers)
        with pytest.raises(falqueue.RequestFailed):
            door.result(handle)
        assert route.call_count == 1
