"""Programs that download videos."""

from __future__ import annotations

import base64
import json
from typing import Final
from urllib.parse import quote

from falcontract.programs.inputs import picture
from falcontract.steps import VALID_INPUT, Program, fetch, program, result, status, submit, until, wait

NEARLY_EQUAL: Final[dict[str, dict[str, str]]] = {
    "A": {"aspect_ratio": "16:9"},
    "B": {"aspect_ratio": "9:16"},
    "C": {"aspect_ratio": "16:9", "duration": "6s"},
    "D": {"aspect_ratio": "9:16", "duration": "6s"},
}


def _data_uris() -> dict[str, str]:
    """Return a picture as data URIs that are odd but legal (RFC 2397)."""
    content = picture(100).partition(",")[2]
    return {
        "A": f"data:image/png;base64,{content}",
        "B": f"DATA:image/PNG;BASE64,{content}",
        "C": f"data:image/png;name=a.png;base64,{content}",
        "D": f"data:;base64,{content}",
        "E": f"data:image/png;base64,{quote(content, safe='')}",
        "F": f"data:image/png,{quote(base64.b64decode(content), safe='')}",
    }


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
            "nearly-equal",
            *(submit(job, VALID_INPUT | more) for job, more in NEARLY_EQUAL.items()),
            wait(60),
            *(step for job in NEARLY_EQUAL for step in (status(job), result(job), fetch(job))),
            tier=5,
            runners=9,
        ),
        program(
            "data-uris",
            *(submit(job, VALID_INPUT | {"image_url": url}) for job, url in _data_uris().items()),
            wait(60),
            *(read(job) for job in _data_uris() for read in (status, result)),
            runners=9,
        ),
        program(
            "file-lifetime",
            *(submit("A", headers=lifetime), submit("B"), until("COMPLETED", "A"), result("A")),
            *(status("B"), result("B"), fetch("A"), wait(30), fetch("A"), wait(31), fetch("A"), fetch("B")),
        ),
    ]
