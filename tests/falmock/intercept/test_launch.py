"""`falmock run` as a process: exit codes, signals, streams, and clean-up."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from processes import PATIENCE, served
from programs import IMAGE, PROGRAMS, QUICK, falmock, one_line, run, tool

NO_REQUEST = "no request arrived; `falmock doctor -- COMMAND` shows the calls to fal that go past falmock"
WAITS = """if True:
    import json, os, signal, sys
    caught = 0
    def catch(*_):
        global caught
        caught += 1
        os.write(1, f"caught {caught}\\n".encode())
    if sys.argv[1:] == ["count"]:
        signal.signal(signal.SIGINT, catch)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(caught))
    arrived, arrival = os.pipe()  # gets a byte for each signal, so that none is missed just before the wait
    os.set_blocking(arrival, False)
    signal.set_wakeup_fd(arrival)
    print(json.dumps({"pid": os.getpid(), **os.environ}), flush=True)
    while True:
        os.read(arrived, 1)
"""


def waiting(folder: Path, *arguments: str, **more: Any) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """Start a waiting program with `falmock run`; return the process and the program's environment."""
    command = [sys.executable, "-m", "falmock", "run", "--", sys.executable, "-c", WAITS, *arguments]
    process = subprocess.Popen(
        [*more.pop("before", []), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(folder)},
        **more,
    )
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def end(process: subprocess.Popen[str]) -> str:
    """Wait for the end of a process and return its standard error."""
    return process.communicate(timeout=PATIENCE)[1]


@pytest.mark.parametrize("code", [0, 7, 255])
def test_run_exits_with_the_code_of_the_program(code: int) -> None:
    assert falmock("run", "--", "sh", "-c", f"exit {code}").code == code


def test_run_exits_as_a_shell_does_when_a_signal_ends_the_program() -> None:
    assert falmock("run", "--", "sh", "-c", "kill -KILL $$").code == 128 + signal.SIGKILL


def test_run_exits_with_127_when_the_program_does_not_exist() -> None:
    ran = falmock("run", "--", "no-such-program")

    assert (ran.code, "no-such-program: command not found" in ran.err) == (127, True)


def test_run_exits_with_126_when_the_program_cannot_be_executed(tmp_path: Path) -> None:
    assert falmock("run", "--", str(tmp_path)).code == 126


def test_flags_after_the_program_are_passed_to_it() -> None:
    assert falmock("run", sys.executable, "-c", "print('mine')", "--help").out == "mine\n"


def test_the_program_keeps_its_streams_and_the_account_is_last_on_standard_error() -> None:
    ran = falmock("run", "--", "sh", "-c", "echo out; echo err >&2")

    used, *lines = ran.err.splitlines()
    assert re.fullmatch(
        r"falmock: using a new emulator at http://127\.0\.0\.1:\d+, in memory; .*requests", used
    )
    assert (ran.out, lines) == (
        "out\n",
        ["err", f"falmock: {NO_REQUEST}", "falmock: 0 requests, 0 results, 0 webhooks, $0.00 not spent"],
    )


def test_run_warns_of_programs_that_go_past_the_proxy_among_the_children(tmp_path: Path) -> None:
    worker = tmp_path / "workerd"
    worker.write_text("#!/bin/sh\nsleep 1.5\n")
    worker.chmod(0o755)

    ran = falmock("run", "--", "sh", "-c", f"sh -c '{worker}; true'; true")

    assert "falmock: workerd ran: its calls go past falmock" in ran.err


@pytest.mark.parametrize("name", ["éééééééééé", os.fsdecode(b"caf\xe9")])
def test_a_program_may_have_any_name(tmp_path: Path, name: str) -> None:
    program = tmp_path / name
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o755)

    assert falmock("run", "--", str(program)).code == 7


def test_run_says_nothing_of_requests_for_a_program_that_was_not_started() -> None:
    assert NO_REQUEST not in falmock("run", "--", "no-such-program").err


