"""Programs whose results have headers to compare: runners, billed units."""

from __future__ import annotations

from falcontract.steps import VALID_INPUT, VEO2, Program, call, program, result, submit, until


def programs() -> list[Program]:
    prices = call("GET", "/v1/models/pricing", host="api", query=f"endpoint_id={VEO2}")
    return [
        program(
            "two-runs",
            *(submit("A"), until("COMPLETED", "A"), result("A")),
            *(submit("B"), until("COMPLETED", "B"), result("B")),
            call("POST", f"/{VEO2}", host="run", input=VALID_INPUT, seconds=30.0),
            runners=1,
        ),
        program(
            "units",
            *(submit("A"), submit("B", VALID_INPUT | {"duration": "8s"}), until("COMPLETED", "A")),
            *(result("A"), until("COMPLETED", "B"), result("B"), prices),
            runners=1,
        ),
    ]
