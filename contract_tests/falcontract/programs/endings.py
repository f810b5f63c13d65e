"""Programs for the ways in which a job can end, and what comes after each."""

from __future__ import annotations

from typing import Any

from falcontract.model.published import NOT_RERUN, RERUN
from falcontract.steps import (
    HOUR,
    VALID_INPUT,
    Program,
    Step,
    cancel,
    each,
    lock,
    program,
    result,
    status,
    stream,
    submit,
    unlock,
    until,
    wait,
)


def _named(name: str) -> dict[str, Any]:
    return VALID_INPUT | {"prompt": f"({name})"}


def programs() -> list[Program]:
    failures = {f"J{n}": name for n, name in enumerate((*RERUN, *NOT_RERUN, "content_policy_violation"))}
    no_retry = {"X-Fal-No-Retry": "1"}
    rules = [{"fault": name, "prompt": f"({name})", "times": "always"} for name in failures.values()]
    return [
        program(
            "failures-again",
            *(submit(job, _named(name), webhook=job.lower()) for job, name in failures.items()),
            *(submit(f"N{job}", _named(name), headers=no_retry) for job, name in failures.items()),
            *(wait(6), *each((*failures, *(f"N{job}" for job in failures)))),
            *(wait(34), *each(failures), wait(40), *each(failures), *each(failures, result)),
            faults=rules,
            runners=40,
            concurrency=40,
        ),
        program(
            "slots",
            *_pair("A", submit("A")),
            *_pair("B", submit("B", {})),
            *_pair("C", submit("C"), cancel("C")),
            *_pair("D", submit("D"), wait(1.5), cancel("D")),
            *_pair("E", submit("E", _named("slow"), headers=no_retry)),
            *_pair("F", submit("F", _named("requeued"))),
            *_pair("G", submit("G", _named("runner_server_error"))),
            *(submit("H"), *_pair("I", submit("I", headers={"X-Fal-Request-Timeout": "1.1"}))),
            runners=1,
            concurrency=1,
            run_seconds=1.0,
            run_timeout=3.0,
            cancel="honoured",
            faults=[
                {"fault": "slow seconds=60", "prompt": "(slow)"},
                {"fault": "requeued times=1", "prompt": "(requeued)"},
                {"fault": "runner_server_error", "prompt": "(runner_server_error)"},
            ],
        ),
        program(
            "cancel-honoured",
            *(submit(), wait(2), status(), cancel(), status(), result()),
            cancel="honoured",
        ),
        program(
            "locked-queue",
            *(*each("ABC", submit), wait(1.5), lock(), *each("ABC"), wait(HOUR), *each("ABC")),
            *(unlock(), wait(20), *each("ABC"), *each("ABC", result)),
        ),
        program(
            "stream-moments",
            *(submit("A"), submit("B"), stream("B", query="logs=1"), status("B")),
            *(status("B", query="logs=1"), until("COMPLETED", "B")),
            runners=1,
        ),
    ]


def _pair(job: str, *steps: Step) -> list[Step]:
    """Return the steps of a job that ends in some way, and of another that needs its place."""
    other = f"{job}2"
    return [*steps, submit(other), wait(12), status(job), status(other), result(other)]
