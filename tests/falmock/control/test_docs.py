"""The commands of docs/control.md run, and its table is complete."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processes import PATIENCE, Receiver, served
from programs import tool

if TYPE_CHECKING:
    from emulated import Mock

PAGE = (Path(__file__).parents[3] / "docs" / "control.md").read_text()
SERVE, *COMMANDS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


def test_the_commands_on_the_control_page_run_from_top_to_bottom() -> None:
    for program in ("bash", "curl", "sed"):
        tool(program)
    flags, command = shlex.split(SERVE, comments=True)[2:], ["bash", "-eu"]
    with Receiver() as receiver, served("--ephemeral", *flags) as server:
        script = "\n".join(COMMANDS).replace("http://localhost:3000/hook", receiver.url)
        done = subprocess.run(
            command,
            input=script.replace("http://127.0.0.1:8787", server.address),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        delivered = receiver.next()
        findings = server.http.get("/control/lint").json()["findings"]

    answers: list[Any] = [json.loads(line) for line in done.stdout.splitlines() if line]
    assert (done.returncode, done.stderr) == (0, "")
    assert (delivered["status"], findings) == ("OK", [])
    assert [each["state"] for each in answers if "state" in each] == [
        "IN_QUEUE",  # held, and still
        "IN_QUEUE",
        "IN_PROGRESS",  # released
        "COMPLETED",  # finished
        "COMPLETED",  # failed
        "IN_PROGRESS",  # waited for
        "COMPLETED",
        "COMPLETED",  # restored
    ]
    assert [each["outcome"] for each in answers if "outcome" in each] == [
        "delivered",
        "pending",  # delivered again
        "pending",
    ]
    assert [each["requests"] for each in answers if list(each) == ["requests"]] == [3, 0, 0]


async def test_the_table_on_the_control_page_lists_every_operation(mock: Mock) -> None:
    document = (await mock.http.get("/control/openapi.json")).json()
    table = [
        (f"{method.upper()} {path.removeprefix('/control')}", operation["summary"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]

    assert re.findall(r"^\| `([A-Z]+ \S+)` \| (.*) \|$", PAGE, re.MULTILINE) == table
