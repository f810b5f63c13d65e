"""The bench measures and reports. No time is asserted."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from bench.figures import Figure
from bench.load import OK, Call, drive
from bench.page import PAGE
from bench.receiver import receiving
from processes import PATIENCE

if TYPE_CHECKING:
    from bench.load import Conversation

ROOT = Path(__file__).parents[1]


def bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_a_row_is_measured_and_reported_as_a_table_as_json_and_on_the_page(tmp_path: Path) -> None:
    results, page = tmp_path / "results.json", tmp_path / "performance.md"
    shutil.copy(PAGE, page)

    done = bench("--tiny", "--only", "polls", "--json", results, "--page", page)

    assert done.returncode == 0, done.stderr
    (row,) = json.loads(results.read_text())["rows"]
    assert (row["name"], row["errors"]) == ("polls", 0)
    assert {"falmock", "bare"} <= row["figures"][0]["medians"].keys()
    for text in (done.stdout, page.read_text()):
        assert "polls: calls a second" in text
        assert ">= 0.9 of bare" in text


def test_an_unknown_row_is_refused() -> None:
    done = bench("--only", "nothing")

    assert (done.returncode, "nothing: choose from flows, polls" in done.stderr) == (2, True)


def test_an_answer_with_another_status_is_an_error_and_ends_its_conversation() -> None:
    call = Call(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n", OK)
    with receiving() as receiver:
        receiver.answer(503)
        measured = drive(receiver.address, lambda: twice(call), connections=1)

    assert (measured.errors, receiver.count) == (1, 1)
    assert measured.first_error.startswith("HTTP/1.1 503")


def twice(call: Call) -> Conversation:
    yield call
    yield call


@pytest.mark.parametrize(("ours", "met"), [(9.0, True), (8.0, False)])
def test_a_goal_is_met_by_the_median_of_the_ratios_of_each_round(ours: float, met: bool) -> None:
    figure = Figure("calls a second", {"falmock": [ours, 100.0, 1.0], "bare": [10.0, 10.0, 10.0]})

    figure.compare("falmock", "bare", "least", 0.9)

    assert [verdict.met for verdict in figure.verdicts] == [met]


def test_a_goal_beside_a_server_that_is_missing_is_neither_met_nor_missed() -> None:
    figure = Figure("calls a second", {"falmock": [1.0]})

    figure.compare("falmock", "aimock", "least", 1.2)

    assert [(verdict.measured, verdict.met) for verdict in figure.verdicts] == [("not measured", None)]


def test_the_trace_counts_modules_and_calls() -> None:
    command = [sys.executable, "bench/trace.py"]

    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=True)

    assert [line.split()[0] for line in printed.stdout.splitlines()] == [
        "modules",
        "submit",
        "status",
        "result",
    ]
