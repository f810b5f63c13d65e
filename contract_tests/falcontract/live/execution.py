"""Sends programs of the reviewed plan to fal.

`Live` is not a `Target`: it runs entries of the plan only, so code that runs arbitrary programs cannot use
it.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx

from falcontract.live import planning, transcripts
from falcontract.live.budget import OverBudget
from falcontract.live.guard import LiveGuard, settings
from falcontract.steps import Step
from falcontract.suite import show_nothing
from falcontract.targets.base import Session, authorization_headers
from falcontract.targets.wire import Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from falcontract.live.planning import PlannedProgram
    from falcontract.live.transcripts import Transcript
    from falcontract.suite import Show
    from falcontract.traces import Exchange, Trace

BASE_URLS: Final = {"queue": "https://queue.fal.run", "rest": "https://rest.fal.ai"}
LOCKED: Final = "User is locked"
CANCELLED: Final = ("CANCELLATION_REQUESTED", "ALREADY_COMPLETED", "NOT_FOUND")
CANCEL_TRIES: Final = 5
REJECTED_TIER: Final = 2


class LiveUnavailable(Exception):
    """fal refuses to serve this account, so answers say nothing about the protocol. The run ends."""


@dataclass
class Outcome:
    transcripts: list[Transcript] = field(default_factory=list)  # of complete programs
    # reasons, by the name of each program that did not complete
    could_not_look: dict[str, str] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)  # problems to solve before the next run
    running: list[str] = field(default_factory=list)  # URLs of jobs that could not be cancelled
    spent: float = 0.0  # US dollars, at worst
    sent: int = 0

    def as_json(self) -> Any:
        """Return a summary for people."""
        return {
            "recorded": [t.name for t in self.transcripts],
            "could not look": self.could_not_look,
            "findings": self.findings,
            "still running": self.running,
            "spent at worst": f"${self.spent:.2f}",
            "calls": self.sent,
        }


class Live:
    """fal itself. `environ` is that of `guard.settings`; `today` is the date of the transcripts, YYYY-MM-DD.

    Raises:
        LiveDisabled: calls to fal are not enabled.
    """

    name = "fal"

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        today: str,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        plan: dict[str, PlannedProgram] | None = None,
    ) -> None:
        self._key, self.budget = settings(environ)
        self._transport, self._sleep, self._today = transport, sleep, today
        self._plan = planning.read() if plan is None else plan

    def planned(self, tier: int) -> list[PlannedProgram]:
        return [entry for entry in self._plan.values() if entry.program.tier <= tier]

    async def execute(self, entries: Sequence[PlannedProgram], show: Show = show_nothing) -> Outcome:
        """Send each entry once, and cancel every job that is left.

        Raises:
            NotPlanned: an entry is not in the plan; nothing was sent.
        """
        for entry in entries:
            if self._plan.get(entry.program.name) != entry:
                raise planning.NotPlanned(f"{entry.program.name} is not in the reviewed plan")
        outcome = Outcome()
        inner = self._transport or httpx.AsyncHTTPTransport(retries=0)
        guard = LiveGuard(inner, self.budget, sleep=self._sleep)
        async with self._session(guard) as session:
            try:
                for number, entry in enumerate(entries, 1):
                    show(f"program {number} of {len(entries)}: {entry.program.name}")
                    await self._run(entry, session, guard, outcome)
                    if outcome.findings:
                        break
            except LiveUnavailable as error:
                done = {transcript.name for transcript in outcome.transcripts}
                for name in (entry.program.name for entry in entries):
                    if name not in done:
                        outcome.could_not_look.setdefault(name, str(error))
            finally:
                self.budget.settle()
                outcome.spent, outcome.sent = self.budget.spent, guard.sent
        return outcome

    @asynccontextmanager
    async def _session(self, guard: LiveGuard) -> AsyncIterator[Session]:
        async with guard:
            yield Session(
                transport=guard,
                hosts=BASE_URLS,
                keys=authorization_headers(self._key),
                now=time.monotonic,
                wall=time.time,
                pass_time=self._sleep,
                poll_seconds=1.0,
            )

    async def _run(self, entry: PlannedProgram, session: Session, guard: LiveGuard, outcome: Outcome) -> None:
        guard.admit(entry)
        wire = Wire(entry.program, session, self.name)
        try:
            await wire.run()
        except (OverBudget, planning.NotPlanned) as error:
            outcome.could_not_look[entry.program.name] = str(error)
            return
        finally:
            await asyncio.shield(self._cancel_jobs(wire, guard, outcome))
        self._record(wire.trace, entry, outcome)

    def _record(self, trace: Trace, entry: PlannedProgram, outcome: Outcome) -> None:
        """Store a transcript, unless limits, locks or a broken connection make it useless."""
        name = entry.program.name
        if reason := next(filter(None, map(_unusable, trace.exchanges)), None):
            outcome.could_not_look[name] = reason
            raise LiveUnavailable(reason)
        if error := next((e.error for e in trace.exchanges if e.error), None):
            outcome.could_not_look[name] = f"the connection broke: {error.partition(':')[0]}"
            if any(e.step.do == "submit" and not e.status for e in trace.exchanges):
                outcome.findings.append(f"{name}: a submit had no answer, so an unknown job may be running")
            return
        plan = planning.digest(self._plan)
        outcome.transcripts.append(
            transcripts.record(
                trace, date=self._today, evidence=transcripts.LIVE, secrets=(self._key,), plan=plan
            )
        )
        self._release(trace, outcome)

    def _release(self, trace: Trace, outcome: Outcome) -> None:
        """Release the reservations of jobs that were free; an accepted invalid input is a finding."""
        billed = [e for e in trace.exchanges if e.step.do == "result" and e.ok]
        free = {e.step.job for e in trace.of("result") if e.headers.get("x-fal-billable-units") == "0"}
        jobs = set(trace.jobs())
        if jobs and not billed and free >= jobs:
            self.budget.held.clear()
        if billed and trace.program.tier == REJECTED_TIER:
            name = trace.program.name
            outcome.findings.append(f"{name}: fal accepted an invalid input and may bill it")

    async def _cancel_jobs(self, wire: Wire, guard: LiveGuard, outcome: Outcome) -> None:
        """Cancel every job that is not known to have ended."""
        while guard.unacknowledged:
            url = guard.unacknowledged.pop()
            step = Step(do="call", method="PUT", path=url.removeprefix(BASE_URLS["queue"]))
            if not await self._cancel(wire, step):
                outcome.running.append(url)
        for submit in wire.trace.submits():
            job = submit.step.job
            ended = wire.trace.completed_at(job) is not None
            if not ended and not await self._cancel(wire, Step(do="cancel", job=job)):
                outcome.running.append(str(submit.get("response_url")))

    async def _cancel(self, wire: Wire, step: Step) -> bool:
        for _ in range(CANCEL_TRIES):
            with suppress(httpx.HTTPError):
                e = await wire.send(step)
                if e.state in CANCELLED:
                    return True
            await self._sleep(1.0)
        return False


def _unusable(e: Exchange) -> str | None:
    """Return why an answer says nothing about the protocol: limits, locks, server errors."""
    is_outcome = e.step.do == "result" and e.get("detail") is not None  # the failure of a job is a fact
    if e.status == 429:
        return "fal answered 429: too many requests"
    if e.status >= 500 and not is_outcome:
        return f"fal answered {e.status}"
    if e.status in {402, 403} and LOCKED in str(e.get("detail")):
        return "the account is locked"
    return None
