"""Programs that cancel: in the queue, while running, too late, twice."""

from __future__ import annotations

from falcontract.steps import (
    APP_PATH,
    UNKNOWN_ID,
    Program,
    call,
    cancel,
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
    twice = [[cancel(job), status(job), result(job)] * 2 for job in "AB"]
    return [
        program(
            "cancel-queued",
            *(submit(), status(), cancel(), status(query="logs=1"), result()),
            *(wait(20), status(query="logs=1"), result()),
            tier=3,
        ),
        program(
            "cancel-running",
            *(submit(), wait(2), status(), cancel(), status(), result()),
            *(wait(20), status(), result(), status()),
        ),
        program(
            "cancel-late",
            *(submit(given={}), until("COMPLETED"), cancel(), status(), result(), cancel()),
            tier=2,
        ),
        program("cancel-unknown", call("PUT", f"{APP_PATH}/requests/{UNKNOWN_ID}/cancel"), tier=1),
        program(
            "cancel-twice",
            submit("A"),
            *twice[0],
            submit("B"),
            wait(2),
            *twice[1][:4],
            wait(20),
            status("B"),
            result("B"),
            tier=3,
        ),
        program(
            "cancel-one-of-three",
            *(*each("ABC", submit), wait(1.5), cancel("A"), *each("ABC")),
            *(*each_after((20,), "ABC"), *each("ABC", result)),
            cancel="honoured",
        ),
    ]
