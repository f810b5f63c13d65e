"""The report of `falmock doctor`."""

from __future__ import annotations

import sys

import pytest
from programs import Ran, falmock, tool

ASK = "import httpx; httpx.get('https://api.fal.ai/v1/meta')"
PAST = "import httpx; httpx.get('https://queue.fal.run/', trust_env=False)"
NOT_EMULATED = "import httpx; httpx.get('https://gateway.fal.ai/')"
ELSEWHERE = "import httpx; httpx.get('https://example.com/')"


def doctor(program: str) -> Ran:
    for needed in ("unshare", "ip"):
        tool(needed)
    return falmock("doctor", "--", sys.executable, "-c", program)


@pytest.mark.parametrize(
    ("program", "code", "report"),
    [
        (ASK, 0, "the program ended with 0\nreaches the emulator: api.fal.ai (calls: 1)\n"),
        ("", 0, "the program ended with 0\nno calls to fal\n"),
        (PAST, 1, "DOES NOT REACH THE EMULATOR: queue.fal.run was called without the proxy\n"),
        (NOT_EMULATED, 1, "refused: gateway.fal.ai (a fal host that is not emulated)\n"),
        (ELSEWHERE, 0, "refused: example.com (another machine, and doctor is sealed)\n"),
    ],
)
def test_doctor_reports_where_the_calls_of_a_program_go(program: str, code: int, report: str) -> None:
    ran = doctor(program)

    assert (ran.code, ran.out[-len(report) :]) == (code, report)


def test_doctor_names_the_tools_that_are_missing() -> None:
    ran = falmock("doctor", "--", "true", PATH="/nowhere")

    assert (ran.code, "no unshare and no ip" in ran.err) == (2, True)
