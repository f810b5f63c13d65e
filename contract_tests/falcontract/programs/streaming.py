"""Programs that read logs and status streams."""

from __future__ import annotations

from falcontract.steps import Program, program, result, status, stream, submit, until, wait


def programs() -> list[Program]:
    queries = [status(query=query) for query in ("logs=0", "logs=false", "logs=1", "logs=true")]
    return [
        program(
            "logs",
            *(submit(), status(), status(query="logs=1"), wait(1.5), status(), *queries),
            *[wait(0.75), status(query="logs=1")] * 5,
            *(wait(10), status(), status(query="logs=1"), status(query="logs=true")),
        ),
        program("logs-rejected", submit(given={}), wait(10), status(query="logs=1")),
        program("stream", submit(), stream(query="logs=1"), status(), status(query="logs=1")),
        program(
            "stream-long", submit(), stream(seconds=120.0), status(), queue_seconds=20.0, run_seconds=40.0
        ),
        program(
            "stream-cancelled",
            *(submit(), wait(2), stream(query="logs=0"), status()),
            *(submit("B", {}), stream("B"), status("B")),
        ),
        program("stream-late", submit(given={}), until("COMPLETED"), stream(), status(), result(), tier=2),
    ]
