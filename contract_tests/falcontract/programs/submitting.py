"""Programs that submit, in valid and invalid ways."""

from __future__ import annotations

from typing import Final

from falcontract.steps import VEO2, Program, call, program, result, status, submit, wait

ORIGIN: Final = "http://localhost:3000"
MALFORMED_BODIES: Final = {
    "A": ("{", "application/json"),
    "B": ("", "application/json"),
    "C": ("[1, 2]", "application/json"),
    "D": ("prompt=x", "application/x-www-form-urlencoded"),
    "E": ("null", "application/json"),
    "F": ('"text"', "application/json"),
}


def programs() -> list[Program]:
    jobs = MALFORMED_BODIES.items()
    preflight = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    return [
        program(
            "equal-submits",
            *(submit("A"), submit("B"), wait(20)),
            *(status("A"), status("B"), result("A"), result("B")),
        ),
        program(
            "bad-timeout",
            submit("A", headers={"X-Fal-Request-Timeout": "soon"}),
            submit("B", headers={"X-Fal-Request-Timeout": "0"}),
            submit("C", headers={"X-Fal-Request-Timeout": "-3"}),
            submit("E", headers={"X-Fal-Request-Timeout": "0.1"}),
            submit("D"),
            tier=2,
        ),
        program(
            "malformed-bodies",
            *(submit(job, body=body, content_type=kind) for job, (body, kind) in jobs),
            wait(20),
            *(read(job) for job in MALFORMED_BODIES for read in (status, result)),
            tier=2,
        ),
        program(
            "cors",
            call("OPTIONS", f"/{VEO2}", key="none", headers=preflight),
            submit(headers={"Origin": ORIGIN}),
            status(headers={"Origin": ORIGIN}),
            tier=2,
        ),
    ]
