"""Programs that read statuses: one job, a queue, a limit, many polls."""

from __future__ import annotations

from falcontract.steps import (
    APP_PATH,
    Program,
    cancel,
    each,
    each_after,
    fetch,
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
            "lifecycle",
            *(submit(), status(), until("IN_PROGRESS"), status()),
            *(until("COMPLETED"), result(), fetch(), status()),
        ),
        program(
            "queue",
            *(*each("ABCD", submit), *each("ABCD"), *each_after((1.5, 4, 4), "ABCD")),
            runners=1,
        ),
        program(
            "queue-cancelled",
            *(*each("ABC", submit), *each_after((1.5,), "ABC"), cancel("B")),
            *(*each("ABC", query="logs=1"), *each_after((5, 5), "ABC"), *each("ABC", result)),
            runners=1,
        ),
        program(
            "queue-low-priority",
            *(submit("A"), submit("B", headers={"X-Fal-Queue-Priority": "low"}), submit("C")),
            *each_after((1.5, 4, 4), "ABC"),
            runners=1,
        ),
        program(
            "repeated-polls",
            *(submit(), status(times=30), wait(0.75), status(), wait(0.5), status(times=30)),
            *(wait(3.5), status(times=2), wait(1), status(times=2)),
        ),
        program(
            "trailing-slash",
            *(submit(), status(), status(path=f"{APP_PATH}/requests/{{A}}/status/")),
            *(result(), result(path=f"{APP_PATH}/requests/{{A}}/"), wait(20)),
            *(status(query="logs=0"), status(path=f"{APP_PATH}/requests/{{A}}/status/", query="logs=0")),
            *(result(), result(path=f"{APP_PATH}/requests/{{A}}/")),
            *(cancel(), cancel(path=f"{APP_PATH}/requests/{{A}}/cancel/")),
        ),
        program(
            "over-limit",
            *(*each("ABCDE", submit), *each("ABCDE"), *each_after((1.5, 4, 4), "ABCDE")),
            runners=4,
            concurrency=2,
        ),
    ]
