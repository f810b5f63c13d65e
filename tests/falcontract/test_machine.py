"""Generated programs find nothing on the emulator, and find planted bugs."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest

import falqueue
from falcontract.explore import machine, shrinking
from falcontract.live import execution
from falcontract.targets.base import Address, FalAddressError
from falmock.engine import emulator, queue
from falmock.engine.lifecycle import Event
from falmock.faults import effects

if TYPE_CHECKING:
    from falcontract.targets.emulated import Emulated

# Examples at most; a search ends at the first finding. Hypothesis also draws from the constants of the code.
UNTIL_FOUND = 2000


def test_generated_programs_find_nothing_on_the_emulator(mock: Emulated) -> None:
    assert machine.explore(mock, programs=50, steps=20, seed=1) is None


def test_a_client_that_misreads_a_status_is_found_by_a_generated_program(
    mock: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = falqueue.AsyncClient.status

    async def status(*args: Any, **more: Any) -> falqueue.Status:
        found = await original(*args, **more)
        return falqueue.Completed("an id") if isinstance(found, falqueue.InProgress) else found

    monkeypatch.setattr(falqueue.AsyncClient, "status", status)
    found = machine.explore(mock, programs=UNTIL_FOUND, steps=20, seed=1)
    assert found is not None
    assert found.property.id == "P55"
    steps = [step.do for step in shrinking.shrink(found, mock).trace.program.steps]
    assert [step for step in steps if step != "wait"] == ["submit", "status"]
    assert len(steps) <= 5


def test_generated_programs_contain_faults(mock: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulator that ignores the fault `slow` is found."""
    monkeypatch.setattr(effects, "run_seconds", lambda _, usual: usual)

    found = machine.explore(mock, programs=UNTIL_FOUND, steps=20, seed=1)

    assert found is not None
    assert "slow" in str(found.trace.program.setup)


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # fork, with threads of pytest
def test_processes_share_the_programs_and_the_planted_bug(
    mock: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulator.Emulator, "position", lambda *_: 7)
    first, second = (machine.explore(mock, programs=8, steps=10, seed=3, processes=2) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.trace.program == second.trace.program


def test_a_planted_bug_is_found_and_shrunk(mock: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is cancelled keeps its runner, or takes one if it waits."""
    original = queue.Queue._carry_out

    def planted(self: Any, happening: Any) -> None:
        original(self, happening)
        if happening.event is Event.CANCEL:
            self._applications[happening.job.application].running += 1

    monkeypatch.setattr(queue.Queue, "_carry_out", planted)
    found = machine.explore(mock, programs=UNTIL_FOUND, steps=20, seed=1)
    assert found is not None
    smallest = shrinking.shrink(found, mock)
    assert len(smallest.trace.program.steps) <= 8
    assert "cancel" in [step.do for step in smallest.trace.program.steps]


def test_the_same_seed_generates_the_same_programs(mock: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_an_address_of_fal_is_refused_as_a_target(base: str) -> None:
    with pytest.raises(FalAddressError):
        Address(base)


def test_live_runs_entries_of_the_plan_only() -> None:
    assert not hasattr(execution.Live, "open")
    parameters = inspect.signature(execution.Live.execute).parameters
    assert list(parameters) == ["self", "entries", "show"]  # the last is called with texts
    assert "hypothesis" not in vars(execution)
    assert "execution" not in vars(machine)


def test_generated_programs_cannot_run_on_fal() -> None:
    fal = execution.Live({"FAL_KEY": "a:b", "FAL_LIVE": "1", "FAL_LIVE_BUDGET_USD": "0"}, today="2026-01-01")
    with pytest.raises(AttributeError):
        machine.explore(fal, programs=1, steps=1, seed=1)  # type: ignore[arg-type]


def test_a_loopback_address_is_accepted_as_a_target() -> None:
    async def opened() -> str:
        async with Address("http://127.0.0.1:1").open(None) as session:  # type: ignore[arg-type]
            return session.hosts["queue"]

    assert asyncio.run(opened()) == "http://127.0.0.1:1/queue.fal.run"
