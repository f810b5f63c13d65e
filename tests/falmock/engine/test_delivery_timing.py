"""Deliveries with attempts, time, resets and restarts in any order."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from example_count import examples
from hypothesis import example, given
from hypothesis import strategies as st

from falmock.engine.clock import ManualClock
from falmock.engine.resources import Once, Resources
from falmock.engine.rows import Delivery, Request
from falmock.engine.signing import Signer
from falmock.engine.store import Store
from falmock.engine.webhooks import Sender
from falmock.faults.effects import Injection, Injections
from falmock.faults.rule_set import RuleSet
from falmock.faults.vocabulary import parse
from falmock.inspection.journal import Journal
from falmock.settings import Settings
from falmock.system.descriptors import share

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

FAULTS = [None, "webhook_twice seconds=0", "webhook_twice seconds=3", "webhook_out_of_order seconds=5"]


def request(number: int, fault: str | None, url: str) -> Request:
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
        webhook=url,
        faults=Injections([Injection(parse(fault))]).dump() if fault else None,
        status=200,
    )


async def no_body() -> AsyncIterator[bytes]:
    yield b""


class Deliveries:
    """A sender and receivers that answer on command."""

    def __init__(self) -> None:
        self.store = Store(None)
        self.clock = ManualClock(1000.0)
        self.http = httpx.MockTransport(self.receive)
        self.waiting: list[tuple[str, asyncio.Future[int]]] = []
        self.numbers = count()
        self.ports: list[int | None] = []
        self.delivered: Counter[str] = Counter()
        self.submitted: list[Request] = []
        self.sender = self.new_sender()

    def new_sender(self) -> Sender:
        unused: Any = None
        resources = Resources(
            settings=Settings(),
            clock=self.clock,
            store=self.store,
            files=unused,
            catalogue=unused,
            runner=unused,
            signer=Signer(bytes(32)),
            rule_set=RuleSet(1),
            http=Once(lambda: self.http),
            dialler=unused,
            is_local=lambda _: True,
            seed=1,
            observer=Journal(100_000),
        )
        return Sender(
            resources,
            wake=lambda: None,
            changed=lambda _: None,
            transaction=self.store.transaction,
        )

    async def receive(self, call: httpx.Request) -> httpx.Response:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        request_id = call.headers["x-fal-webhook-request-id"]
        self.waiting.append((request_id, answer))
        self.ports.append(call.url.port)
        status = await answer
        self.delivered[request_id] += status == 200
        return httpx.Response(status, content=no_body())

    def submit(self, number: int, port: int | None = None) -> None:
        url = f"http://127.0.0.1:{port or 9 + number % 2}/"
        submitted = request(next(self.numbers), FAULTS[number % len(FAULTS)], url)
        self.store.insert(submitted)
        self.submitted.append(submitted)
        now = self.clock.now()
        self.sender.add(submitted, b"{}", user_id="me", now=now, give_up_at=now + 3600)

    def answer(self, number: int, status: int) -> None:
        if self.waiting:
            _, answer = self.waiting.pop(number % len(self.waiting))
            if not answer.done():
                answer.set_result(status)

    def forget(self, number: int) -> None:
        if self.submitted:
            gone = self.submitted.pop(number % len(self.submitted))
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

    async def finish(self) -> None:
        """Advance the clock until no delivery is due; each attempt is answered with 200."""
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
@examples(200)
@example([*ENDING, ("turns", 3), ("launch", 0)])
@example([*ENDING, ("turns", 4), ("launch", 0)])
@example([*ENDING, ("turns", 5), ("launch", 0)])
def test_every_delivery_is_delivered_in_the_end_in_any_order_of_events(steps: list[tuple[str, int]]) -> None:
    async def play() -> None:
        deliveries = Deliveries()
        for name, number in steps:
            await deliveries.step(name, number)
        await deliveries.finish()
        for submitted in deliveries.submitted:
            delivery = deliveries.store.delivery(submitted.id)
            assert delivery is not None
            assert (delivery.outcome, delivery.next_at) == ("delivered", None)
            assert deliveries.delivered[submitted.id] >= (
                2 if "webhook_twice" in (submitted.faults or "") else 1
            )
        await deliveries.http.aclose()

    asyncio.run(play())


@pytest.mark.parametrize("turns", range(15))
@pytest.mark.parametrize("meanwhile", ["launch", "break off", "restart"])
def test_a_second_delivery_is_made_whatever_happens_when_the_first_ends(turns: int, meanwhile: str) -> None:
    async def play() -> None:
        deliveries = Deliveries()
        for name, number in [*ENDING, ("turns", turns), (meanwhile, 0)]:
            await deliveries.step(name, number)
        await deliveries.finish()
        assert deliveries.delivered["request-0"] >= 2
        await deliveries.http.aclose()

    asyncio.run(play())


SURPLUS = [(1, 200), (12, 200), (100, 3)]  # receivers that never answer, and webhooks for each of them


@pytest.mark.parametrize(("silent", "webhooks"), SURPLUS)
def test_receivers_that_never_answer_do_not_delay_others(silent: int, webhooks: int) -> None:
    async def play() -> None:
        deliveries = Deliveries()
        for number in range(silent * webhooks):
            deliveries.submit(0, port=1000 + number % silent)
        await deliveries.step("launch", 0)
        await deliveries.step("turns", 12)
        deliveries.submit(0, port=3000)
        await deliveries.step("launch", 0)
        await deliveries.step("turns", 12)
        assert 3000 in deliveries.ports
        await deliveries.sender.close()
        await deliveries.http.aclose()

    asyncio.run(play())


@pytest.mark.parametrize(("webhooks", "at_once"), [(7, 7), (8, 8), (9, 8), (200, 8)])
def test_one_receiver_gets_at_most_eight_webhooks_at_once(webhooks: int, at_once: int) -> None:
    async def play() -> None:
        deliveries = Deliveries()
        for _ in range(webhooks):
            deliveries.submit(0, port=1000)
        await deliveries.step("launch", 0)
        await deliveries.step("turns", 12)
        assert len(deliveries.waiting) == at_once
        await deliveries.sender.close()
        await deliveries.http.aclose()

    asyncio.run(play())


def test_all_receivers_together_get_at_most_256_webhooks_at_once() -> None:
    async def play() -> None:
        deliveries = Deliveries()
        for number in range(300):
            deliveries.submit(0, port=1000 + number)
        await deliveries.step("launch", 0)
        await deliveries.step("turns", 12)
        assert len(deliveries.waiting) == min(256, share(4, most=256))
        await deliveries.sender.close()
        await deliveries.http.aclose()

    asyncio.run(play())


def test_an_unexpected_error_fails_the_delivery_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        deliveries = Deliveries()
        for _ in range(2):
            deliveries.submit(0)
        await deliveries.step("launch", 0)
        await deliveries.step("turns", 12)
        deliveries.waiting.pop(0)[1].set_exception(RuntimeError("defect"))
        await deliveries.finish()
        broken, whole = (deliveries.store.delivery(submitted.id) for submitted in deliveries.submitted)
        assert broken is not None
        assert whole is not None
        assert (broken.outcome, broken.last, broken.next_at) == ("failed", "RuntimeError", None)
        assert whole.outcome == "delivered"
        await deliveries.http.aclose()

    asyncio.run(play())
    assert caplog.text.count("cannot be sent: RuntimeError('defect')") == 1


def test_a_delivery_is_repeated_if_its_result_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        deliveries = Deliveries()
        deliveries.submit(0)
        await deliveries.step("launch", 0)
        await deliveries.step("turns", 12)
        with monkeypatch.context() as full:
            full.setattr(deliveries.store, "update", refuse)
            deliveries.answer(0, 200)
            await deliveries.step("turns", 12)
        await deliveries.finish()
        delivery = deliveries.store.delivery("request-0")
        assert delivery is not None
        assert delivery.outcome == "delivered"
        assert deliveries.delivered["request-0"] == 2
        await deliveries.http.aclose()

    def refuse(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    asyncio.run(play())
