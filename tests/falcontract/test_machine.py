"""Hypothesis makes up programs: nothing is found on the emulator, and what is planted is found."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest

import falqueue
from falcontract import live, machine, shrinking
from falcontract.targets import Address, FalAddressError
from falmock import course, emulator, queue
from falmock.lifecycle import Event

if TYPE_CHECKING:
    from falcontract.emulated import Emulated


def test_the_emulator_does_nothing_that_the_model_does_not(mock: Emulated) -> None:
    assert machine.explore(mock, programs=50, steps=20, seed=1) is None


def test_every_program_is_taken_through_the_client_too(
    mock: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that is wrong about one kind of status is found out by a program that nobody wrote."""
    usual = falqueue.AsyncClient.status

    async def status(*args: Any, **more: Any) -> falqueue.Status:
        told = await usual(*args, **more)
        return falqueue.Completed("an id") if isinstance(told, falqueue.InProgress) else told

    monkeypatch.setattr(falqueue.AsyncClient, "status", status)
    found = machine.explore(mock, programs=50, steps=20, seed=1)
    assert found is not None
    assert found.property.id == "P55"
    smallest = shrinking.shrink(found, mock)
    assert [step.do for step in smallest.trace.program.steps] == ["submit", "wait", "status"]


def test_faults_are_among_what_is_made_up(mock: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulator whose slow runs are no slower than others is found out."""
    monkeypatch.setattr(course, "run_seconds", lambda _, usual: usual)

    found = machine.explore(mock, programs=100, steps=20, seed=1)

    assert found is not None
    assert "slow" in str(found.trace.program.setup)


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # of fork: pytest's own threads
def test_programs_can_be_divided_among_processes(mock: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is planted here is found there, and told here."""
    monkeypatch.setattr(emulator.Emulator, "position", lambda *_: 7)
    first, second = (machine.explore(mock, programs=8, steps=10, seed=3, processes=2) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.trace.program == second.trace.program


def test_a_planted_bug_is_found_and_shrunk(mock: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is cancelled while it runs keeps its runner."""
    usual = queue.Queue._carry_out

    def planted(self: Any, happening: Any) -> None:
        runs = happening.job.started_at is not None
        usual(self, happening)
        if happening.event is Event.CANCEL and runs:
            self._applications[happening.job.application].running += 1

    monkeypatch.setattr(queue.Queue, "_carry_out", planted)
    found = machine.explore(mock, programs=100, steps=20, seed=5)
    assert found is not None
    smallest = shrinking.shrink(found, mock)
    assert len(smallest.trace.program.steps) <= 6
    assert "cancel" in [step.do for step in smallest.trace.program.steps]


def test_the_same_seed_makes_up_the_same_programs(mock: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulator.Emulator, "position", lambda *_: 7)
    first, second = (machine.explore(mock, programs=8, steps=10, seed=3) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.trace.program == second.trace.program


@pytest.mark.parametrize(
    "base",
    [
        "https://queue.fal.run",
        "https://fal.run",
        "http://rest.fal.ai:80",
        "https://x.fal.media",
        "https://QUEUE.FAL.RUN.",
    ],
)
def test_fal_is_no_target(base: str) -> None:
    with pytest.raises(FalAddressError):
        Address(base)


def test_live_has_no_way_to_run_a_program_of_hypothesis() -> None:
    """A target opens for any program; fal opens for entries of the reviewed plan, and compares them to it."""
    assert not hasattr(live.Live, "open")
    parameters = inspect.signature(live.Live.execute).parameters
    assert list(parameters) == ["self", "entries"]
    assert "hypothesis" not in vars(live)
    assert "live" not in vars(machine)


def test_hypothesis_cannot_be_pointed_at_live() -> None:
    fal = live.Live({"FAL_KEY": "a:b", "FAL_LIVE": "1", "FAL_LIVE_BUDGET_USD": "0"}, today="2026-01-01")
    with pytest.raises(AttributeError):
        machine.explore(fal, programs=1, steps=1, seed=1)  # type: ignore[arg-type]


def test_an_address_is_not_fals_to_be_refused() -> None:
    async def opened() -> str:
        async with Address("http://127.0.0.1:1").open(None) as session:  # type: ignore[arg-type]
            return session.hosts["queue"]

    assert asyncio.run(opened()) == "http://127.0.0.1:1/queue.fal.run"
