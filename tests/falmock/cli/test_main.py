"""The command as a person and a script meet it."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import click
import httpx
import pytest
from processes import PATIENCE, running, served

from falmock.cli.main import falmock
from falmock.faults.scenarios import presets
from falmock.faults.vocabulary import FAULTS


def run(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "falmock", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=cwd,
        env=os.environ | environment,
        check=False,
    )


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the only line of standard error of a command that was called wrongly."""
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "many"],
        ["--port", "70000"],
        ["--runners", "0"],
        ["--queue-seconds", "soon"],
        ["--run-seconds", "5-4"],
        ["--time-scale", "-1"],
        ["--media", "opera"],
        ["--keys", "no-colon"],
        ["--ffmpeg", "/no/such/ffmpeg"],
        ["--log-format", "xml"],
        ["--no-such-flag"],
        ["--host", "192.0.2.1", "--port", "0"],
    ],
)
def test_a_wrong_argument_is_one_line_and_exit_code_2(arguments: list[str]) -> None:
    assert one_line(run("serve", "--ephemeral", *arguments)).startswith("falmock: ")


def test_a_wrong_variable_is_one_line_that_names_it() -> None:
    assert "FALMOCK_RUNNERS" in one_line(run("serve", "--ephemeral", FALMOCK_RUNNERS="none"))


def test_a_secret_in_a_wrong_key_is_not_repeated() -> None:
    assert "hush" not in one_line(run("serve", "--ephemeral", FALMOCK_KEYS="hush-hush"))


def test_a_busy_port_is_one_line_that_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        line = one_line(run("serve", "--ephemeral", "--port", str(taken.getsockname()[1])))

    assert ("in use" in line, "--port" in line) == (True, True)


def test_a_state_folder_that_cannot_be_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    line = one_line(run("serve", "--port", "0", "--state", str(tmp_path / "file" / "state")))

    assert ("cannot use" in line, "--state" in line) == (True, True)


def test_a_database_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "falmock.db").write_text("not a database, and longer than a page header would be " * 20)

    assert "falmock.db is damaged" in one_line(run("serve", "--port", "0", "--state", str(tmp_path)))


def test_a_state_folder_that_another_one_uses_is_one_line(tmp_path: Path) -> None:
    with served("--state", str(tmp_path)):
        line = one_line(run("serve", "--port", "0", "--state", str(tmp_path)))

    assert "in use by another falmock" in line


def test_help_tells_a_stranger_what_it_is() -> None:
    told = run("--help").stdout

    assert ("offline emulator" in told, "serve" in told) == (True, True)


def test_help_has_a_sentence_and_a_variable_for_every_flag() -> None:
    options = [each for each in falmock.commands["serve"].params if isinstance(each, click.Option)]

    assert [each.name for each in options if not (each.help or "").endswith(".")] == []
    assert [each.name for each in options if not str(each.envvar).startswith("FALMOCK_")] == []


def test_variables_set_what_flags_set() -> None:
    told = run("serve", "--help", FALMOCK_PORT="1234").stdout

    assert "FALMOCK_PORT" in told


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(how: signal.Signals, tmp_path: Path) -> None:
    with served("--state", str(tmp_path), "--run-seconds", "60") as server:
        server.submit()
        code = server.stop(how)

    assert (code, "Traceback" in server.log) == (0, False)


@pytest.mark.parametrize(
    "path", ["/fal-ai/veo2/requests/{id}/status/stream", "/fal.run/fal-ai/veo2/image-to-video"]
)
def test_a_signal_ends_what_somebody_waits_for(path: str, tmp_path: Path) -> None:
    with served("--state", str(tmp_path), "--run-seconds", "60") as server:
        request_id = server.submit()["request_id"]
        method, body = ("GET", b"") if "{id}" in path else ("POST", b"{}")
        with socket.create_connection(("127.0.0.1", server.port)) as wire:
            wire.sendall(raw(method, path.format(id=request_id), body))
            server.wait_for("IN_PROGRESS")
            code = server.stop(signal.SIGINT)
            while wire.recv(65536):
                pass

    assert (code, "Traceback" in server.log, "ERROR" in server.log) == (0, False, False)


def test_a_caller_who_leaves_in_the_middle_of_a_submit_is_no_error(tmp_path: Path) -> None:
    with served("--state", str(tmp_path)) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as wire:
            wire.sendall(raw("POST", "/fal-ai/veo2/image-to-video", b"half a body")[:-5])
        assert server.http.get("/health").status_code == 200
        server.stop()

    assert ("Traceback" in server.log, "IN_QUEUE" in server.log) == (False, False)


