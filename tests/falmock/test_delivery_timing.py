"""Every delivery that is due is sent or has failed for good, however attempts and time interleave."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from falmock.clock import ManualClock
from falmock.faults import parse
from falmock.journal import Journal
from falmock.scenarios import Strike, dump
from falmock.signing import Signer
from falmock.store import Delivery, Request, Store
from falmock.webhooks import Sender

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

FAULTS = [None, "webhook_twice seconds=0", "webhook_twice seconds=3", "webhook_out_of_order seconds=5"]


def request(number: int, fault: str | None) -> Request:
    return Request(
        id=f"request-{number}",
        seq=number,
        application="fal-ai/veo2",
        path="image-to-video",
        caller="me",
        test=None,
        origin="",
        direct=False,
        method="POST",
        content_type="application/json",
        input_sha256="",
        body_file=None,
        submitted_at=0.0,
        ready_at=0.0,
        run_seconds=0.0,
        priority=0,
        start_by=None,
        retry=True,
        store_io=True,
        lifecycle=None,
        webhook=f"http://127.0.0.1:{9 + number % 2}/",
        faults=dump([Strike(parse(fault))]) if fault else None,
        status=200,
    )


async def nothing() -> AsyncIterator[bytes]:
    yield b""


class Scene:
    """A sender, its receiver, which answers when told to, and somebody who restarts and resets."""

    def __init__(self) -> None:
        self.store = Store(None)
        self.clock = ManualClock(1000.0)
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self.receive))
        self.waiting: list[tuple[str, asyncio.Future[int]]] = []
        self.delivered: Counter[str] = Counter()
        self.asked: list[Request] = []
        self.sender = self.new_sender()

    def new_sender(self) -> Sender:
        return Sender(
            store=self.store,
            signer=Signer(bytes(32)),
            clock=self.clock,
            http=self.http,
            journal=Journal(100_000),
            is_local=None,
            changed=lambda: None,
            fired=lambda _: None,
        )

    async def receive(self, call: httpx.Request) -> httpx.Response:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        request_id = call.headers["x-fal-webhook-request-id"]
        self.waiting.append((request_id, answer))
        status = await answer
        self.delivered[request_id] += status == 200
        return httpx.Response(status, content=nothing())

    def submit(self, number: int) -> None:
        asked = request(len(self.asked), FAULTS[number % len(FAULTS)])
        self.store.insert(asked)
        self.asked.append(asked)
        now = self.clock.now()
        self.sender.add(asked, b"{}", user_id="me", now=now, give_up_at=now + 3600)

    def answer(self, number: int, status: int) -> None:
        if self.waiting:
            _, answer = self.waiting.pop(number % len(self.waiting))
            if not answer.done():
                answer.set_result(status)

    def forget(self, number: int) -> None:
        if self.asked:
            gone = self.asked.pop(number % len(self.asked))
            self.store.delete(Delivery, gone.id)
            self.store.delete(Request, gone.id)
            self.sender.break_off({gone.id})

    async def restart(self) -> None:
        await self.sender.close()
        self.sender = self.new_sender()

    async def step(self, name: str, number: int) -> None:
        steps: dict[str, Callable[[], Any]] = {
            "submit": lambda: self.submit(number),
            "arrives": lambda: self.answer(number, 200),
            "fails": lambda: self.answer(number, 500),
            "launch": lambda: self.sender.launch(self.clock.now()),
            "time": lambda: self.clock.move_to(self.clock.now() + number / 4),
            "forget": lambda: self.forget(number),
            "break off": self.sender.break_off,
        }
        if name == "turns":
            for _ in range(number):
                await asyncio.sleep(0)
        elif name == "restart":
            await self.restart()
        else:
            steps[name]()

    async def to_the_end(self) -> None:
        """Let all time pass, with a receiver that takes everything."""
        for _ in range(1000):
            self.sender.launch(self.clock.now())
            await asyncio.sleep(0)
            while self.waiting:
                self.answer(0, 200)
            if not self.sender.in_flight:
                if self.sender.due() == float("inf"):
                    return
                self.clock.move_to(max(self.sender.due(), self.clock.now()))
        raise AssertionError("the deliveries do not end")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "submit",
                "arrives",
                "fails",
                "launch",
                "launch",
                "turns",
                "turns",
                "time",
                "forget",
                "break off",
                "restart",
            ]
        ),
        st.integers(0, 12),
    ),
    max_size=40,
)
ENDING: list[tuple[str, int]] = [("submit", 1), ("launch", 0), ("turns", 12), ("arrives", 0)]


@given(STEPS)
@settings(max_examples=300)
@example([*ENDING, ("turns", 3), ("launch", 0)])
@example([*ENDING, ("turns", 4), ("launch", 0)])
@example([*ENDING, ("turns", 5), ("launch", 0)])
def test_every_delivery_is_sent_or_has_failed_for_good(steps: list[tuple[str, int]]) -> None:
    async def play() -> None:
        scene = Scene()
        for name, number in steps:
            await scene.step(name, number)
        await scene.to_the_end()
        for asked in scene.asked:
            delivery = scene.store.delivery(asked.id)
            assert delivery is not None
            assert (delivery.outcome, delivery.next_at) == ("delivered", None)
            assert scene.delivered[asked.id] >= (2 if "webhook_twice" in (asked.faults or "") else 1)
        await scene.http.aclose()

    asyncio.run(play())


@pytest.mark.parametrize("turns", range(15))
@pytest.mark.parametrize("meanwhile", ["launch", "break off", "restart"])
def test_the_second_delivery_comes_whatever_happens_when_the_first_ends(turns: int, meanwhile: str) -> None:
    async def play() -> None:
        scene = Scene()
        for name, number in [*ENDING, ("turns", turns), (meanwhile, 0)]:
            await scene.step(name, number)
        await scene.to_the_end()
        assert scene.delivered["request-0"] >= 2
        await scene.http.aclose()

    asyncio.run(play())
