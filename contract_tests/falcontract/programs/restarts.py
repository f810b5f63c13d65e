"""Programs that stop and start the target: in each state of a job, with deliveries and files."""

from __future__ import annotations

from falcontract.steps import Program, cancel, each, fetch, program, restart, result, status, submit, wait


def programs() -> list[Program]:
    return [
        program(
            "restarts",
            *(submit("A", webhook="r", answers=(500, 200)), submit("B"), restart(), *each("AB")),
            *(wait(2), *each("AB"), restart(), *each("AB"), submit("C"), cancel("C"), restart()),
            *(status("C"), wait(4), *each("AB"), result("A"), fetch("A"), restart(), *each("AB", result)),
            *(fetch("A"), result("C"), wait(60), status("A"), restart(), wait(60), result("A")),
            runners=1,
        ),
    ]