def test_run_reports_a_fault_without_effect() -> None:
    ran = falmock("run", "--scenario", "locked", "--", "true")

    assert ran.err.splitlines()[1] == "falmock: the fault 'locked' had no effect"


def test_run_reports_findings_of_the_client_check() -> None:
    submit = [tool("curl"), "-sS", "https://queue.fal.run/fal-ai/veo2/image-to-video", "-H"]

    ran = falmock("run", "--", *submit, "Authorization: Bearer me:secret", "--json", "{}")

    _, warning, finding, *_ = ran.err.splitlines()
    assert "a key sent as Bearer" in warning
    assert finding.startswith("falmock: client check: bearer-key: ")


STRICT = ("run", "--strict", "--")
# By what `falmock run` can fail on, a run that has it and nothing else.
TROUBLES = {
    "refused": ("--", "curl", "-sS", "https://ws.fal.run/"),
    "unused-faults": ("--scenario", "locked", "--", "true"),
    "lint": ("--", "curl", "-sS", "https://queue.fal.run/a/b", "-H", "Authorization: Bearer me:secret"),
}


@pytest.mark.parametrize(
    ("program", "code"), [("true", 0), ("exit 7", 7), ("curl -s https://ws.fal.run/; exit 7", 7)]
)
def test_a_strict_run_has_the_exit_code_of_the_program_if_nothing_is_wrong_or_the_program_failed(
    program: str, code: int
) -> None:
    assert falmock(*STRICT, "sh", "-c", program).code == code


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("fail_on", [*TROUBLES, "unused-faults, lint", "strict", "nothing"])
def test_run_exits_with_3_for_each_reason_of_fail_on(fail_on: str, trouble: str) -> None:
    if "curl" in TROUBLES[trouble]:
        tool("curl")
    flags = {"strict": ["--strict"], "nothing": []}.get(fail_on, ["--fail-on", fail_on])

    assert falmock("run", *flags, *TROUBLES[trouble]).code == (
        3 if trouble in fail_on or fail_on == "strict" else 0
    )


def test_an_unknown_word_of_fail_on_is_reported_in_one_line_before_the_program_starts() -> None:
    line = one_line(falmock("run", "--fail-on", "lint,unused_faults", "--", "echo", "ran"))

    assert "unused_faults: choose from refused, unused-faults, lint" in line


def test_a_program_without_a_key_gets_one_that_the_emulator_accepts() -> None:
    submit = '-sS https://queue.fal.run/fal-ai/veo2/image-to-video -H "Authorization: Key $FAL_KEY" -d {}'

    ran = falmock("run", "--", "sh", "-c", f"{tool('curl')} {submit}", FAL_KEY="")

    assert json.loads(ran.out)["status"] == "IN_QUEUE"


def test_report_leaves_journal_archive_account_and_videos(tmp_path: Path) -> None:
    program = """if True:
        import fal_client, pathlib
        arguments = {"prompt": "A lego chef", "image_url": "https://example.com/chef.png"}
        handle = fal_client.submit("fal-ai/veo2/image-to-video", arguments)
        print(handle.request_id)
        handle.get()
    """
    flags = (
        "--report",
        str(tmp_path / "report"),
        "--queue-seconds",
        "0",
        "--run-seconds",
        "0",
        "--media",
        "plain",
    )

    ran = falmock("run", *flags, "--", sys.executable, "-c", program)

    files = {path.name: path.read_bytes() for path in (tmp_path / "report").iterdir()}
    assert files.keys() == {"journal.jsonl", "calls.har", "account.json", f"{ran.out.strip()}.mp4"}
    assert json.loads(files["account.json"])["results"] == 1
    assert len(json.loads(files["calls.har"])["log"]["entries"]) >= 3
    assert b'"event": "finish"' in files["journal.jsonl"]


