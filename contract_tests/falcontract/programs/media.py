"""Programs that download videos."""

from __future__ import annotations

import json

from falcontract.steps import VALID_INPUT, Program, fetch, program, result, status, submit, until, wait


def programs() -> list[Program]:
    lifetime = {"X-Fal-Object-Lifecycle-Preference": json.dumps({"expiration_duration_seconds": 60})}
    return [
        program(
            "portrait",
            submit(given=VALID_INPUT | {"aspect_ratio": "9:16", "duration": "6s"}),
            *(until("COMPLETED"), result(), fetch()),
            tier=5,
        ),
        program(
            "file-lifetime",
            *(submit("A", headers=lifetime), submit("B"), until("COMPLETED", "A"), result("A")),
            *(status("B"), result("B"), fetch("A"), wait(30), fetch("A"), wait(31), fetch("A"), fetch("B")),
        ),
    ]
