"""fal itself: a reviewed plan, sent once, by whoever opened three gates.

There is no way in here to run a program that is not in the plan: what takes a `Target` cannot take this.
All that is sent goes through one `LiveGuard`, which counts money and requests, keeps the pace, and hands
the key to fal's queue and nobody else.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx

from falcontract import planning, transcripts
from falcontract.budget import Budget, OverBudget
from falcontract.steps import Step
from falcontract.targets import Session, authorization_headers
from falcontract.wire import Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from falcontract.planning import Entry
    from falcontract.traces import Exchange, Trace
    from falcontract.transcripts import Transcript

HOSTS: Final = {"queue": "https://queue.fal.run", "rest": "https://rest.fal.ai"}
NAMES: Final = ("queue.fal.run", "rest.fal.ai")
GATES: Final = ("FAL_KEY", "FAL_LIVE", "FAL_LIVE_BUDGET_USD")
PER_SECOND: Final = 2.0
IN_FLIGHT: Final = 2
LOCKED: Final = "User is locked"
HEAR_OUT: Final = 30.0  # seconds
CANCEL_TRIES: Final = 5
REJECTED_TIER: Final = 2


class LiveDisabled(Exception):
    """Somebody has to open a gate first; the text says which."""


class LiveUnavailable(Exception):
    """fal does not answer as it does to whoever is welcome: nothing is learnt from it, so the run ends."""


class WrongHost(httpx.TransportError):
    """An answer led to a host that the key must not be sent to."""


def gates(environ: Mapping[str, str]) -> tuple[str, Budget]:
    """Return key and budget, if all three gates are open.

    Raises:
        LiveDisabled: one is not.
    """
    if closed := [name for name in GATES if not environ.get(name)]:
        raise LiveDisabled(f"set {', '.join(closed)} to let requests out to fal")
    if environ["FAL_LIVE"] != "1":
        raise LiveDisabled("set FAL_LIVE=1 to let requests out to fal")
    try:
        limit = float(environ["FAL_LIVE_BUDGET_USD"])
    except ValueError:
        raise LiveDisabled("FAL_LIVE_BUDGET_USD is no number of dollars") from None
    if not 0 <= limit < float("inf"):
        raise LiveDisabled("FAL_LIVE_BUDGET_USD is no number of dollars")
    return environ["FAL_KEY"], Budget(limit)


class LiveGuard(httpx.AsyncBaseTransport):
    """What everything to fal goes through.

    Args:
        inner: carries what is let through.
        budget: counts.
        sleep: waits so many seconds.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        budget: Budget,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner, self.budget = inner, budget
        self._sleep, self._clock = sleep, clock
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._next = -float("inf")
        self._left = 0
        self._usd = 0.0
        self._count = 0
        self.sent = 0
        self.unacknowledged: list[str] = []

    def admit(self, entry: Entry) -> None:
        """Let one program of the plan through, with its requests and its price."""
        self._left, self._usd = entry.requests, entry.usd

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, if it may be sent.

        Raises:
            WrongHost: to another host than fal's queue.
            OverBudget: for that there is no money.
            NotPlanned: for that there is no place in the plan.
        """
        if request.url.scheme != "https" or request.url.host not in NAMES:
            raise WrongHost(
                f"{request.url.host} is not a host of fal's queue: nothing was sent", request=request
            )
        cancelling = request.method == "PUT" and request.url.path.endswith("/cancel")
        if not cancelling:  # which is free, and must always be possible
            if self._left <= 0:
                raise planning.NotPlanned("the program has sent as many requests as its plan allows")
            self._left -= 1
        if request.method == "POST":
            return await self._submit(request)
        return await self._forward(request)

    async def _submit(self, request: httpx.Request) -> httpx.Response:
        """Set the money aside, send, and observe the answer out even if nobody waits for it any more."""
        self._count += 1
        name = f"submit {self._count}"
        self.budget.reserve(name, self._usd)
        task = asyncio.create_task(self._forward(request))
        try:
            answer = await asyncio.shield(task)
        except asyncio.CancelledError:
            await self._hear_out(task)
            raise
        if 400 <= answer.status_code < 500:
            self.budget.release(name)
        return answer

    async def _hear_out(self, task: asyncio.Task[httpx.Response]) -> None:
        """Learn which job was made by a submit whose sender was interrupted."""
        with suppress(httpx.HTTPError, ValueError, KeyError, TimeoutError):
            async with asyncio.timeout(HEAR_OUT):
                answer = await task
                told = json.loads(await answer.aread())
                self.unacknowledged.append(str(told["cancel_url"]))

    async def _forward(self, request: httpx.Request) -> httpx.Response:
        async with self._slots:
            await self._pace()
            self.sent += 1
            return await self._inner.handle_async_request(request)

    async def _pace(self) -> None:
        now = self._clock()
        at = max(now, self._next)
        self._next = at + 1 / PER_SECOND
        if at > now:
            await self._sleep(at - now)

    async def aclose(self) -> None:
        """Close what carries."""
        await self._inner.aclose()


@dataclass
class Outcome:
    """What came of a run.

    Attributes:
        transcripts: of the programs that came to an end.
        traces: likewise, as they were.
        could_not_look: programs that did not, with the reason.
        findings: what must be looked at before anything is sent again.
        running: jobs that could not be cancelled, by their URLs.
        spent: US dollars, at worst.
        sent: requests.
    """

    transcripts: list[Transcript] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)
    could_not_look: dict[str, str] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    running: list[str] = field(default_factory=list)
    spent: float = 0.0
    sent: int = 0


class Live:
    """fal, for whoever has a key and opened the gates. It is no `Target`: it opens for no program.

    Args:
        environ: has the three gates.
        transport: carries what the guard lets through; without one, the network.
        sleep: waits so many seconds.
        clock: seconds that only go forward.
        today: the date of the transcripts, YYYY-MM-DD.
        plan: another plan than the one that comes with the suite, as reviewed by whoever hands it in.

    Raises:
        LiveDisabled: a gate is closed.
    """

    name = "fal"

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        today: str,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        plan: dict[str, Entry] | None = None,
    ) -> None:
        self._key, self.budget = gates(environ)
        self._transport, self._sleep, self._clock, self._today = transport, sleep, clock, today
        self._plan = planning.read() if plan is None else plan

    def planned(self, tier: int) -> list[Entry]:
        """Return the entries of the plan up to a tier."""
        return [entry for entry in self._plan.values() if entry.program.tier <= tier]

    async def execute(self, entries: Sequence[Entry]) -> Outcome:
        """Send programs of the plan, each once, and leave nothing running.

        Raises:
            NotPlanned: one of them is not in the plan as it was reviewed; nothing was sent.
        """
        for entry in entries:
            if self._plan.get(entry.program.name) != entry:
                raise planning.NotPlanned(f"{entry.program.name} is not in the reviewed plan")
        outcome = Outcome()
        inner = self._transport or httpx.AsyncHTTPTransport(retries=0)
        guard = LiveGuard(inner, self.budget, sleep=self._sleep, clock=self._clock)
        async with self._session(guard) as session:
            try:
                for entry in entries:
                    await self._one(entry, session, guard, outcome)
                    if outcome.findings:
                        break
            except LiveUnavailable as error:
                for entry in entries:
                    seen = {trace.program.name for trace in outcome.traces}
                    if entry.program.name not in seen:
                        outcome.could_not_look.setdefault(entry.program.name, str(error))
            finally:
                self.budget.settle()
                outcome.spent, outcome.sent = self.budget.spent, guard.sent
        return outcome

    @asynccontextmanager
    async def _session(self, guard: LiveGuard) -> AsyncIterator[Session]:
        async with guard:
            yield Session(
                line=guard,
                hosts=HOSTS,
                keys=authorization_headers(self._key),
                now=self._clock,
                wall=time.time,
                pass_time=self._sleep,
                poll_seconds=1.0,
            )

    async def _one(self, entry: Entry, session: Session, guard: LiveGuard, outcome: Outcome) -> None:
        guard.admit(entry)
        wire = Wire(entry.program, session, self.name)
        try:
            await wire.run()
        except (OverBudget, planning.NotPlanned) as error:
            outcome.could_not_look[entry.program.name] = str(error)
            return
        finally:
            await asyncio.shield(self._clean_up(wire, guard, outcome))
        self._look(wire.trace, entry, outcome)

    def _look(self, trace: Trace, entry: Entry, outcome: Outcome) -> None:
        """Decide whether anything can be learnt from a trace, and keep it if so."""
        if why := next(filter(None, map(_unwelcome, trace.exchanges)), None):
            outcome.could_not_look[entry.program.name] = why
            raise LiveUnavailable(why)
        if why := next((e.error for e in trace.exchanges if e.error), None):
            outcome.could_not_look[entry.program.name] = f"the line broke: {why.partition(':')[0]}"
            if any(e.step.do == "submit" and not e.status for e in trace.exchanges):
                outcome.findings.append(
                    f"{entry.program.name}: a submit had no answer, so a job may run unseen"
                )
            return
        outcome.traces.append(trace)
        outcome.transcripts.append(
            transcripts.record(
                trace,
                date=self._today,
                evidence=transcripts.LIVE,
                secrets=(self._key,),
                plan=planning.digest(self._plan),
            )
        )
        self._settle(trace, outcome)

    def _settle(self, trace: Trace, outcome: Outcome) -> None:
        """Give back what an answer shows not to be owed; a broken input that was taken is a finding."""
        owed = [e for e in trace.exchanges if e.step.do == "result" and e.ok]
        free = {e.step.job for e in trace.of("result") if e.headers.get("x-fal-billable-units") == "0"}
        jobs = set(trace.jobs())
        if jobs and not owed and free >= jobs:
            self.budget.held.clear()
        if owed and trace.program.tier == REJECTED_TIER:
            outcome.findings.append(
                f"{trace.program.name}: fal took an input that cannot be run, and may bill it"
            )

    async def _clean_up(self, wire: Wire, guard: LiveGuard, outcome: Outcome) -> None:
        """Cancel every job that is not known to be over, whatever has happened."""
        while guard.unacknowledged:
            url = guard.unacknowledged.pop()
            if not await self._sent(
                wire, Step(do="call", method="PUT", path=url.removeprefix(HOSTS["queue"]))
            ):
                outcome.running.append(url)
        trace = wire.trace
        for submitted in trace.submits():
            job = submitted.step.job
            if trace.completed_at(job) is not None:
                continue
            if not await self._sent(wire, Step(do="cancel", job=job)):
                outcome.running.append(str(submitted.get("response_url")))

    async def _sent(self, wire: Wire, step: Step) -> bool:
        for _ in range(CANCEL_TRIES):
            with suppress(httpx.HTTPError):
                e = await wire.ask(step)
                if e.state in {"CANCELLATION_REQUESTED", "ALREADY_COMPLETED", "NOT_FOUND"}:
                    return True
            await self._sleep(1.0)
        return False


def _unwelcome(e: Exchange) -> str | None:
    """Return why an answer teaches nothing of the protocol: limits, locks, trouble."""
    outcome = e.step.do == "result" and e.get("detail") is not None  # a job's own failure is a fact
    if e.status == 429:
        return "fal says 429: too many requests"
    if e.status >= 500 and not outcome:
        return f"fal says {e.status}"
    if e.status in {402, 403} and LOCKED in str(e.get("detail")):
        return "the account is locked"
    return None


def describe(outcome: Outcome) -> Any:
    """Return what came of a run, for people."""
    return {
        "recorded": [t.name for t in outcome.transcripts],
        "could not look": outcome.could_not_look,
        "findings": outcome.findings,
        "still running": outcome.running,
        "spent at worst": f"${outcome.spent:.2f}",
        "requests": outcome.sent,
    }
