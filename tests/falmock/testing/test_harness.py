from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import fal_client
import httpx
import pytest
from emulated import ENDPOINT, GOOD
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from falmock.inspection.recorded import Transition
from falmock.settings import Span
from falmock.testing.harness import open_harness
from falmock.testing.session import open_session
from falmock.testing.transport import LeakError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from starlette.requests import Request

    from falmock.testing.harness import Harness

HOOK = "http://app.test/hook"
HOUR = pytest.mark.falmock(run_seconds=Span(3600, 3600))


class App:
    """An application that calls fal in different ways and receives webhooks."""

    def __init__(self) -> None:
        self.hooks: list[dict[str, Any]] = []
        self.life: list[str] = []
        self.loops: set[object] = set()
        paths = {
            "/async": self.animate,
            "/blocking": self.block,
            "/thread": self.thread,
            "/hook": self.hook,
            "/chain": self.chain,
            "/broken": self.broken,
            "/state": self.state,
        }
        routes = [Route(path, answer, methods=["GET", "POST"]) for path, answer in paths.items()]
        self.asgi = Starlette(routes=routes, lifespan=self.lifespan)

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[dict[str, str]]:
        self.life.append("began")
        yield {"colour": "blue"}
        self.life.append("ended")

    async def animate(self, request: Request) -> Response:
        client = fal_client.AsyncClient(key="app:secret")
        return JSONResponse(await client.subscribe(ENDPOINT, GOOD))

    async def block(self, request: Request) -> Response:
        """Block the event loop."""
        handle = fal_client.submit(ENDPOINT, GOOD, webhook_url=HOOK)
        return JSONResponse(handle.get())

    def thread(self, request: Request) -> Response:
        return JSONResponse(fal_client.subscribe(ENDPOINT, GOOD))

    async def hook(self, request: Request) -> Response:
        self.hooks.append(await request.json())
        return Response(status_code=204)

    async def chain(self, request: Request) -> Response:
        """Wait for a second request while receiving the webhook of the first."""
        await request.json()
        self.hooks.append(await fal_client.subscribe_async(ENDPOINT, GOOD))
        return Response(status_code=204)

    async def broken(self, request: Request) -> Response:
        raise ZeroDivisionError

    async def state(self, request: Request) -> Response:
        return JSONResponse(request.state.colour)


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def http(falmock: Harness, app: App) -> httpx.Client:
    return falmock.mount("http://app.test", app.asgi)


@HOUR
def test_fal_client_completes_an_hour_long_run_at_once(falmock: Harness) -> None:
    began = falmock.now

    assert "video" in fal_client.subscribe(ENDPOINT, GOOD)
    assert falmock.now - began == pytest.approx(3601)


@HOUR
async def test_the_asynchronous_fal_client_completes_an_hour_long_run_at_once(falmock: Harness) -> None:
    assert "video" in await fal_client.subscribe_async(ENDPOINT, GOOD)


async def test_several_requests_may_be_awaited_at_once(falmock: Harness) -> None:
    results = await asyncio.gather(*(fal_client.subscribe_async(ENDPOINT, GOOD) for _ in range(5)))

    assert len({result["video"]["url"] for result in results}) == 5


def test_a_fault_affects_only_the_next_request(falmock: Harness) -> None:
    falmock.fail_next("content_policy_violation")

    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        fal_client.subscribe(ENDPOINT, GOOD)
    assert caught.value.response.json()["detail"][0]["type"] == "content_policy_violation"
    assert "video" in fal_client.subscribe(ENDPOINT, GOOD)


def test_a_fault_affects_only_requests_that_its_rule_matches(falmock: Harness) -> None:
    falmock.fail_next("no_media_generated", prompt="war")

    assert "video" in fal_client.subscribe(ENDPOINT, GOOD)
    with pytest.raises(fal_client.FalClientHTTPError):
        fal_client.subscribe(ENDPOINT, GOOD | {"prompt": "a war"})