def test_a_report_has_every_file_of_a_request(tmp_path: Path) -> None:
    image = [tool("curl"), "-sS", "https://fal.run/fal-ai/flux/dev", "--json"]
    flags = ("--report", str(tmp_path), "--run-seconds", "0", "--media", "plain")

    falmock(
        "run", *flags, "--", *image, '{"prompt": "a hill", "num_images": 3}', "-H", "Authorization: Key a:b"
    )

    names = sorted(path.name for path in tmp_path.glob("*.jpg"))
    assert [name[36:] for name in names] == ["-2.jpg", "-3.jpg", ".jpg"]  # after the request id


def test_a_report_that_cannot_be_written_is_refused_before_the_program_runs(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    ran = falmock("run", "--report", str(tmp_path / "file" / "report"), "--", "echo", "ran")

    assert one_line(ran).endswith("(Not a directory): choose another --report")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize(("code", "ended"), [(0, 3), (7, 7)])
def test_run_keeps_the_code_of_a_program_that_failed_when_there_is_no_room_for_the_account(
    code: int, ended: int
) -> None:
    ran = falmock("run", "--account", "/dev/full", "--", "sh", "-c", f"exit {code}")

    assert ran.code == ended
    assert "falmock: cannot write to /dev/full: No space left on device\n" in ran.err


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_run_works_without_a_standard_stream(closed: str) -> None:
    started = f'"{sys.executable}" -m falmock run -- sh -c "exit 7" {closed}'

    assert run("sh", "-c", started).code == 7


def test_an_account_that_cannot_be_written_is_refused_before_the_program_runs(tmp_path: Path) -> None:
    path = tmp_path / "no-such-folder" / "account.json"

    assert str(path) in one_line(falmock("run", "--account", str(path), "--", "echo", "ran"))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_run_forwards_signals_to_the_program(tmp_path: Path, how: signal.Signals) -> None:
    process, _ = waiting(tmp_path)

    process.send_signal(how)
    end(process)

    assert process.returncode == 128 + how


def test_a_signal_reaches_the_children_of_the_program(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "falmock", "run", "--", "sh", "-c", "sleep 1000 & echo $!; wait"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    sleeper = psutil.Process(int(process.stdout.readline()))

    process.send_signal(signal.SIGTERM)
    end(process)

    sleeper.wait(PATIENCE)


def test_ctrl_c_at_a_terminal_reaches_the_program_once(tmp_path: Path) -> None:
    keyboard, terminal = pty.openpty()
    try:
        process, _ = waiting(tmp_path, "count", stdin=terminal, before=[tool("setsid"), "--ctty", "--wait"])
        assert process.stdout is not None
        os.write(keyboard, b"\x03")
        assert process.stdout.readline() == "caught 1\n"
        (run,) = psutil.Process(process.pid).children()
        run.send_signal(signal.SIGTERM)
        end(process)
    finally:
        os.close(keyboard)
        os.close(terminal)

    assert process.returncode == 1


def test_run_leaves_no_port_no_process_and_no_file(tmp_path: Path) -> None:
    process, environment = waiting(tmp_path)
    ports = [urlsplit(environment[name]).port for name in ("FALMOCK_URL", "HTTPS_PROXY")]
    ports.append(json.loads(environment["FALMOCK_SERVER"])["https"])

    process.send_signal(signal.SIGINT)
    end(process)

    assert not psutil.pid_exists(environment["pid"])
    assert list(tmp_path.iterdir()) == []
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", int(port or 0))) != 0


def test_run_ends_while_a_stream_is_open(tmp_path: Path) -> None:
    program = """if True:
        import httpx, os, signal
        key = {"Authorization": "Key me:secret"}
        sent = httpx.post("https://queue.fal.run/fal-ai/veo2/image-to-video", json={}, headers=key).json()
        with httpx.stream("GET", sent["status_url"] + "/stream", headers=key) as answer:
            next(answer.iter_lines())
            os.kill(os.getpid(), signal.SIGKILL)
    """
    ran = falmock("run", "--queue-seconds", "1000", "--", sys.executable, "-c", program)

    assert (ran.code, "1 request, 0 results" in ran.err) == (137, True)


def test_run_joins_the_running_emulator(tmp_path: Path) -> None:
    with served("--state", str(tmp_path)) as server:
        ran = falmock("run", "--state", str(tmp_path), "--", "sh", "-c", "echo $FALMOCK_URL")

    assert ran.out == f"{server.address}\n"
    assert f"falmock: using the emulator at {server.address}, which serves {tmp_path}\n" in ran.err


PUBLIC = "http://clips.example:9000"
FETCHED = {"upload": 200, "picture": 200, "video": "ftyp"}
BEHIND = ("--", sys.executable, str(PROGRAMS / "behind_proxy.py"), PUBLIC, str(IMAGE))


def test_public_url_is_the_address_of_files_of_a_new_emulator(tmp_path: Path) -> None:
    report = falmock("run", *QUICK, "--public-url", PUBLIC, *BEHIND, cwd=tmp_path).report

    assert report.pop("status_url").startswith("https://queue.fal.run/")
    assert report == FETCHED


def test_public_url_of_a_joined_emulator_is_the_address_of_files(tmp_path: Path) -> None:
    with served("--state", str(tmp_path), *QUICK, "--public-url", PUBLIC):
        ran = falmock("run", "--state", str(tmp_path), *BEHIND)

    assert ran.report.pop("status_url").startswith("https://queue.fal.run/")
    assert FETCHED.items() <= ran.report.items()


def test_run_refuses_flags_that_a_running_emulator_would_ignore(tmp_path: Path) -> None:
    with served("--state", str(tmp_path)):
        flags = ("--scenario", "outage", "--time-scale", "5")
        ran = falmock("run", "--state", str(tmp_path), *flags, "--", "echo", "ran", FALMOCK_RUNNERS="3")

    assert "so --time-scale, --scenario would have no effect: add --alone" in one_line(ran)


@pytest.mark.parametrize("flag", ["--alone", "--strict", "--fail-on=lint", "--sealed", "--report=report"])
def test_run_uses_a_new_emulator_when_it_must(tmp_path: Path, flag: str) -> None:
    with served("--state", str(tmp_path)) as server:
        command = ("run", "--state", str(tmp_path), flag, "--", "sh", "-c", "echo $FALMOCK_URL")
        ran = falmock(*command, cwd=tmp_path)

    assert ran.out != f"{server.address}\n"
    assert "using a new emulator" in ran.err


def test_the_account_of_a_joined_emulator_covers_only_this_run(tmp_path: Path) -> None:
    submit = (tool("curl"), "-sS", "https://queue.fal.run/fal-ai/veo2/image-to-video", "--json", "{}")
    with served("--state", str(tmp_path), "--queue-seconds", "1000") as server:
        server.submit()
        ran = falmock("run", "--state", str(tmp_path), "--", *submit, "-H", "Authorization: Key a:b")

    assert re.search(r"falmock: 1 request, 0 results", ran.err)


@pytest.mark.parametrize(("code", "ended"), [(0, 3), (7, 7)])
def test_run_keeps_the_code_of_the_program_when_the_joined_emulator_has_ended(
    tmp_path: Path, code: int, ended: int
) -> None:
    with served("--state", str(tmp_path)) as server:
        kill = f"kill -KILL {server.process.pid}; exit {code}"
        ran = falmock("run", "--state", str(tmp_path), "--", "sh", "-c", kill)
        server.stop(signal.SIGKILL)  # it has ended; closes its streams

    assert ran.code == ended
    assert ran.err.splitlines()[-1].startswith("falmock: no summary: cannot query the emulator at ")


def test_run_does_not_join_an_emulator_that_was_killed(tmp_path: Path) -> None:
    with served("--state", str(tmp_path)) as server:
        server.stop(signal.SIGKILL)
        ran = falmock("run", "--state", str(tmp_path), "--", "sh", "-c", "echo $FALMOCK_URL")

    assert ran.out.startswith("http://127.0.0.1:")
    assert ran.out != f"{server.address}\n"
