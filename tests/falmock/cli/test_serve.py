"""`falmock serve` as a process: its arguments, its banner and log, its files, and its end."""

from __future__ import annotations

import base64
import os
import re
import signal
import socket
import stat
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import httpx
import pytest
from emulated import data_uri, png
from processes import running, served
from programs import falmock, one_line, run

from falmock.intercept.certificates import open_ca

MIB = 1024 * 1024
# What the first run, the first webhook or the first call of another kind loads.
HEAVY = {"httpx", "httpcore", "pydantic", "cryptography", "jwt", "PIL", "ffmpeg", "rich"} | {
    "falmock.catalogue.performing",
    "falmock.control.routes",
    "falmock.engine.runner",
    "falmock.http.rest",
    "falmock.media.renderer",
}
LESS_THAN_THE_DEFAULTS = 5.0  # seconds: the time limits without flags are longer


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
def test_a_wrong_argument_is_reported_in_one_line_with_exit_code_2(arguments: list[str]) -> None:
    assert one_line(falmock("serve", "--ephemeral", *arguments)).startswith("falmock: ")


def test_a_wrong_variable_is_reported_by_its_name() -> None:
    assert "FALMOCK_RUNNERS" in one_line(falmock("serve", "--ephemeral", FALMOCK_RUNNERS="none"))


def test_a_malformed_key_is_not_repeated_in_the_error() -> None:
    assert "hush" not in one_line(falmock("serve", "--ephemeral", FALMOCK_KEYS="hush-hush"))


def test_a_busy_port_is_reported_with_the_flag_to_change() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        line = one_line(falmock("serve", "--ephemeral", "--port", str(taken.getsockname()[1])))

    assert ("in use" in line, "--port" in line) == (True, True)


def test_an_impossible_state_folder_is_reported_with_the_flag_to_change(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    line = one_line(falmock("serve", "--port", "0", "--state", str(tmp_path / "file" / "state")))

    assert ("cannot use" in line, "--state" in line) == (True, True)


def test_a_damaged_database_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "falmock.db").write_text("not a database, and longer than a page header would be " * 20)

    assert "falmock.db is damaged" in one_line(falmock("serve", "--port", "0", "--state", str(tmp_path)))


def test_a_state_folder_in_use_is_reported_in_one_line(tmp_path: Path) -> None:
    with served("--state", str(tmp_path)):
        line = one_line(falmock("serve", "--port", "0", "--state", str(tmp_path)))

    assert "in use by another falmock" in line


@pytest.mark.parametrize(
    "name", ["ca", "ca/certificate/bundle.pem", "ca/certificate/preload.cjs", "server.json"]
)
def test_a_file_that_cannot_be_written_at_the_start_is_reported_in_one_line(
    tmp_path: Path, name: str
) -> None:
    if name == "ca":
        (tmp_path / name).write_text("a file where a folder should be")
    else:
        (tmp_path / name).mkdir(parents=True)

    line = one_line(falmock("serve", "--port", "0", "--state", str(tmp_path)))

    assert ("cannot write to" in line, "--state" in line) == (True, True)


@pytest.mark.parametrize("name", ["ca.key", "certificate/ca.pem"])
def test_damaged_certificates_are_reported_in_one_line(tmp_path: Path, name: str) -> None:
    open_ca(tmp_path / "ca")
    (tmp_path / "ca" / name).write_text("nonsense")

    assert "are damaged" in one_line(falmock("serve", "--port", "0", "--state", str(tmp_path)))


def raw(method: str, path: str, content: bytes) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Authorization: Key me:secret"]
    if content:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_server_with_exit_code_0(how: signal.Signals, tmp_path: Path) -> None:
    with served("--state", str(tmp_path), "--run-seconds", "60") as server:
        server.submit()
        code = server.stop(how)

    assert (code, "Traceback" in server.log) == (0, False)


@pytest.mark.parametrize(
    "path", ["/fal-ai/veo2/requests/{id}/status/stream", "/fal.run/fal-ai/veo2/image-to-video"]
)
def test_a_signal_ends_open_streams_and_run_calls(path: str, tmp_path: Path) -> None:
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


def test_a_submit_that_breaks_off_is_neither_accepted_nor_logged_as_an_error(tmp_path: Path) -> None:
    with served("--state", str(tmp_path)) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as wire:
            wire.sendall(raw("POST", "/fal-ai/veo2/image-to-video", b"half a body")[:-5])
        assert server.http.get("/health").status_code == 200
        server.stop()

    assert ("Traceback" in server.log, "IN_QUEUE" in server.log) == (False, False)


def test_the_server_answers_as_soon_as_the_banner_is_printed() -> None:
    with served("--ephemeral", "--seed", "7") as server:
        assert server.http.get("/health").json()["status"] == "ok"


def test_the_server_works_without_uvloop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with served("--ephemeral", "--queue-seconds", "0", "--run-seconds", "0") as server:
        result = server.result(server.submit()["request_id"])
        code = server.stop()

    assert (code, "Traceback" in server.log) == (0, False)
    assert result["video"]["content_type"] == "video/mp4"