@pytest.mark.parametrize(
    ("fault", "match", "says"),
    [
        ("no_such_fault", {}, r"^there is no fault 'no_such_fault'[^\n]*$"),
        ("hang", {"on": "job"}, r"^[^\n]*cannot occur[^\n]*$"),
        ("hang", {"unless": "x"}, "^unless: Extra inputs are not permitted$"),
    ],
)
def test_an_invalid_rule_is_refused_in_one_line(
    falmock: Harness, fault: str, match: dict[str, str], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        falmock.fail_next(fault, **match)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("connection_reset", httpx.ReadError),
        ("answer_lost", httpx.ReadError),
        ("hang", httpx.ReadTimeout),
        ("truncated_body", httpx.RemoteProtocolError),
    ],
)
def test_a_connection_fault_raises_the_error_of_httpx(
    falmock: Harness, fault: str, error: type[Exception]
) -> None:
    falmock.fail_next(fault, on="submit")

    with httpx.Client(headers={"Authorization": "Key me:secret"}) as http, pytest.raises(error):
        http.post(f"https://queue.fal.run/{ENDPOINT}", json=GOOD)
    falmock.advance(100)
    assert len(falmock.requests) == (fault in {"answer_lost", "truncated_body"})


def test_advance_moves_the_clock_through_the_states(falmock: Harness) -> None:
    falmock.polls_pass_time = False
    handle = fal_client.submit(ENDPOINT, GOOD)
    states = []
    for seconds in (0, 1, 60):
        falmock.advance(seconds)
        states.append(type(handle.status()))

    assert states == [fal_client.Queued, fal_client.InProgress, fal_client.Completed]


def test_wait_moves_the_clock_until_the_state_is_reached(falmock: Harness) -> None:
    handle = fal_client.submit(ENDPOINT, GOOD)

    assert falmock.wait(handle.request_id, "IN_PROGRESS").state == "IN_PROGRESS"
    assert falmock.wait(handle.request_id).status_code == 200


def test_wait_raises_after_its_timeout(falmock: Harness) -> None:
    handle = fal_client.submit(ENDPOINT, GOOD)

    with pytest.raises(TimeoutError, match="stays IN_PROGRESS"):
        falmock.wait(handle.request_id, timeout=30)
    falmock.wait(handle.request_id)


@pytest.mark.filterwarnings("ignore::falmock.testing.plugin.FalmockLeftover")
def test_wait_raises_at_once_for_a_stuck_request(falmock: Harness) -> None:
    falmock.fail_next("stuck_in_queue")
    handle = fal_client.submit(ENDPOINT, GOOD)

    with pytest.raises(TimeoutError, match="stays IN_QUEUE"):
        falmock.wait(handle.request_id)


def test_wait_raises_for_an_unknown_request(falmock: Harness) -> None:
    with pytest.raises(LookupError, match="no request"):
        falmock.wait("00000000-0000-0000-0000-000000000000")


def test_a_request_can_be_held_and_released(falmock: Harness) -> None:
    handle = fal_client.submit(ENDPOINT, GOOD)
    falmock.wait(handle.request_id, "IN_PROGRESS")
    falmock.hold(handle.request_id)
    falmock.advance(1000)
    assert falmock.requests[0].state == "IN_PROGRESS"

    falmock.release(handle.request_id)
    assert falmock.wait(handle.request_id).status_code == 200


def test_a_request_can_be_finished_or_failed(falmock: Harness) -> None:
    good, bad = [fal_client.submit(ENDPOINT, GOOD) for _ in range(2)]
    falmock.finish(good.request_id)
    falmock.fail(bad.request_id, "content_policy_violation")

    assert [request.status_code for request in falmock.requests] == [200, 422]


def test_requests_have_their_input_and_output(falmock: Harness) -> None:
    fal_client.subscribe(ENDPOINT, GOOD)
    falmock.fail_next("runner_server_error")
    with pytest.raises(fal_client.FalClientHTTPError):
        fal_client.subscribe(ENDPOINT, GOOD | {"prompt": "two"})

    good, bad = falmock.requests
    assert (good.endpoint, good.input, good.state, good.status_code) == (ENDPOINT, GOOD, "COMPLETED", 200)
    assert good.output["video"]["content_type"] == "video/mp4"
    assert (bad.input["prompt"], bad.status_code, bad.error_type) == ("two", 500, "runner_server_error")


def test_the_key_id_is_named_after_the_test(falmock: Harness) -> None:
    fal_client.subscribe(ENDPOINT, GOOD)

    assert falmock.requests[0].key_id == "test-test_the_key_id_is_named_after_the_test"


