"""Programs with every error of a model."""

from __future__ import annotations

from falcontract.model.published import MODEL_ERRORS
from falcontract.steps import VALID_INPUT, Program, program, result, status, submit, wait

UNREADABLE = "data:image/png;base64,AAAA"
UNREACHABLE = "http://127.0.0.1:9/picture.png"  # the port discards, so nothing listens there


def programs() -> list[Program]:
    jobs = {f"J{n}": name for n, name in enumerate(MODEL_ERRORS)}
    broken = {"I": UNREADABLE, "U": UNREACHABLE}
    return [
        program(
            "model-errors",
            *(submit(job, VALID_INPUT | {"prompt": f"({name})"}) for job, name in jobs.items()),
            wait(120),
            *(read(job) for job in jobs for read in (status, result)),
            faults=[{"fault": name, "prompt": f"({name})", "times": "always"} for name in MODEL_ERRORS],
            runners=40,
            concurrency=40,
        ),
        program(
            "broken-files",
            *(submit(job, VALID_INPUT | {"image_url": url}) for job, url in broken.items()),
            wait(20),
            *(read(job) for job in broken for read in (status, result)),
        ),
    ]
