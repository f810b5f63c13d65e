"""Programs for clients: what they send, trouble on the line, limits, files, signatures."""

from __future__ import annotations

from typing import Any

from falcontract.steps import Program, cancel, client, program, result, status, submit, until, wait

LOST: dict[str, list[dict[str, Any]]] = {
    "submit-reset": [{"fault": "connection_reset", "on": "submit"}],
    "submit-lost": [{"fault": "answer_lost", "on": "submit"}],
    "submit-502": [{"fault": "bad_gateway", "on": "submit"}],
    "submit-503": [{"fault": "runner_disconnected", "on": "submit"}],
    "submit-429": [{"fault": "rate_limited", "on": "submit"}],
}


def programs() -> list[Program]:
    reads = [status(), until("COMPLETED"), result(), cancel()]
    free = ("status", "result", "cancel")
    return [
        program("client-calls", submit(), *reads, client("download"), client("upload", body="notes")),
        *(program(f"client-{name}", submit(), wait(20), client_faults=rules) for name, rules in LOST.items()),
        program(
            "client-trouble",
            *(submit(), wait(20), *(read for read in reads if read.do != "until")),
            client_faults=[{"fault": "connection_reset", "on": on, "then": ["bad_gateway"]} for on in free],
        ),
        program(
            "client-half-answers",
            *(submit(), wait(20), *(read for read in reads if read.do != "until")),
            client_faults=[{"fault": "truncated_body", "on": on} for on in ("status", "result")],
        ),
        program("client-limit", submit(), client("wait", seconds=2.0), cancel="honoured"),
        program(
            "client-limit-outage",
            *(submit(), client("wait", seconds=2.0)),
            client_faults=[{"fault": "bad_gateway", "on": "status", "times": "always"}],
            cancel="honoured",
        ),
        program("client-patience", submit(), client("wait")),
        program(
            "client-short-files",
            *(submit(), until("COMPLETED"), result(), client("download")),
            client_faults=[{"fault": "media_truncated", "on": "download", "times": "always"}],
        ),
        program(
            "client-broken-file",
            *(submit(), until("COMPLETED"), result(), client("download")),
            client_faults=[{"fault": "media_truncated", "on": "download"}],
        ),
        program("client-webhook", submit(given={}, webhook="r"), wait(20), status(), client("verify")),
    ]
