"""How jobs end: metrics, re-runs, places in the queue, cancels of a run, locks, moments of a stream."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any, Final

from falcontract.model import published
from falcontract.model.automaton import CANCELLED_CODE, DONE, QUEUED, RUNNING
from falcontract.model.prediction import Timetables, has_timetable
from falcontract.properties.claims import Claims, claim, equal, member, prop
from falcontract.targets.base import STREAM_STEP

if TYPE_CHECKING:
    from falcontract.model.timetable import ScheduledJob
    from falcontract.traces import Event, Trace

ROUNDING: Final = 1e-3  # seconds
MOMENT: Final = 0.05  # seconds; a clock that moves only on command stops at each event
MEMBERS: Final = ["status", "request_id", "response_url", "status_url", "cancel_url", "logs", "metrics"]
MORE: Final[dict[str, list[list[str]]]] = {
    QUEUED: [["queue_position"]],
    RUNNING: [[]],
    DONE: [[], ["error", "error_type"]],
}
ONE_RUN: Final = 5.5  # seconds, with some to spare
TEN_RUNS: Final = 60.0
HONOURED: Final = "Request cancelled by the client."  # fal's runner (PROTOCOL.md 4.6)


@prop(
    78,
    "lifecycle broken-input cancel-queued",
    general=True,
    tier=2,
    evidence="PROTOCOL 4.3 (L-poll, R 2026-04)",
)
def statuses_have_their_members(trace: Trace) -> Claims:
    """A status has the recorded members in the recorded order, and no others."""
    for _, status, e in trace.states():
        allowed = [MEMBERS + more for more in MORE.get(str(status.get("status")), ())]
        yield member("members", list(status), allowed, "these are the members of a status", e)


@prop(
    79,
    "lifecycle schema broken-files cancel-running cancel-queued",
    general=True,
    tier=4,
    mock="D",
    live="S",
    evidence="PROTOCOL 4.3 (L, R): unrounded seconds; 4.2 (R): 0.05 to 0.1 s for a schema, 1 s for a file",
)
def metrics_tell_how_long_it_ran(trace: Trace) -> Claims:
    """metrics is empty until COMPLETED; then inference_time is the time from start to end, as a float."""
    entries = {entry.name: entry for entry in Timetables(trace).final()} if has_timetable(trace) else {}
    for job in trace.jobs():
        refused = [
            e for e in trace.final_results(job) if e.status == 422 and isinstance(e.get("detail"), list)
        ]
        for _, status, e in trace.states(job):
            metrics = status.get("metrics")
            if status.get("status") != DONE:
                yield equal("empty", metrics, {}, "metrics are empty until COMPLETED", e)
                continue
            seconds = metrics.get("inference_time") if isinstance(metrics, dict) else None
            is_float = seconds is None or isinstance(seconds, float)
            yield claim("float", is_float, "inference_time is a float", e, metrics)
            kinds = {entry.get("type") for r in refused for entry in r.json["detail"]}
            if trace.exact_time and kinds & {"missing", "literal_error", "string_type"}:
                yield _within("schema", seconds, published.REJECTION_SECONDS, e)
            elif trace.exact_time and kinds & {"image_load_error", "file_download_error"}:
                yield _within("file", seconds, published.DOWNLOAD_SECONDS, e)
            elif not refused and job in entries:
                yield from _fits_entry(entries[job], seconds, e)


def _within(key: str, seconds: Any, span: tuple[float, float], e: Any) -> Any:
    fits = isinstance(seconds, float) and span[0] - ROUNDING <= seconds <= span[1] + ROUNDING
    return claim(key, fits, f"a rejection takes {span[0]} to {span[1]} s", e, seconds)


def _fits_entry(entry: ScheduledJob, seconds: Any, e: Any) -> Claims:
    if entry.started == float("inf"):
        yield equal("never", seconds, None, "a job that never ran has no inference_time", e)
    else:
        ran = entry.ended - entry.started
        fits = isinstance(seconds, float) and abs(seconds - ran) <= ROUNDING
        yield claim("ran", fits, f"it ran for {ran:.3f} s", e, seconds)


@prop(
    80,
    "failures-again",
    live="canary",
    mock="D",
    tier=4,
    needs=("faults", "receive", "stand-still"),
    evidence="PROTOCOL 4.8 (D-retry): up to ten attempts after 503, 504 and connection errors; not 500, 502",
)
def failures_that_run_again(trace: Trace) -> Claims:
    """503, 504 and lost connections run again, up to ten times; 500, 502 and a model's errors do not.

    X-Fal-No-Retry prevents it. With the timing of the program ten runs take 50 s, one takes 5 s.
    """
    for submit in trace.submits():
        kind = re.sub(r"[()]", "", str(submit.step.input.get("prompt")))
        runs_again = kind in published.RERUN and submit.step.header("x-fal-no-retry") is None
        for e in trace.of("status", submit.step.job):
            ended = e.at > (TEN_RUNS if runs_again else ONE_RUN)
            text = f"after {e.at:g} s {kind} {'has' if ended else 'has not'} ended"
            yield equal("ended", e.state == DONE, ended, text, e)
        for d in (d for d in trace.deliveries if d.receiver == submit.step.webhook):
            again = d.get("gateway_request_id") != d.get("request_id")
            yield equal("run-id", again, runs_again, "a run that is not the first has an id of its own", d)
        for e in trace.final_results(submit.step.job):
            if kind in published.PLATFORM_ERRORS:
                code = published.PLATFORM_ERRORS[kind]
                yield equal(
                    "code", (e.status, e.get("error_type")), (code, kind), "it ends with its error", e
                )


@prop(
    81,
    "slots",
    live="canary",
    tier=4,
    needs=("faults", "stand-still"),
    evidence="PROTOCOL 4.8 (D-conc): only IN_PROGRESS counts",
)
def places_are_given_back(trace: Trace) -> Claims:
    """However a job ends, its place is free again: the next one runs.

    The names of the others end with 2.
    """
    for job in trace.jobs():
        for e in trace.of("status", job):
            yield equal("ends", e.state, DONE, f"{job} has ended", e)
        if job.endswith("2"):
            for e in trace.of("result", job):
                yield equal("next", e.status, 200, f"{job} ran", e)


@prop(
    82,
    "cancel-running cancel-honoured cancel-twice",
    tier=4,
    live="S",
    evidence="PROTOCOL 4.7 (R 2026-09: runs on and is billed; E, S: an app may honour it)",
)
def cancelled_runs_go_on(trace: Trace) -> Claims:
    """A running job that is cancelled runs on and is billed, unless its application honours the signal."""
    for job in trace.jobs():
        for e in (e for e in trace.of("cancel", job) if e.ok):
            at = trace.exchanges.index(e)
            before = [s for _, s, read in trace.states(job) if trace.exchanges.index(read) < at]
            if not before or before[-1].get("status") != RUNNING:
                continue
            honours = trace.facts.get("cancel") == "honoured"
            reads = (r for r in trace.after(e) if r.step.do == "status" and r.step.job == job)
            for read in (r for r in reads if r.at == e.at):
                state = DONE if honours else RUNNING
                yield equal("state", read.state, state, f"the job is {state} after the cancel", read)
            for result in trace.final_results(job)[-1:]:
                code = CANCELLED_CODE if honours else 200
                yield equal("code", result.status, code, f"its result is a {code}", result)
                units = result.headers.get("x-fal-billable-units")
                if honours:
                    yield equal("text", result.get("detail"), HONOURED, "it has the runner's text", result)
                else:
                    billed = units is not None and units != "0"
                    yield claim("billed", billed, "it is billed", result, units)


@prop(83, "locked-queue", mock="D", needs=("lock", "stand-still"), evidence="PROTOCOL 2.1, 4.8 (R 2026-07)")
def locked_accounts_wait(trace: Trace) -> Claims:
    """The waiting jobs of a locked account stay IN_QUEUE, at 0; what runs ends; the rest runs later."""
    places = {step.do: n for n, step in enumerate(trace.program.steps) if step.do in {"lock", "unlock"}}
    locked, unlocked = places.get("lock", 0), places.get("unlock", 0)
    for job in trace.jobs():
        during = [e for e in trace.of("status", job) if locked < e.index < unlocked]
        if during and during[0].state == QUEUED:
            for e in during:
                yield equal("waits", (e.state, e.get("queue_position")), (QUEUED, 0), "it waits", e)
        elif during:
            yield equal("ends", during[-1].state, DONE, "a run that had begun ends", during[-1])
        for e in [e for e in trace.of("status", job) if e.index > unlocked][-1:]:
            yield equal("later", e.state, DONE, "it runs once the account is unlocked", e)
        for e in trace.final_results(job):
            yield equal("runs", e.status, 200, "it runs in the end", e)


@prop(
    84,
    "stream stream-moments stream-long",
    live="S",
    mock="D",
    tier=4,
    needs=("stand-still",),
    evidence="PROTOCOL 4.5 (D-queue, C): an event for each change; when fal sends events is unknown",
)
def streams_speak_at_once(trace: Trace) -> Claims:
    """A stream sends the status when it is opened, and each change and each log line when it happens."""
    if not has_timetable(trace):
        return
    entries = {entry.name: entry for entry in Timetables(trace).final()}
    for e in trace.of("stream"):
        events = [event for event in e.events if isinstance(event.json, dict)]
        if not events or e.step.job not in entries:
            continue
        entry = entries[e.step.job]
        yield claim(
            "first", events[0].at - e.at <= MOMENT, "the first message comes at once", e, events[0].at
        )
        changes = {RUNNING: entry.started, DONE: entry.ended}
        for state, at in changes.items():
            seen = next((event.at for event in events if event.json.get("status") == state), None)
            if at > e.at:
                is_near = seen is not None and abs(seen - at) <= MOMENT
                yield claim("change", is_near, f"{state} is reported after {at:.2f} s", e, seen)
        late = [event.at - at for event in events for at in _written(event)]
        if late:
            spread = max(late) - min(late)
            yield claim(
                "lines", spread <= STREAM_STEP + MOMENT, "each line comes when it is written", e, late
            )


def _written(event: Event) -> list[float]:
    """Return the times of the lines of a message, in unix seconds."""
    logs = event.json.get("logs")
    stamps = (
        [str(entry.get("timestamp")) for entry in logs if isinstance(entry, dict)]
        if isinstance(logs, list)
        else []
    )
    found = []
    for stamp in stamps:
        try:
            found.append(dt.datetime.fromisoformat(stamp).replace(tzinfo=dt.UTC).timestamp())
        except ValueError:
            continue
    return found
