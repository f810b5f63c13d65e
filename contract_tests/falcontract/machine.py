"""Hypothesis makes up programs, the automaton and the timetable say what must come of them.

Offline only, and by construction: what is driven here is a `Target`, which fal is not (see `live`, which
has no way to run a program that is not in its reviewed plan).
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, ClassVar, Final

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from falcontract import properties, strategies
from falcontract.agreement import open_client_run
from falcontract.automaton import Automaton, observe
from falcontract.prediction import SLOW, Timetables
from falcontract.steps import (
    FAULTS,
    VALID_INPUT,
    VEO2,
    Program,
    Step,
    cancel,
    result,
    status,
    stream,
    submit,
    wait,
)
from falcontract.suite import AGREEMENT, Finding
from falcontract.timetable import position_of
from falcontract.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Hashable

    from falcontract.claims import Claim
    from falcontract.steps import Json
    from falcontract.targets import Target
    from falcontract.traces import Exchange, Trace

MOST_STEPS: Final = 20
MOST_JOBS: Final = 4
NAMES: Final = "ABCDEFGHIJKLMNOPQRST"
ENDPOINTS: Final = (*[VEO2] * 6, "fal-ai/veo2/no-such-path", "fal-ai/veo2")
LATER: Final = st.sampled_from([0.0, 0.0, 0.0, 0.25, 0.5, 1.0, 1.25, 2.5])  # seconds
DEADLINES: Final = (
    1.6,
    3.1,
)  # seconds that are no sum of the others: of two things at once, who comes first?
ANSWERS: Final = st.lists(st.sampled_from([200, 500, 0, 404, 302]), max_size=2).map(lambda some: [*some, 200])
JOBS: Final = st.integers(0, 19)  # counted round and round
SETUPS: Final = st.fixed_dictionaries(
    {
        "runners": st.sampled_from([1, 1, 2]),
        "concurrency": st.sampled_from([9, 9, 1, 2]),
        "run_seconds": st.sampled_from([4.0, 4.0, 0.25]),
    }
)
# What goes wrong with the first job or the second; the timetable knows of it.
PLANS: Final = st.none() | st.builds(
    lambda fault, after: [{"fault": fault, "after": after}],
    st.sampled_from([f"{SLOW} seconds=2.5", f"{SLOW} seconds=2.5", "content_policy_violation"]),
    st.sampled_from([0, 0, 1]),
)
WHOLE_TRACE: Final = ("P42", "P43", "P44", "P45", AGREEMENT)  # besides the general ones


class Diverged(AssertionError):
    """The target did something that the model does not."""


class QueueMachine(RuleBasedStateMachine):
    """One program, made up step by step. Subclasses set the target and the event loop.

    No rule has a precondition: Hypothesis leaves some rules out of each program, and gives a program up when
    those that are left have to wait for one that is not.

    What the wire does is done by falqueue too, on a twin of the target, where that has any.
    """

    target: ClassVar[Target]
    loop: ClassVar[asyncio.AbstractEventLoop]
    last: ClassVar[Finding | None] = None

    def __init__(self) -> None:
        super().__init__()
        self._stack = AsyncExitStack()
        self._setup: Json = {}
        self._wire: Any = None
        self._companion: Any = None
        self._heard = self._looked = 0
        self._models: dict[str, Automaton] = {}

    @initialize(setup=SETUPS, plan=PLANS)
    def begin(self, setup: Json, plan: list[Json] | None) -> None:
        """Decide how few places the target has, and what goes wrong there."""
        if "configure" in self.target.abilities:
            self._setup = setup
        if plan is not None and "faults" in self.target.abilities:
            self._setup = {**self._setup, FAULTS: plan}

    async def _open(self) -> None:
        """Open the target; not before somebody asks it something, for many a program is given up early."""
        program = Program(name="made up", steps=(), setup=self._setup)
        session = await self._stack.enter_async_context(self.target.open(program))
        self._wire = Wire(program, session, self.target.name)
        if "receive" in self.target.abilities:
            await self._stack.enter_async_context(self._wire.receiving())
        if session.exact_time:
            self._companion = await self._stack.enter_async_context(
                open_client_run(self._wire.trace, self.target)
            )

    async def _add(self, *steps: Step) -> None:
        if self._wire is None:
            await self._open()
        for step in steps:
            await self._wire.add(step)
        if self._companion is not None:
            await self._companion.catch_up()

    def _do(self, after: float, *steps: Step) -> None:
        pause = [wait(after)] if after else []
        self.loop.run_until_complete(self._add(*pause, *steps))

    @property
    def _jobs(self) -> list[str]:
        return self._wire.trace.jobs() if self._wire else []

    def _some(self, number: int) -> str:
        return self._jobs[number % len(self._jobs)]

    @rule(
        after=LATER,
        given=strategies.good_inputs() | st.just(VALID_INPUT) | strategies.broken_inputs(),
        endpoint=st.sampled_from(ENDPOINTS),
        key=st.sampled_from("ab"),
        low=st.booleans(),
        start_by=st.sampled_from([None, None, None, None, *DEADLINES]),
        answers=st.none() | st.none() | st.none() | ANSWERS,
    )
    def submits(
        self,
        *,
        after: float,
        given: Any,
        endpoint: str,
        key: str,
        low: bool,
        start_by: float | None,
        answers: list[int] | None,
    ) -> None:
        """Submit a job, good or bad, while there are few."""
        if len(self._jobs) >= MOST_JOBS:
            return
        name = NAMES[len(self._jobs) % len(NAMES)]
        headers = {"X-Fal-Queue-Priority": "low"} if low else {}
        if start_by is not None:
            headers["X-Fal-Request-Timeout"] = str(start_by)
        hook = name.lower() if answers and "receive" in self.target.abilities else ""
        told = tuple(answers) if answers and hook else (200,)
        self._do(
            after,
            submit(name, given, endpoint=endpoint, key=key, headers=headers, webhook=hook, answers=told),
        )

    @rule(
        after=LATER,
        job=JOBS,
        ask=st.sampled_from([status, status, status, result, cancel, cancel, stream]),
        query=st.sampled_from(["", "logs=1", "logs=false"]),
        much=st.sampled_from([1, 1, 2]),
        pry=st.sampled_from([False, False, False, False, True]),
    )
    def asks(self, *, after: float, job: int, ask: Any, query: str, much: int, pry: bool) -> None:
        """Read a status, fetch a result, too early or not, cancel, or watch; one's own job or another's."""
        if not self._jobs:
            self._do(0, submit(NAMES[0]))
        name = self._some(job)
        key = self._owner(name)
        if pry and "second-key" in self.target.abilities:
            key = "a" if key == "b" else "b"
        more: dict[Any, Json] = {
            status: {"query": query, "times": much},
            stream: {"query": query, "seconds": 1.5 if much == 1 else 120.0},  # for a while, or to its end
        }
        self._do(after, ask(name, key=key, **more.get(ask, {})))

    def _owner(self, job: str) -> str:
        return str(self._wire.trace.submitted(job).step.key)

    @invariant()
    def says_what_it_must(self) -> None:
        """What was heard since the last look is what automaton and timetable allow."""
        if self._wire is not None:
            self._look()

    def _look(self) -> None:
        trace: Trace = self._wire.trace
        news, self._heard = trace.exchanges[self._heard :], len(trace.exchanges)
        timetables = Timetables(trace) if trace.exact_time and news else None
        if any(look.client != look.wire for look in trace.observations[self._looked :]):
            self._ask(AGREEMENT)
        self._looked = len(trace.observations)
        for e in news:
            if e.step.do == "submit":
                continue
            if not trace.is_plain(e):
                self._ask("P24")
                continue
            model = self._models.setdefault(e.step.job, Automaton(reruns=not trace.exact_time))
            if any(observe(model, e)):
                self._ask("P6")
            if timetables is not None and e.step.do == "status" and not _is_due(e, timetables):
                self._ask("P8")
                self._ask("P9")

    def _ask(self, name: str) -> None:
        p = properties.PROPERTIES[name]
        trace: Trace = self._wire.trace
        for one in p.check(trace):
            if not one.holds:
                type(self).last = Finding(p, one, trace)
                raise Diverged(_told(p.id, one, trace.program))

    def teardown(self) -> None:
        """Let all webhooks come, then ask every property that says something of any trace."""
        try:
            if self._wire is not None and not self._failed():
                reads = [ask(job, key=self._owner(job)) for job in self._jobs for ask in (status, result)]
                self._do(60, *reads)
                self._look()
                self.loop.run_until_complete(self._wire.finish())
                for p in properties.catalogue():
                    if p.general or p.id in WHOLE_TRACE:
                        self._ask(p.id)
        finally:
            self.loop.run_until_complete(self._stack.aclose())

    def _failed(self) -> bool:
        found = type(self).last
        return found is not None and found.trace is self._wire.trace


def _is_due(e: Exchange, timetables: Timetables) -> bool:
    """Tell whether a status says what the timetable says."""
    entries = timetables.before(e)
    entry = next(one for one in entries if one.name == e.step.job)
    due = entry.state(e.at)
    ahead = position_of(entry, entries, e.at) if due == "IN_QUEUE" else None
    return (e.state, e.get("queue_position")) == (due, ahead)


def _told(name: str, one: Claim, program: Program) -> str:
    return f"{name}: {one.text}; found {one.found!r}, expected {one.expected!r}\n{program}"


def explore(
    target: Target,
    *,
    programs: int = 100,
    steps: int = MOST_STEPS,
    seed: int | None = None,
    processes: int = 1,
) -> Finding | None:
    """Let Hypothesis look for a program that diverges; return the shortest one it found.

    Args:
        target: an offline one.
        programs: how many to make up.
        steps: how long one may be, before the last look at what became of its jobs.
        seed: makes up the same programs again, with the same number of processes.
        processes: among which the programs are divided.
    """
    if processes == 1:
        return _explore(target, programs, steps, seed)
    share = partial(_share, programs=-(-programs // processes), steps=steps, seed=seed)
    # Forked, so that the target, and what a test has planted in it, is there in each.
    with ProcessPoolExecutor(processes, get_context("fork"), _remember, (target,)) as pool:
        return next(filter(None, pool.map(share, range(processes))), None)


_targets: list[Target] = []  # of a process that has a share of the programs


def _remember(target: Target) -> None:
    _targets.append(target)


def _share(number: int, *, programs: int, steps: int, seed: int | None) -> Finding | None:
    return _explore(_targets[-1], programs, steps, None if seed is None else f"{seed}, share {number}")


def _explore(target: Target, programs: int, steps: int, seed: Hashable) -> Finding | None:
    with asyncio.Runner() as runner:
        machine: Any = type("QueueMachine", (QueueMachine,), {"target": target, "loop": runner.get_loop()})
        if seed is not None:
            machine = hypothesis.seed(seed)(machine)
        settings = hypothesis.settings(
            max_examples=programs,
            stateful_step_count=max(steps // 2, 1),  # each lets time pass and then asks
            deadline=None,
            database=None,
            print_blob=False,
            report_multiple_bugs=False,
            phases=[hypothesis.Phase.generate],  # what is found is shrunk as data, see `shrinking`
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        try:
            run_state_machine_as_test(machine, settings=settings)
        except (Diverged, hypothesis.errors.FlakyFailure):  # the latter: it diverged once, and then not
            return machine.last  # type: ignore[no-any-return]
    return None
