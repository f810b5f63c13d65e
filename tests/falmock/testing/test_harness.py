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

from falmock.inspection.entries import Transition
from falmock.settings import Span
from falmock.testing.harness import staged
from falmock.testing.transport import LeakError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from starlette.requests import Request

    from falmock.testing.harness import Harness

HOOK = "http://app.test/hook"
HOUR = pytest.mark.falmock(run_seconds=Span(3600, 3600))


class App:
    """An application of somebody's: takes jobs in every way there is, and webhooks."""

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
        """Holds up its own event loop; people do that."""
        handle = fal_client.submit(ENDPOINT, GOOD, webhook_url=HOOK)
        return JSONResponse(handle.get())

    def thread(self, request: Request) -> Response:
        return JSONResponse(fal_client.subscribe(ENDPOINT, GOOD))

    async def hook(self, request: Request) -> Response:
        self.hooks.append(await request.json())
        return Response(status_code=204)

    async def chain(self, request: Request) -> Response:
        """Waits for a second job while it receives the first one's webhook."""
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
def test_fals_client_gets_to_the_end_of_an_hour(falmock: Harness) -> None:
    began = falmock.now

    assert "video" in fal_client.subscribe(ENDPOINT, GOOD)
    assert falmock.now - began == pytest.approx(3601)


@HOUR
async def test_fals_asynchronous_client_does_too(falmock: Harness) -> None:
    assert "video" in await fal_client.subscribe_async(ENDPOINT, GOOD)


async def test_many_may_wait_at_once(falmock: Harness) -> None:
    results = await asyncio.gather(*(fal_client.subscribe_async(ENDPOINT, GOOD) for _ in range(5)))

    assert len({result["video"]["url"] for result in results}) == 5


def test_a_fault_strikes_the_next_request_and_no_other(falmock: Harness) -> None:
    falmock.fail_next("content_policy_violation")

    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        fal_client.subscribe(ENDPOINT, GOOD)
    assert caught.value.response.json()["detail"][0]["type"] == "content_policy_violation"
    assert "video" in fal_client.subscribe(ENDPOINT, GOOD)


def test_a_fault_may_be_for_some_only(falmock: Harness) -> None:
    falmock.fail_next("no_media_generated", prompt="war")

    assert "video" in fal_client.subscribe(ENDPOINT, GOOD)
    with pytest.raises(fal_client.FalClientHTTPError):
        fal_client.subscribe(ENDPOINT, GOOD | {"prompt": "a war"})


@pytest.mark.parametrize(
    ("fault", "match"), [("no_such_fault", {}), ("hang", {"on": "job"}), ("hang", {"unless": "x"})]
)
def test_a_fault_that_there_is_not_is_refused(falmock: Harness, fault: str, match: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"fault|strike|unless"):
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
def test_a_broken_line_is_what_httpx_makes_of_one(
    falmock: Harness, fault: str, error: type[Exception]
) -> None:
    falmock.fail_next(fault, on="submit")

    with httpx.Client(headers={"Authorization": "Key me:secret"}) as http, pytest.raises(error):
        http.post(f"https://queue.fal.run/{ENDPOINT}", json=GOOD)
    falmock.advance(100)
    assert len(falmock.requests) == (fault in {"answer_lost", "truncated_body"})


def test_time_passes_when_told_to(falmock: Harness) -> None:
    falmock.polls_pass_time = False
    handle = fal_client.submit(ENDPOINT, GOOD)
    states = []
    for seconds in (0, 1, 60):
        falmock.advance(seconds)
        states.append(type(handle.status()))

    assert states == [fal_client.Queued, fal_client.InProgress, fal_client.Completed]


def test_waiting_gets_a_request_to_a_state(falmock: Harness) -> None:
    handle = fal_client.submit(ENDPOINT, GOOD)

    assert falmock.wait(handle.request_id, "IN_PROGRESS").state == "IN_PROGRESS"
    assert falmock.wait(handle.request_id).status_code == 200


