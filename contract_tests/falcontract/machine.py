"""Hypothesis makes up programs, the automaton and the timetable say what must come of them.

Offline only, and by construction: what is driven here is a `Target`, which fal is not (see `live`, which
has no way to run a program that is not in its reviewed plan).
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from falcontract import properties, strategies
from falcontract.automaton import Automaton, hear
from falcontract.prediction import Timetables
from falcontract.steps import GOOD, VEO2, Program, Step, cancel, result, status, stream, submit, wait
from falcontract.suite import Finding
from falcontract.timetable import ahead_of
from falcontract.wire import Wire

if TYPE_CHECKING:
    from falcontract.claims import Claim
    from falcontract.targets import Target
    from falcontract.traces import Exchange, Trace

MOST_STEPS: Final = 20
NAMES: Final = "ABCDEFGHIJKLMNOPQRST"
ENDPOINTS: Final = (*[VEO2] * 6, "fal-ai/veo2/no-such-path", "fal-ai/veo2")
SECONDS: Final = st.sampled_from([0.25, 0.5, 1.0, 1.25, 2.5, 4.0])
ANSWERS: Final = st.lists(st.sampled_from([200, 500, 0, 404, 302]), max_size=2).map(lambda some: [*some, 200])
WHOLE_TRACE: Final = ("P42", "P43", "P44", "P45")  # besides the general ones


class Diverged(AssertionError):
    """The target did something that the model does not."""


class QueueMachine(RuleBasedStateMachine):
    """One program, made up step by step. Subclasses set the target and the event loop."""

    target: ClassVar[Target]
    loop: ClassVar[asyncio.Runner]
    last: ClassVar[Finding | None] = None

    def __init__(self) -> None:
        super().__init__()
        self._stack = AsyncExitStack()
        self._wire: Any = None
        self._heard = 0
        self._models: dict[str, Automaton] = {}

    @initialize(
        runners=st.sampled_from([1, 1, 2]),
        concurrency=st.sampled_from([9, 9, 1, 2]),
        takes=st.sampled_from([4.0, 4.0, 0.25, 0.0]),
    )
    def begin(self, runners: int, concurrency: int, takes: float) -> None:
        """Open a target with few places."""
        setup = {"runners": runners, "concurrency": concurrency, "run_seconds": takes}
        configurable = "configure" in self.target.abilities
        program = Program(name="made up", steps=(), setup=setup if configurable else {})
        session = self._run(self._stack.enter_async_context(self.target.open(program)))
        self._wire = Wire(program, session, self.target.name)
        if "receive" in self.target.abilities:
            self._run(self._stack.enter_async_context(self._wire.receiving()))

    def _run(self, coroutine: Any) -> Any:
        return self.loop.run(coroutine)

    def _do(self, step: Step) -> None:
        trace: Trace = self._wire.trace
        trace.program = replace(trace.program, steps=(*trace.program.steps, step))
        self._run(self._wire.do(step))

    @property
    def _jobs(self) -> list[str]:
        return self._wire.trace.jobs() if self._wire else []

    def _some(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(self._jobs), label="job")

    @rule(
        given=strategies.good_inputs() | st.just(GOOD) | strategies.broken_inputs(),
        endpoint=st.sampled_from(ENDPOINTS),
        key=st.sampled_from("ab"),
        low=st.booleans(),
        start_by=st.sampled_from([None, None, None, None, 1.5, 3.0]),
        answers=st.none() | st.none() | st.none() | ANSWERS,
    )
    def submits(
        self,
        *,
        given: Any,
        endpoint: str,
        key: str,
        low: bool,
        start_by: float | None,
        answers: list[int] | None,
    ) -> None:
        """Submit a job, good or bad."""
        name = NAMES[len(self._jobs) % len(NAMES)]
        headers = {"X-Fal-Queue-Priority": "low"} if low else {}
        if start_by is not None:
            headers["X-Fal-Request-Timeout"] = str(start_by)
        hook = name.lower() if answers and "receive" in self.target.abilities else ""
        told = tuple(answers) if answers and hook else (200,)
        self._do(submit(name, given, endpoint=endpoint, key=key, headers=headers, webhook=hook, answers=told))

    @rule(seconds=SECONDS)
    def waits(self, seconds: float) -> None:
        """Let time pass."""
        self._do(wait(seconds))

    @precondition(lambda self: self._jobs)
    @rule(data=st.data(), query=st.sampled_from(["", "logs=1", "logs=false"]), times=st.integers(1, 3))
    def polls(self, data: st.DataObject, query: str, times: int) -> None:
        """Read a status, once or more."""
        job = self._some(data)
        self._do(status(job, key=self._owner(job), query=query, times=times))
        for _ in range(times - 1):
            self._run(self._wire.do(replace(self._wire.trace.program.steps[-1], times=1)))

    @precondition(lambda self: self._jobs)
    @rule(data=st.data())
    def fetches(self, data: st.DataObject) -> None:
        """Fetch a result, too early or not."""
        job = self._some(data)
        self._do(result(job, key=self._owner(job)))

    @precondition(lambda self: self._jobs)
    @rule(data=st.data())
    def cancels(self, data: st.DataObject) -> None:
        """Cancel a job, perhaps again."""
        job = self._some(data)
        self._do(cancel(job, key=self._owner(job)))

    @precondition(lambda self: self._jobs)
    @rule(data=st.data(), query=st.sampled_from(["", "logs=1"]), seconds=st.sampled_from([1.5, 1.5, 120.0]))
    def streams(self, data: st.DataObject, query: str, seconds: float) -> None:
        """Follow a job for a while, perhaps to its end."""
        job = self._some(data)
        self._do(stream(job, key=self._owner(job), query=query, seconds=seconds))

    @precondition(lambda self: self._jobs)
    @rule(data=st.data(), ask=st.sampled_from([status, result, cancel]))
    def pries(self, data: st.DataObject, ask: Any) -> None:
        """Ask for somebody else's job."""
        if "second-key" in self.target.abilities:
            job = self._some(data)
            self._do(ask(job, key="a" if self._owner(job) == "b" else "b"))

    def _owner(self, job: str) -> str:
        return str(self._wire.trace.submitted(job).step.key)

    @invariant()
    def says_what_it_must(self) -> None:
        """What was heard since the last look is what automaton and timetable allow."""
        if self._wire is None:
            return
        trace: Trace = self._wire.trace
        news, self._heard = trace.exchanges[self._heard :], len(trace.exchanges)
        timetables = Timetables(trace) if trace.exact_time and news else None
        for e in news:
            if e.step.do == "submit":
                continue
            if not trace.asked_plainly(e):
                self._ask("P24")
                continue
            model = self._models.setdefault(e.step.job, Automaton(reruns=not trace.exact_time))
            if any(hear(model, e)):
                self._ask("P6")
            if timetables is not None and e.step.do == "status" and not _is_due(e, timetables):
                self._ask("P8")
                self._ask("P9")

    def _ask(self, name: str) -> None:
        p = properties.PROPERTIES_BY_ID[name]
        trace: Trace = self._wire.trace
        for one in p.check(trace):
            if not one.holds:
                type(self).last = Finding(p, one, trace)
                raise Diverged(_told(p.id, one, trace.program))

    def teardown(self) -> None:
        """Let all webhooks come, then ask every property that says something of any trace."""
        try:
            if self._wire is not None and not self._failed():
                self._do(wait(60))
                for job in self._jobs:
                    self._do(status(job, key=self._owner(job)))
                    self._do(result(job, key=self._owner(job)))
                self._run(self._wire.finish())
                for p in properties.catalogue():
                    if p.general or p.id in WHOLE_TRACE:
                        self._ask(p.id)
        finally:
            self._run(self._stack.aclose())

    def _failed(self) -> bool:
        found = type(self).last
        return found is not None and found.trace is self._wire.trace


