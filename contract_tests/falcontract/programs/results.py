"""Programs that read results: early, repeatedly, and after they expire."""

from __future__ import annotations

from falcontract.steps import (
    DAY,
    HOUR,
    VALID_INPUT,
    VEO2,
    Program,
    each,
    each_after,
    program,
    result,
    status,
    submit,
    until,
    wait,
)


def programs() -> list[Program]:
    return [
        program(
            "early-result",
            *(submit(), result(), status(), wait(2), result(path=f"/{VEO2}/requests/{{A}}")),
            *(result(), status(), wait(20), status(), result()),
        ),
        program(
            "repeated-results",
            *(submit(), result(times=30), status(), wait(0.75), result(times=5), status(), wait(0.5)),
            *(result(times=30), status(), wait(3.5), status(), wait(0.5), status(), result(times=3)),
        ),
        program(
            "distinct-errors",
            *(
                submit(job, VALID_INPUT | {"duration": f"{n + 10}s"}, webhook=job.lower())
                for n, job in enumerate("ABCD")
            ),
            *each_after((0.5, 20), "ABCD"),
            *each("ABCD", result),
        ),
        program(
            "retention",
            *(submit(), until("COMPLETED"), result(), wait(6 * DAY), result()),
            *(wait(24 * DAY - 5), result(), wait(10), result()),
        ),
        program(
            "retention-large",
            *(submit(given={"prompt": "x" * 20_000}), until("COMPLETED"), result()),
            *(wait(HOUR), result(), wait(30 * DAY), result()),
        ),
    ]