def raw(method: str, path: str, content: bytes) -> bytes:
    """Return a call as it is on the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Authorization: Key me:secret"]
    if content:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


def test_it_answers_as_soon_as_it_says_where_it_listens() -> None:
    with served("--ephemeral", "--seed", "7") as server:
        assert server.http.get("/health").json()["status"] == "ok"


def test_the_banner_says_how_to_point_a_client_at_it() -> None:
    with served("--ephemeral") as server:
        address = server.address
        server.stop()

    assert re.search(rf"curl {re.escape(address)}/fal-ai/veo2/image-to-video", server.log)


def test_the_banner_names_every_port_that_other_machines_can_call() -> None:
    with served("--ephemeral", "--host", "0.0.0.0") as server:
        server.stop()

    said = re.search(
        r"WARNING +other machines can call http 0\.0\.0\.0:(\d+), tls 0\.0\.0\.0:\d+, proxy 0\.0\.0\.0:\d+",
        server.log,
    )
    assert said is not None
    assert int(said[1]) == server.port


def test_the_banner_speaks_of_nobody_else_where_only_this_machine_can_call() -> None:
    with served("--ephemeral") as server:
        server.stop()

    assert "other machines" not in server.log


def test_no_forwarded_header_is_believed_from_a_socket() -> None:
    with served("--ephemeral") as server:
        headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}
        body = {"prompt": "x", "image_url": "https://example.com/x.png"}
        answer = server.http.post("/fal-ai/veo2/image-to-video", json=body, headers=headers)

    assert answer.json()["status_url"].startswith(server.address)


def test_a_trusted_proxy_is_believed_from_a_socket() -> None:
    with served("--ephemeral", "--trusted-proxy", "127.0.0.1,10.0.0.0/8") as server:
        answer = server.http.get("/control/clock", headers={"X-Forwarded-For": "192.0.2.7"})

    assert (answer.status_code, "comes from 192.0.2.7" in answer.json()["detail"]) == (403, True)


def test_an_ephemeral_one_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    with served("--ephemeral", "--run-seconds", "0", "--queue-seconds", "0") as server:
        server.result(server.submit()["request_id"])

    assert list(tmp_path.iterdir()) == []


def test_no_key_and_no_token_is_ever_logged(tmp_path: Path) -> None:
    with served(
        "--state", str(tmp_path), "--log-level", "debug", "--queue-seconds", "0", "--run-seconds", "0"
    ) as server:
        secret = httpx.Headers({"Authorization": "Key me:hushhush"})
        body = {"prompt": "x", "image_url": "https://example.com/x.png?token=hushhush"}
        url = "/fal-ai/veo2/image-to-video?fal_webhook=http://u:hushhush@127.0.0.1:9/x?t=hushhush"
        submitted = server.http.post(url, json=body, headers=secret).json()
        server.wait_for(f"{submitted['request_id']} to http://127.0.0.1:9/x")
        server.stop()

    assert "hushhush" not in server.log


FAL_KEY = "5f0c2f6e-9d6f-4c1b-8a52-1f0e5b7c9d3a:0123456789abcdef0123456789abcdef"  # of nobody
SENT_KEY = "me:hush%hush+hush/hush"  # every character has an escape in some encoding


def misplaced(key: str) -> list[tuple[str, str, dict[str, str], Any]]:
    """Return calls with a key in each wrong place, in each encoding: method, path, headers, body."""
    escaped, twice = quote(key, safe=""), quote(quote(key, safe=""), safe="")
    basic = base64.b64encode(key.encode()).decode()
    endpoint = "/fal-ai/veo2/image-to-video"
    good = {"prompt": "x", "image_url": "https://example.com/x.png"}
    return [
        ("GET", f"/fal-ai/veo2/{escaped}/requests/{escaped}/status", {}, None),
        ("GET", f"/{escaped}/x", {}, None),
        ("POST", f"{endpoint}/{escaped}", {}, good),
        ("POST", f"{endpoint}?{escaped}={escaped}&logs={escaped}", {}, good),
        ("POST", f"{endpoint}?fal_webhook=http://127.0.0.1:9/{twice}/{escaped}", {}, good),
        ("POST", endpoint, {"x-falmock-test": key, "x-note": key, "referer": f"http://x/{escaped}"}, good),
        ("POST", endpoint, {"x-note": f"Basic {basic}", "user-agent": f"a {basic} b"}, good),
        ("POST", endpoint, {}, good | {"prompt": f"{key} {escaped} {basic}", key: [key]}),
        ("POST", endpoint, {}, good | {"image_url": f"https://example.com/{escaped}?x={escaped}"}),
        ("POST", "/v3.fal.media/files/upload", {"x-fal-file-name": key}, None),
    ]


def test_a_key_in_a_wrong_place_is_shown_nowhere(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state"))
    quick = ("--log-level", "debug", "--queue-seconds", "0", "--run-seconds", "0")
    with served(*state, *quick) as server:
        for key in (FAL_KEY, SENT_KEY):
            sender = {} if key == FAL_KEY else {"Authorization": f"Key {key}"}
            for method, path, headers, body in misplaced(key):
                server.http.request(method, path, headers=sender | headers, json=body)
        server.wait_for("webhook of")
        told = [
            run("journal", *state).stdout,
            run("journal", "--format", "har", *state).stdout,
            run("lint", *state).stdout,
            run("ledger", *state).stdout,
        ]
        server.stop()

    assert all(told[:2])
    for text in (server.log, *told):
        undone = unquote(unquote(text)).replace("\\/", "/")
        assert FAL_KEY.partition(":")[2] not in undone
        assert "hush" not in undone
        for key in (FAL_KEY, SENT_KEY):
            assert base64.b64encode(key.encode()).decode()[4:-4] not in text


def modes(folder: Path) -> dict[str, int]:
    """Return what all may do with each file and folder in a folder, and with the folder."""
    return {str(path): stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}


def test_a_state_folder_is_its_owners_only_whatever_the_umask(tmp_path: Path) -> None:
    state = tmp_path / "state"
    serve = (sys.executable, "-m", "falmock", "serve", "--port", "0", "--state", str(state))
    quick = ("--media", "plain", "--queue-seconds", "0", "--run-seconds", "0")
    with running("sh", "-c", 'umask 000; exec "$0" "$@"', *serve, *quick) as server:
        submitted = server.submit(prompt="a long prompt " * 2000)  # too long for a row
        assert server.result(submitted["request_id"])["video"]
        where = server.http.post("/rest.fal.ai/storage/upload/initiate", json={"file_name": "x"}).json()
        path, _, query = where["upload_url"].partition("?")
        assert server.http.put(f"{path}/1?{query}", content=b"part").status_code == 200
        found = modes(state)

    expected = {name: 0o700 if Path(name).is_dir() else 0o600 for name in found}
    assert {"falmock.db", "falmock.db-wal", "doors.json", "secret"} <= {Path(name).name for name in found}
    assert found == expected


def test_a_state_folder_that_is_there_already_is_closed_to_others(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with served("--state", str(state)):
        pass
    for path in (state, *state.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)

    with served("--state", str(state)):
        found = modes(state)

    assert set(found.values()) == {0o700, 0o600}


def test_the_presets_are_listed_with_what_they_teach() -> None:
    told = run("scenario", "list").stdout.splitlines()

    assert [line.split()[0] for line in told] == list(presets())
    assert all(preset.teaches in line for line, preset in zip(told, presets().values(), strict=True))


def test_a_preset_is_shown_rule_by_rule() -> None:
    told = run("scenario", "show", "locked").stdout

    assert json.loads(told) == {"fault": "locked", "times": "always"}


def test_a_good_scenario_is_checked(tmp_path: Path) -> None:
    (tmp_path / "night.toml").write_text('[[rules]]\nfault = "slow"\n')

    done = run("scenario", "check", "night.toml", cwd=tmp_path)

    assert (done.returncode, done.stdout) == (0, "night.toml: 1 rule, all good\n")


@pytest.mark.parametrize("command", [["scenario", "check"], ["serve", "--ephemeral", "--scenario"]])
def test_a_bad_scenario_is_one_line_that_says_what_to_do(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "night.toml").write_text('[[rules]]\nfault = "sloow"\n')

    line = one_line(run(*command, "night.toml", cwd=tmp_path))

    assert line == (
        "falmock: night.toml: rules.0: there is no fault 'sloow': falmock scenario faults lists them"
    )


def test_every_fault_is_listed() -> None:
    told = run("scenario", "faults").stdout

    assert [line.split()[0] for line in told.splitlines()[::2]] == list(FAULTS)


def test_the_banner_names_the_scenarios_that_are_played() -> None:
    with served("--ephemeral", "--scenario", "rush-hour", "--scenario", "locked") as server:
        server.stop()

    assert "rush-hour, locked" in server.log


def test_what_happened_is_told_by_the_emulator_that_serves(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state"))
    with served(*state, "--queue-seconds", "0", "--run-seconds", "0") as server:
        request_id = server.submit()["request_id"]
        server.result(request_id)
        lines = run("journal", *state, "--request", request_id, "--operation", "submit")
        archive = run("journal", *state, "--format", "har")
        bill = run("ledger", *state)
        clean = run("lint", *state)
        server.http.get("/nobody/nothing", headers={"Authorization": "Bearer me:secret"})
        found = run("lint", *state)
    (tmp_path / "calls.jsonl").write_text(lines.stdout)
    read = run("lint", "--journal", str(tmp_path / "calls.jsonl"))

    assert [json.loads(line)["kind"] for line in lines.stdout.splitlines()] == ["journal", "exchange"]
    assert json.loads(archive.stdout)["log"]["version"] == "1.2"
    assert json.loads(bill.stdout)["usd"] == 2.5
    assert (clean.returncode, clean.stdout, read.returncode, read.stdout) == (0, "", 0, "")
    assert (found.returncode, found.stdout.partition(":")[0]) == (1, "bearer-key")


@pytest.mark.parametrize("command", ["journal", "ledger", "lint"])
def test_where_no_emulator_serves_there_is_nothing_to_tell(tmp_path: Path, command: str) -> None:
    assert "no emulator serves" in one_line(run(command, "--state", str(tmp_path)))


def test_a_file_that_is_no_journal_cannot_be_checked(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff")

    assert "is no journal" in one_line(run("lint", "--journal", str(tmp_path / "x")))