def _is_due(e: Exchange, timetables: Timetables) -> bool:
    """Tell whether a status says what the timetable says."""
    entries = timetables.before(e)
    entry = next(one for one in entries if one.name == e.step.job)
    due = entry.state(e.at)
    ahead = ahead_of(entry, entries, e.at) if due == "IN_QUEUE" else None
    return (e.state, e.get("queue_position")) == (due, ahead)


def _told(name: str, one: Claim, program: Program) -> str:
    return f"{name}: {one.text}; found {one.found!r}, expected {one.expected!r}\n{program}"


def explore(
    target: Target, *, programs: int = 100, steps: int = MOST_STEPS, seed: int | None = None
) -> Finding | None:
    """Let Hypothesis look for a program that diverges; return the shortest one it found.

    Args:
        target: an offline one.
        programs: how many to make up.
        steps: how long one may be.
        seed: makes up the same programs again.
    """
    with asyncio.Runner() as runner:
        machine: Any = type("QueueMachine", (QueueMachine,), {"target": target, "loop": runner})
        if seed is not None:
            machine = hypothesis.seed(seed)(machine)
        settings = hypothesis.settings(
            max_examples=programs,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            print_blob=False,
            report_multiple_bugs=False,
            phases=[hypothesis.Phase.generate],  # what is found is shrunk as data, see `shrinking`
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        try:
            run_state_machine_as_test(machine, settings=settings)
        except Diverged:
            return machine.last  # type: ignore[no-any-return]
    return None
