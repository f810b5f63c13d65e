"""Programs with failing jobs: invalid inputs, timeouts, re-runs."""

from __future__ import annotations

from typing import Any

from falcontract.model.published import ASPECTS, DURATIONS
from falcontract.steps import IMAGE_URL, VALID_INPUT, Program, program, result, status, submit, until, wait


def inputs() -> dict[str, Any]:
    """Return inputs by name: valid ones, and ones that are invalid in one way each."""
    valid = {f"aspect_ratio {value}": VALID_INPUT | {"aspect_ratio": value} for value in ASPECTS}
    valid |= {f"duration {value}": VALID_INPUT | {"duration": value} for value in DURATIONS}
    return valid | {
        "empty object": {},
        "no prompt": {"image_url": IMAGE_URL},
        "no image_url": {"prompt": "x"},
        "prompt is a number": VALID_INPUT | {"prompt": 7},
        "image_url is null": VALID_INPUT | {"image_url": None},
        "aspect_ratio 1:1": VALID_INPUT | {"aspect_ratio": "1:1"},
        "duration 8 as a number": VALID_INPUT | {"duration": 8},
        "duration 4s": VALID_INPUT | {"duration": "4s"},
        "two errors": {"prompt": 7, "image_url": IMAGE_URL, "duration": "9s"},
        "unknown field": VALID_INPUT | {"seed": 7},
        "empty prompt": VALID_INPUT | {"prompt": ""},
    }


def programs() -> list[Program]:
    jobs = {f"J{n}": given for n, given in enumerate(inputs().values())}
    return [
        program(
            "broken-input",
            *(submit(given={}), status(), until("COMPLETED"), result(times=2), status(query="logs=1")),
            tier=2,
        ),
        program(
            "unknown-path",
            *(submit(endpoint="fal-ai/veo2/no-such-path"), until("COMPLETED"), result(), status()),
            tier=2,
        ),
        program(
            "schema",
            *(submit(job, given) for job, given in jobs.items()),
            wait(60),
            *(read(job) for job in jobs for read in (status, result)),
            runners=40,
            concurrency=40,
        ),
        program(
            "rerun",
            *(submit(webhook="r"), wait(1.5), status(), wait(1.75), status(), wait(1), status()),
            *(until("COMPLETED"), result()),
            run_timeout=2.0,
        ),
        program(
            "run-timeout",
            *(submit(headers={"X-Fal-No-Retry": "1"}), until("COMPLETED"), status(), result()),
            run_timeout=2.0,
        ),
        program(
            "start-timeout",
            submit("A", headers={"X-Fal-Request-Timeout": "30"}),
            submit("B", headers={"X-Fal-Request-Timeout": "2.5"}),
            *(wait(2), status("B"), wait(1), status("B"), result("B")),
            *(wait(10), status("B"), status("A"), result("A"), result("B")),
            runners=1,
        ),
    ]