def test_waiting_ends_when_it_takes_too_long(falmock: Harness) -> None:
    handle = fal_client.submit(ENDPOINT, GOOD)

    with pytest.raises(TimeoutError, match="stays IN_PROGRESS"):
        falmock.wait(handle.request_id, timeout=30)
    falmock.wait(handle.request_id)


@pytest.mark.filterwarnings("ignore::falmock.plugin.FalmockLeftover")
def test_waiting_for_what_never_comes_ends_at_once(falmock: Harness) -> None:
    falmock.fail_next("stuck_in_queue")
    handle = fal_client.submit(ENDPOINT, GOOD)

    with pytest.raises(TimeoutError, match="stays IN_QUEUE"):
        falmock.wait(handle.request_id)


def test_waiting_for_an_unknown_request_is_an_error(falmock: Harness) -> None:
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


def test_a_request_can_be_ended_by_hand(falmock: Harness) -> None:
    good, bad = [fal_client.submit(ENDPOINT, GOOD) for _ in range(2)]
    falmock.finish(good.request_id)
    falmock.fail(bad.request_id, "content_policy_violation")

    assert [request.status_code for request in falmock.requests] == [200, 422]


def test_requests_are_told_with_what_was_asked_and_what_came_of_it(falmock: Harness) -> None:
    fal_client.subscribe(ENDPOINT, GOOD)
    falmock.fail_next("runner_server_error")
    with pytest.raises(fal_client.FalClientHTTPError):
        fal_client.subscribe(ENDPOINT, GOOD | {"prompt": "two"})

    good, bad = falmock.requests
    assert (good.endpoint, good.input, good.state, good.status_code) == (ENDPOINT, GOOD, "COMPLETED", 200)
    assert good.output["video"]["content_type"] == "video/mp4"
    assert (bad.input["prompt"], bad.status_code, bad.error_type) == ("two", 500, "runner_server_error")


def test_the_key_is_named_after_the_test(falmock: Harness) -> None:
    fal_client.subscribe(ENDPOINT, GOOD)

    assert falmock.requests[0].key_id == "test-test_the_key_is_named_after_the_test"


def test_the_journal_tells_all_in_order(falmock: Harness) -> None:
    fal_client.subscribe(ENDPOINT, GOOD)

    told = [entry.event if isinstance(entry, Transition) else entry.kind for entry in falmock.journal]
    assert told[:2] == ["submit", "exchange"] or told[:2] == ["exchange", "submit"]
    assert [each for each in told if each != "exchange"] == ["submit", "start", "finish"]


def test_only_what_went_well_costs(falmock: Harness) -> None:
    falmock.fail_next("content_policy_violation")
    with pytest.raises(fal_client.FalClientHTTPError):
        fal_client.subscribe(ENDPOINT, GOOD)
    fal_client.subscribe(ENDPOINT, GOOD | {"duration": "8s"})

    assert falmock.cost == 4.0


@pytest.mark.parametrize("way", ["async", "blocking", "thread"])
def test_an_application_may_call_fal_as_it_likes(http: httpx.Client, way: str) -> None:
    assert http.post(f"/{way}").json()["video"]["file_name"] == "output.mp4"


async def test_an_application_is_there_for_asynchronous_tests_too(http: httpx.Client) -> None:
    async with httpx.AsyncClient() as client:
        answers = await asyncio.gather(*(client.post("http://app.test/async") for _ in range(3)))

    assert [answer.status_code for answer in answers] == [200] * 3


def test_an_application_gets_its_webhooks(falmock: Harness, http: httpx.Client, app: App) -> None:
    handle = fal_client.submit(ENDPOINT, GOOD, webhook_url=HOOK)
    falmock.wait(handle.request_id)

    (hook,) = falmock.webhooks
    assert (hook.outcome, hook.body) == ("delivered", app.hooks[0])
    assert [(attempt.number, attempt.status) for attempt in hook.attempts] == [(1, 204)]
    assert hook.request_id == handle.request_id


