"""What survives a restart of the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from falcontract.properties.claims import Claims, claim, equal, prop

if TYPE_CHECKING:
    from falcontract.traces import Trace


@prop(
    95,
    "restarts",
    needs=("restart", "receive"),
    evidence="of emulators: fal's queue is durable (PROTOCOL 4.6, R: results after days)",
)
def restarts_lose_nothing(trace: Trace) -> Claims:
    """A restart loses no job, result, file or delivery; nothing begins anew or is sent twice.

    States before and after it are on the timetable of P75.
    """
    for job in trace.jobs():
        for e in trace.of("status", job):
            yield claim("known", e.ok, f"{job} is known", e, e.status)
        results = trace.final_results(job)
        for e in results[1:]:
            before = results[0].status, results[0].body
            yield equal("result", (e.status, e.body), before, "the result is the same", e)
        files = trace.of("fetch", job)
        for e in files[1:]:
            yield equal("file", (e.status, e.body), (200, files[0].body), "the file is the same", e)
    if trace.ended:
        for e, arrived in trace.webhooks():
            yield equal("attempts", len(arrived), len(e.step.answers), "a 2xx is the last attempt", e)