def test_the_journal_has_all_steps_in_order(falmock: Harness) -> None:
    fal_client.subscribe(ENDPOINT, GOOD)

    events = [entry.event if isinstance(entry, Transition) else entry.kind for entry in falmock.journal]
    assert events[:2] == ["submit", "exchange"] or events[:2] == ["exchange", "submit"]
    assert [event for event in events if event != "exchange"] == ["submit", "start", "finish"]


def test_only_successful_requests_have_a_cost(falmock: Harness) -> None:
    falmock.fail_next("content_policy_violation")
    with pytest.raises(fal_client.FalClientHTTPError):
        fal_client.subscribe(ENDPOINT, GOOD)
    fal_client.subscribe(ENDPOINT, GOOD | {"duration": "8s"})

    assert falmock.cost == 4.0


@pytest.mark.parametrize("way", ["async", "blocking", "thread"])
def test_a_mounted_application_may_call_fal_from_async_blocking_and_threaded_code(
    http: httpx.Client, way: str
) -> None:
    assert http.post(f"/{way}").json()["video"]["file_name"] == "output.mp4"


async def test_a_mounted_application_answers_asynchronous_tests(http: httpx.Client) -> None:
    async with httpx.AsyncClient() as client:
        answers = await asyncio.gather(*(client.post("http://app.test/async") for _ in range(3)))

    assert [answer.status_code for answer in answers] == [200] * 3


def test_a_mounted_application_receives_webhooks(falmock: Harness, http: httpx.Client, app: App) -> None:
    handle = fal_client.submit(ENDPOINT, GOOD, webhook_url=HOOK)
    falmock.wait(handle.request_id)

    (hook,) = falmock.webhooks
    assert (hook.outcome, hook.body) == ("delivered", app.hooks[0])
    assert [(attempt.number, attempt.status) for attempt in hook.attempts] == [(1, 204)]
    assert hook.request_id == handle.request_id


def test_an_application_that_blocks_its_loop_receives_its_webhook_afterwards(
    falmock: Harness, http: httpx.Client, app: App
) -> None:
    http.post("/blocking")
    falmock.advance(0)

    assert [hook["status"] for hook in app.hooks] == ["OK"]


def test_a_receiver_of_webhooks_may_wait_for_another_request(
    falmock: Harness, http: httpx.Client, app: App
) -> None:
    handle = fal_client.submit(ENDPOINT, GOOD, webhook_url="http://app.test/chain")
    falmock.wait(handle.request_id)
    falmock.advance(0)

    assert [list(hook) for hook in app.hooks] == [["video"]]