def test_a_server_loads_nothing_heavy_before_the_first_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ca(tmp_path / "ca")  # else another process makes it, and logs its imports too
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    with served("--state", str(tmp_path), "--queue-seconds", "60") as server:
        server.submit()
        server.stop()

    loaded = set(re.findall(r"^import time:.*\| +(\S+)$", server.log, re.MULTILINE))
    assert loaded >= {"falmock.http.queue", "uvicorn"}
    assert loaded & HEAVY == set()


def test_the_banner_shows_how_to_submit() -> None:
    with served("--ephemeral") as server:
        address = server.address
        server.stop()

    assert re.search(rf"curl {re.escape(address)}/fal-ai/veo2/image-to-video", server.log)


def test_the_banner_names_the_live_page() -> None:
    with served("--ephemeral") as server:
        address = server.address
        server.stop()

    assert re.search(rf"live page +{re.escape(address)}/ ", server.log)


def test_the_live_page_is_opened_in_a_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script, opened = tmp_path / "browser", tmp_path / "opened"
    script.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}\n')
    script.chmod(0o700)
    monkeypatch.setenv("BROWSER", f"{script} %s")
    with served("--ephemeral", "--open") as server:
        address = server.address
        server.wait_for("Ctrl-C")
        server.stop()

    assert opened.read_text() == address


def test_the_address_is_printed_on_a_machine_without_a_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER", "/bin/false %s")
    with served("--ephemeral", "--open") as server:
        said = server.wait_for("there is no browser: open (http://[0-9.:]+) yourself")

        assert said[1] == server.address


def test_the_banner_warns_of_all_ports_that_other_machines_can_call() -> None:
    with served("--ephemeral", "--host", "0.0.0.0") as server:
        server.stop()

    said = re.search(
        r"WARNING +other machines can call http 0\.0\.0\.0:(\d+), tls 0\.0\.0\.0:\d+, proxy 0\.0\.0\.0:\d+",
        server.log,
    )
    assert said is not None
    assert int(said[1]) == server.port
    assert "The control API answers this machine only." in " ".join(server.log.split())


def test_a_control_token_is_in_the_banner_but_its_value_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALMOCK_CONTROL_TOKEN", "the-secret-token")
    with served("--ephemeral", "--host", "0.0.0.0", "--log-level", "debug") as server:
        server.http.get("/control/clock", headers={"Authorization": "Bearer the-secret-token"})
        server.stop()

    assert "The control API answers them with the control token." in " ".join(server.log.split())
    assert "the-secret-token" not in server.log


def test_the_banner_has_no_warning_when_only_this_machine_can_call() -> None:
    with served("--ephemeral") as server:
        server.stop()

    assert "other machines" not in server.log


def test_the_banner_says_how_far_the_clock_of_the_state_folder_is_ahead(tmp_path: Path) -> None:
    with served("--state", str(tmp_path)) as server:
        server.submit()
        server.http.post("/control/clock", json={"advance": 7200})
        server.submit()  # the times of requests are stored
    with served("--state", str(tmp_path)) as again:
        again.stop()

    assert "clock" not in server.log
    assert re.search(r"clock +7,[12]\d\d s ahead of this machine", again.log)


def test_the_banner_names_the_scenarios_in_force() -> None:
    with served("--ephemeral", "--scenario", "rush-hour", "--scenario", "locked") as server:
        server.stop()

    assert "rush-hour, locked" in server.log


HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
HALF_BODY = b"POST /fal-ai/veo2/image-to-video HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf"


@pytest.mark.parametrize(
    ("flag", "value", "sent", "answer"),
    [
        ("--max-header-bytes", "100", HEAD + b"X-Pad: %s\r\n\r\n" % (b"a" * 100), b"HTTP/1.1 431 "),
        ("--max-headers", "3", HEAD + b"A: 1\r\nB: 2\r\nC: 3\r\n\r\n", b"HTTP/1.1 431 "),
        ("--head-timeout", "0.01", HEAD, b"HTTP/1.1 408 "),
        ("--body-timeout", "0.01", HALF_BODY, b"HTTP/1.1 408 "),
        ("--idle-timeout", "0.01", b"", b""),
    ],
    ids=["header bytes", "headers", "head", "body", "idle"],
)
def test_a_limit_of_the_command_line_holds_for_a_connection(
    flag: str, value: str, sent: bytes, answer: bytes
) -> None:
    with (
        served("--ephemeral", flag, value) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=LESS_THAN_THE_DEFAULTS) as wire,
    ):
        wire.sendall(sent)
        received = b""
        while part := wire.recv(65536):
            received += part

    assert received[:13] == answer


@pytest.mark.parametrize(
    ("flag", "value", "width", "height"),
    [("--max-pixels", "575", 32, 18), ("--decode-memory", str(16 * MIB), 2000, 1100)],
)
def test_a_limit_of_the_command_line_holds_for_an_image(
    flag: str, value: str, width: int, height: int
) -> None:
    with served("--ephemeral", "--run-seconds", "0", "--queue-seconds", "0", flag, value) as server:
        result = server.result(server.submit(image_url=data_uri(png(width, height)))["request_id"])

    assert result["detail"][0]["type"] == "image_too_large"