def test_an_application_that_holds_up_its_loop_gets_its_webhook_afterwards(
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


def test_the_signature_is_of_the_hour_that_receivers_see(falmock: Harness, app: App) -> None:
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


def test_a_picture_of_the_application_is_fetched(falmock: Harness, http: httpx.Client) -> None:
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        fal_client.subscribe(ENDPOINT, GOOD | {"image_url": "http://app.test/state"})

    assert caught.value.response.json()["detail"][0]["type"] == "image_load_error"


def test_a_webhook_to_the_served_emulator_is_refused(falmock: Harness) -> None:
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        fal_client.submit(ENDPOINT, GOOD, webhook_url=f"{falmock.serve()}/control/reset")

    assert "is falmock itself" in caught.value.response.json()["detail"]


def test_an_applications_own_exception_is_a_500_and_in_the_log(
    http: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    assert http.get("/broken").status_code == 500
    assert "the application at app.test failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_the_lifespan_is_the_tests(falmock: Harness, http: httpx.Client, app: App) -> None:
    assert http.get("/state").json() == "blue"
    assert app.life == ["began"]


def test_an_application_that_fails_to_start_is_an_error(falmock: Harness) -> None:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        raise ZeroDivisionError
        yield

    with pytest.raises(RuntimeError, match="failed to start"):
        falmock.mount("http://app.test", Starlette(lifespan=lifespan))


@pytest.mark.parametrize("url", ["app.test", "https://queue.fal.run", "http://app.test"])
def test_some_addresses_cannot_be_taken(falmock: Harness, http: httpx.Client, url: str) -> None:
    with pytest.raises(ValueError, match="no address to mount"):
        falmock.mount(url, Starlette())


def test_an_application_that_calls_itself_and_blocks_is_told_so(falmock: Harness) -> None:
    async def call_itself(request: Request) -> Response:
        httpx.get("http://loop.test/")  # noqa: ASYNC210 - the mistake that is tried
        raise AssertionError

    client = falmock.mount("http://loop.test", Starlette(routes=[Route("/", call_itself)]))

    assert client.get("/").status_code == 500


def test_other_processes_reach_it_by_address(falmock_server: Harness) -> None:
    with httpx.Client(headers={"Authorization": "Key me:secret"}) as http:
        submitted = http.post(f"{falmock_server.address}/{ENDPOINT}", json=GOOD).json()
        told = [http.get(submitted["status_url"]).json()["status"] for _ in range(2)]

    assert told == ["IN_PROGRESS", "COMPLETED"]
    assert falmock_server.requests[0].id == submitted["request_id"]


def test_the_address_is_good_for_one_test(falmock_server: Harness) -> None:
    assert httpx.get(f"{falmock_server.address}/health").json()["status"] == "ok"
    assert falmock_server.requests == []


@pytest.mark.filterwarnings("ignore::falmock.plugin.FalmockLeftover")
def test_what_is_left_over_is_told(falmock: Harness) -> None:
    falmock.fail_next("webhook_late seconds=30")
    falmock.fail_next("locked", prompt="never")
    first = fal_client.submit(ENDPOINT, GOOD, webhook_url="http://localhost:1/")
    falmock.wait(first.request_id)
    second = fal_client.submit(ENDPOINT, GOOD)

    assert falmock.leftovers() == [
        "the fault 'locked' never struck",
        f"the request {second.request_id} for fal-ai/veo2 is still IN_QUEUE",
        f"the webhook of {first.request_id} is still to be delivered to http://localhost:1/",
    ]


def test_who_outlives_a_test_gets_nowhere(tmp_path: Path) -> None:
    with staged(tmp_path) as stage, httpx.Client(headers={"Authorization": "Key me:secret"}) as http:
        with stage.harness():
            http.get("https://queue.fal.run/fal-ai/veo2/requests/x/status")

        with pytest.raises(LeakError):
            http.get("https://queue.fal.run/fal-ai/veo2/requests/x/status")


def test_json_that_cannot_be_read_is_told_as_none(falmock: Harness) -> None:
    with httpx.Client(headers={"Authorization": "Key me:secret"}) as http:
        submitted = http.post(f"https://queue.fal.run/{ENDPOINT}", content=b"{").json()
    falmock.wait(submitted["request_id"])

    assert falmock.requests[0].input is None
    assert json.dumps(falmock.requests[0].output)