def test_a_webhook_is_signed_with_the_real_time(falmock: Harness, app: App) -> None:
    seen: list[int] = []

    async def receive(scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        seen.append(int(headers[b"x-fal-webhook-timestamp"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    falmock.mount("http://hooks.test", receive)
    falmock.advance(100_000)
    handle = fal_client.submit(ENDPOINT, GOOD, webhook_url="http://hooks.test/")
    falmock.wait(handle.request_id)

    assert abs(seen[0] - time.time()) < 60


def test_an_input_image_is_fetched_from_a_mounted_application(falmock: Harness, http: httpx.Client) -> None:
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        fal_client.subscribe(ENDPOINT, GOOD | {"image_url": "http://app.test/state"})

    assert caught.value.response.json()["detail"][0]["type"] == "image_load_error"


def test_a_webhook_to_the_served_emulator_is_refused(falmock: Harness) -> None:
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        fal_client.submit(ENDPOINT, GOOD, webhook_url=f"{falmock.serve()}/control/reset")

    assert "is falmock itself" in caught.value.response.json()["detail"]


def test_an_exception_of_a_mounted_application_is_a_500_and_logged(
    http: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    assert http.get("/broken").status_code == 500
    assert "the application at app.test failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_the_lifespan_of_a_mounted_application_runs(falmock: Harness, http: httpx.Client, app: App) -> None:
    assert http.get("/state").json() == "blue"
    assert app.life == ["began"]


def test_mount_raises_when_the_application_fails_to_start(falmock: Harness) -> None:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        raise ZeroDivisionError
        yield

    with pytest.raises(RuntimeError, match="failed to start"):
        falmock.mount("http://app.test", Starlette(lifespan=lifespan))


@pytest.mark.parametrize("url", ["app.test", "https://queue.fal.run", "http://app.test"])
def test_mount_refuses_invalid_and_taken_hosts(falmock: Harness, http: httpx.Client, url: str) -> None:
    with pytest.raises(ValueError, match="cannot mount an application"):
        falmock.mount(url, Starlette())


def test_an_application_that_calls_itself_and_blocks_gets_an_error(falmock: Harness) -> None:
    async def call_itself(request: Request) -> Response:
        httpx.get("http://loop.test/")  # noqa: ASYNC210 - the mistake under test
        raise AssertionError

    client = falmock.mount("http://loop.test", Starlette(routes=[Route("/", call_itself)]))

    assert client.get("/").status_code == 500


def test_the_served_emulator_answers_at_its_address(falmock_server: Harness) -> None:
    with httpx.Client(headers={"Authorization": "Key me:secret"}) as http:
        submitted = http.post(f"{falmock_server.address}/{ENDPOINT}", json=GOOD).json()
        states = [http.get(submitted["status_url"]).json()["status"] for _ in range(2)]

    assert states == ["IN_PROGRESS", "COMPLETED"]
    assert falmock_server.requests[0].id == submitted["request_id"]


def test_each_test_has_a_fresh_emulator_at_the_address(falmock_server: Harness) -> None:
    assert httpx.get(f"{falmock_server.address}/health").json()["status"] == "ok"
    assert falmock_server.requests == []


@pytest.mark.filterwarnings("ignore::falmock.testing.plugin.FalmockLeftover")
def test_leftovers_lists_open_faults_requests_and_webhooks(falmock: Harness) -> None:
    falmock.fail_next("webhook_late seconds=30")
    falmock.fail_next("locked", prompt="never")
    first = fal_client.submit(ENDPOINT, GOOD, webhook_url="http://localhost:1/")
    falmock.wait(first.request_id)
    second = fal_client.submit(ENDPOINT, GOOD)

    assert falmock.leftovers() == [
        "the fault 'locked' never took effect",
        f"the request {second.request_id} for fal-ai/veo2 is still IN_QUEUE",
        f"the webhook of {first.request_id} is not yet delivered to http://localhost:1/",
    ]


def test_calls_after_the_end_of_a_test_are_refused(tmp_path: Path) -> None:
    with open_session(tmp_path) as session, httpx.Client(headers={"Authorization": "Key me:secret"}) as http:
        with open_harness(session):
            http.get("https://queue.fal.run/fal-ai/veo2/requests/x/status")

        with pytest.raises(LeakError):
            http.get("https://queue.fal.run/fal-ai/veo2/requests/x/status")


def test_an_input_that_is_not_json_is_none(falmock: Harness) -> None:
    with httpx.Client(headers={"Authorization": "Key me:secret"}) as http:
        submitted = http.post(f"https://queue.fal.run/{ENDPOINT}", content=b"{").json()
    falmock.wait(submitted["request_id"])

    assert falmock.requests[0].input is None
    assert json.dumps(falmock.requests[0].output)


def test_requests_of_a_locked_account_wait_until_it_is_unlocked(falmock: Harness) -> None:
    waiting = fal_client.submit(ENDPOINT, GOOD)
    falmock.lock()

    with pytest.raises(fal_client.FalClientHTTPError, match="User is locked"):
        fal_client.submit(ENDPOINT, GOOD)
    with pytest.raises(TimeoutError, match="stays IN_QUEUE"):
        falmock.wait(waiting.request_id)
    falmock.unlock()

    assert "video" in waiting.get()


def test_one_account_can_be_locked(falmock: Harness) -> None:
    me, you = fal_client.SyncClient(key="me:secret"), fal_client.SyncClient(key="you:secret")
    falmock.lock("me")

    assert "video" in you.subscribe(ENDPOINT, GOOD)
    with pytest.raises(fal_client.FalClientHTTPError, match="User is locked"):
        me.submit(ENDPOINT, GOOD)
    falmock.unlock("me")

    assert "video" in me.subscribe(ENDPOINT, GOOD)


def test_an_answer_can_lack_its_reason_phrase(falmock: Harness) -> None:
    falmock.fail_next("no_reason", on="submit")

    with httpx.Client(headers={"authorization": "Key me:secret"}) as http:
        first, second = [http.post(f"https://queue.fal.run/{ENDPOINT}", json=GOOD) for _ in range(2)]

    assert [answer.reason_phrase for answer in (first, second)] == ["", "OK"]
    falmock.advance(600)