def test_forwarded_headers_are_ignored_by_default() -> None:
    with served("--ephemeral") as server:
        headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}
        body = {"prompt": "x", "image_url": "https://example.com/x.png"}
        answer = server.http.post("/fal-ai/veo2/image-to-video", json=body, headers=headers)

    assert answer.json()["status_url"].startswith(server.address)


def test_the_forwarded_header_of_a_trusted_proxy_is_used() -> None:
    with served("--ephemeral", "--trusted-proxy", "127.0.0.1,10.0.0.0/8") as server:
        answer = server.http.get("/control/clock", headers={"X-Forwarded-For": "192.0.2.7"})

    assert (answer.status_code, "comes from 192.0.2.7" in answer.json()["detail"]) == (403, True)


def test_an_ephemeral_server_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    with served("--ephemeral", "--run-seconds", "0", "--queue-seconds", "0") as server:
        server.result(server.submit()["request_id"])

    assert list(tmp_path.iterdir()) == []


def test_an_ephemeral_server_removes_the_folders_of_a_killed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with served("--ephemeral") as killed:
        killed.stop(signal.SIGKILL)
    left = list(tmp_path.iterdir())
    for path in left:
        os.utime(path, (0, 0))

    with served("--ephemeral"):
        pass

    assert (len(left), list(tmp_path.iterdir())) == (1, [])


def test_a_server_that_can_make_no_temporary_folder_says_so_in_one_line() -> None:
    serve = (sys.executable, "-m", "falmock", "serve", "--port", "0", "--ephemeral")

    # Coverage would fail to write its own file, and say so.
    line = one_line(run("sh", "-c", 'unset COVERAGE_PROCESS_CONFIG; ulimit -f 0; exec "$0" "$@"', *serve))

    assert ("cannot make a temporary folder" in line, "TMPDIR" in line) == (True, True)


def test_keys_and_tokens_are_never_logged(tmp_path: Path) -> None:
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


FAL_KEY = "5f0c2f6e-9d6f-4c1b-8a52-1f0e5b7c9d3a:0123456789abcdef0123456789abcdef"  # made up


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


def test_a_key_in_a_wrong_place_is_masked_in_every_output(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state"))
    quick = ("--log-level", "debug", "--queue-seconds", "0", "--run-seconds", "0")
    with served(*state, *quick) as server:
        for key in (FAL_KEY, SENT_KEY):
            sender = {} if key == FAL_KEY else {"Authorization": f"Key {key}"}
            for method, path, headers, body in misplaced(key):
                server.http.request(method, path, headers=sender | headers, json=body)
        server.wait_for("webhook of")
        outputs = [
            falmock("journal", *state).out,
            falmock("journal", "--format", "har", *state).out,
            falmock("lint", *state).out,
            falmock("ledger", *state).out,
        ]
        server.stop()

    assert all(outputs[:2])
    for text in (server.log, *outputs):
        undone = unquote(unquote(text)).replace("\\/", "/")
        assert FAL_KEY.partition(":")[2] not in undone
        assert "hush" not in undone
        for key in (FAL_KEY, SENT_KEY):
            assert base64.b64encode(key.encode()).decode()[4:-4] not in text


def modes(folder: Path) -> dict[str, int]:
    """Return the permissions of a folder and of all entries in it, but for the folder for clients."""
    return {
        str(path): stat.S_IMODE(path.stat().st_mode)
        for path in (folder, *folder.rglob("*"))
        if folder / "ca" / "certificate" not in (path, path.parent)
    }


def test_the_folder_for_clients_has_no_key_and_other_users_can_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_key = open_ca(tmp_path / "company").server
    monkeypatch.setenv("SSL_CERT_FILE", str(with_key))
    state = tmp_path / "state"
    folder = state / "ca" / "certificate"
    for _ in range(2):  # a new state folder, and the same again
        with served("--state", str(state)):
            files = {path.name: path for path in folder.iterdir()}

            assert set(files) == {"ca.pem", "bundle.pem", "preload.cjs"}
            assert [name for name, path in files.items() if b"PRIVATE KEY" in path.read_bytes()] == []
            assert {stat.S_IMODE(path.stat().st_mode) for path in files.values()} == {0o644}
            assert stat.S_IMODE(folder.stat().st_mode) == 0o755

    assert b"PRIVATE KEY" in with_key.read_bytes()
    assert with_key.read_bytes().partition(b"-----BEGIN CERTIFICATE")[2] in files["bundle.pem"].read_bytes()


def test_a_new_state_folder_is_private_whatever_the_umask(tmp_path: Path) -> None:
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
    assert {"falmock.db", "falmock.db-wal", "server.json", "secret"} <= {Path(name).name for name in found}
    assert found == expected


def test_an_existing_state_folder_is_made_private(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with served("--state", str(state)):
        pass
    for path in (state, *state.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)

    with served("--state", str(state)):
        found = modes(state)

    assert set(found.values()) == {0o700, 0o600}
