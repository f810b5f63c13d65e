"""The command `falqueue`, in a terminal and in pipes."""

from __future__ import annotations

import io
import json
import os
import re
import select
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import httpx
import pytest

import falqueue
from falmock.media.probe import probe
from falqueue import Client, _cli
from falqueue._terminal import view
from falqueue._veo2 import Duration, ImageAspect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import respx

PROGRAM = str(Path(sys.executable).with_name("falqueue"))
TAKE_THE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
Environment = dict[str, str]


@pytest.fixture
def environment(key: str) -> Environment:
    own = {"FAL_KEY": key, "COLUMNS": "100", "TERM": "xterm-256color"}
    return {name: value for name, value in os.environ.items() if not name.startswith("FAL")} | own


@pytest.fixture
def at_emulator(environment: Environment, emulator: str) -> Environment:
    return environment | {"FALQUEUE_BASE_URL": emulator}


def piped(environment: Environment, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run falqueue with pipes for its input and output."""
    return subprocess.run(
        [PROGRAM, *map(str, arguments)],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@dataclass
class Terminal:
    """A pseudo-terminal that runs falqueue."""

    process: subprocess.Popen[bytes]
    master: int
    seen: str = ""

    def read_until(self, pattern: str) -> re.Match[str]:
        while not (found := re.search(pattern, self.seen)):
            self.seen += self._read() or pytest.fail(f"{pattern!r} did not appear: {self.seen!r}")
        return found

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def end(self) -> int:
        """Read to the end and return the exit code."""
        while piece := self._read():
            self.seen += piece
        return self.process.wait()

    def _read(self) -> str:
        if not select.select([self.master], [], [], 60)[0]:
            pytest.fail(f"no output after {self.seen!r}")
        try:
            return os.read(self.master, 4096).decode(errors="replace")
        except OSError:  # on Linux, the other end is closed
            return ""


@contextmanager
def terminal(environment: Environment, *arguments: object) -> Iterator[Terminal]:
    master, slave = os.openpty()
    command = [sys.executable, "-c", TAKE_THE_TERMINAL, PROGRAM, *map(str, arguments)]
    with subprocess.Popen(
        command, env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    ) as process:
        os.close(slave)
        try:
            yield Terminal(process, master)
        finally:
            process.kill()
            os.close(master)


class TestGenerate:
    def test_generate_shows_progress_in_a_terminal_and_writes_the_video(
        self, at_emulator: Environment, picture: Path, tmp_path: Path
    ) -> None:
        clip = tmp_path / "out.mp4"
        with terminal(at_emulator, "generate", picture, "It waves", "-o", clip, "--duration", "6s") as screen:
            code = screen.end()
        assert code == 0
        assert probe(clip).seconds == pytest.approx(6.0, abs=0.1)
        assert re.search(r"(IN_QUEUE, \d ahead|IN_PROGRESS|COMPLETED|downloading).*\x1b\[", screen.seen)

    def test_generate_in_a_pipe_prints_plain_lines_and_the_name_of_the_video(
        self, at_emulator: Environment, picture: Path, tmp_path: Path
    ) -> None:
        clip = tmp_path / "out.mp4"
        done = piped(at_emulator, "generate", picture, "It waves", "-o", clip)
        assert (done.returncode, done.stdout) == (0, f"{clip}\n")
        assert probe(clip).seconds == pytest.approx(5.0, abs=0.1)
        assert re.search(r"^COMPLETED, ran [\d.]+ s$", done.stderr, re.MULTILINE)
        assert "\x1b" not in done.stderr

    def test_ctrl_c_during_generate_cancels_the_job(
        self, environment: Environment, slow_emulator: str, picture: Path, tmp_path: Path, key: str
    ) -> None:
        clip = tmp_path / "out.mp4"
        arguments = ("generate", picture, "It waves", "-o", clip, "--base-url", slow_emulator)
        with terminal(environment, *arguments) as screen:
            handle = falqueue.Handle.from_text(screen.read_until(r"handle: (\S+)")[1])
            screen.read_until("IN_PROGRESS")
            screen.type("\x03")
            code = screen.end()
        assert (code, clip.exists()) == (130, False)
        assert "interrupted; fal answered CANCELLATION_REQUESTED to the cancel" in screen.seen
        with Client(key, base_url=slow_emulator) as client, pytest.raises(falqueue.Cancelled):
            client.wait(handle)

    def test_generate_cancels_the_job_when_its_timeout_passes(
        self, environment: Environment, slow_emulator: str, picture: Path, tmp_path: Path
    ) -> None:
        arguments = ("generate", picture, "It waves", "-o", tmp_path / "x.mp4", "--timeout", "0.1")
        done = piped(environment, *arguments, "--base-url", slow_emulator)
        assert done.returncode == 6
        assert re.search(r"CANCELLATION_REQUESTED to the cancel .*\nhandle: http", done.stderr)

    def test_generate_asks_before_it_spends_money_at_fal(
        self, environment: Environment, picture: Path, tmp_path: Path
    ) -> None:
        arguments = ("generate", picture, "It waves", "-o", tmp_path / "x.mp4", "--duration", "8s")
        with terminal(environment, *arguments) as screen:
            screen.read_until(r"This costs about \$4\.00\. Continue\?")
            screen.type("n\n")
            assert screen.end() == 1

    def test_generate_spends_nothing_at_fal_if_it_cannot_ask(
        self, environment: Environment, picture: Path, tmp_path: Path
    ) -> None:
        done = piped(environment, "generate", picture, "It waves", "-o", tmp_path / "x.mp4")
        assert (done.returncode, done.stderr) == (
            2,
            "falqueue: this costs about $2.50; pass --yes to accept it\n",
        )

    @pytest.mark.parametrize(
        ("image", "said"),
        [
            ("none.png", "image_url: Cannot be read"),
            ("data:text/plain,x", "image_url: Not a URL or data URI"),
        ],
    )
    def test_generate_checks_the_image_before_anything_is_sent(
        self, at_emulator: Environment, tmp_path: Path, image: str, said: str
    ) -> None:
        done = piped(at_emulator, "generate", image, "It waves", "-o", tmp_path / "x.mp4")
        assert done.returncode == 2
        assert said in done.stderr


@pytest.fixture
def finished(emulator: str, key: str, picture: Path) -> str:
    """The handle of a completed job."""
    with Client(key, base_url=emulator) as client:
        handle = client.submit(falqueue.Veo2ImageToVideo(prompt="It waves", image_url=picture))
        client.wait(handle)
        return str(handle)


class TestHandleCommands:
    def test_status_prints_the_status_of_a_handle(self, at_emulator: Environment, finished: str) -> None:
        assert piped(at_emulator, "status", finished).stdout.startswith("COMPLETED, ran ")

    @pytest.mark.parametrize("way", [[], ["--stream"]])
    def test_events_follows_a_handle_until_it_is_completed(
        self, at_emulator: Environment, finished: str, way: list[str]
    ) -> None:
        done = piped(at_emulator, "events", finished, *way)
        assert done.stdout.splitlines()[0].startswith("COMPLETED, ran ")

    def test_result_prints_the_output_and_downloads_the_video(
        self, at_emulator: Environment, finished: str, tmp_path: Path
    ) -> None:
        done = piped(at_emulator, "result", finished, "-o", tmp_path / "out.mp4")
        assert json.loads(done.stdout)["video"]["file_size"] == (tmp_path / "out.mp4").stat().st_size

    def test_cancel_of_a_completed_job_exits_with_1(self, at_emulator: Environment, finished: str) -> None:
        done = piped(at_emulator, "cancel", finished)
        assert (done.returncode, done.stdout) == (1, "ALREADY_COMPLETED\n")

    def test_cancel_of_a_running_job_exits_with_0(
        self, environment: Environment, slow_emulator: str, key: str, picture: Path
    ) -> None:
        with Client(key, base_url=slow_emulator) as client:
            handle = client.submit(falqueue.Veo2ImageToVideo(prompt="It waves", image_url=picture))
        done = piped(environment, "cancel", handle, "--base-url", slow_emulator)
        assert (done.returncode, done.stdout) == (0, "CANCELLATION_REQUESTED\n")

    def test_the_key_is_not_sent_to_the_service_of_a_foreign_handle(self, at_emulator: Environment) -> None:
        done = piped(at_emulator, "status", "https://queue.fal.run/a/b/requests/019e#a/b")
        assert (done.returncode, done.stderr.splitlines()[0]) == (
            2,
            "falqueue: the handle is of another service; the key is not sent there (request 019e)",
        )


@pytest.mark.parametrize(
    ("prepare", "code"),
    [
        (lambda env, _: (env | {"FAL_KEY": ""}, ["status", "https://queue.fal.run/a/b/requests/1#a/b"]), 2),
        (lambda env, _: (env, ["status", "no handle"]), 2),
        (lambda env, _: (env, ["status"]), 2),
        (lambda env, at: (env, ["status", f"{at}/queue.fal.run/a/b/requests/1#a/b", "--base-url", at]), 4),
        (
            lambda env, at: (
                env,
                ["generate", "https://x.test/a.png", "x", "-o", "/nowhere/x.mp4", "--base-url", at],
            ),
            2,
        ),
    ],
    ids=["no key", "no handle", "no argument", "unknown request", "no folder"],
)
def test_each_kind_of_error_has_its_exit_code(
    environment: Environment,
    emulator: str,
    prepare: Callable[[Environment, str], tuple[Environment, list[str]]],
    code: int,
) -> None:
    changed, arguments = prepare(environment, emulator)
    assert piped(changed, *arguments).returncode == code


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_without_rich_gets_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with pytest.raises(falqueue.UsageError, match="falmock\\[cli\\]"), view(Screen()):
        pass


def test_generate_submits_nothing_if_it_cannot_show_progress(
    fal: respx.Router, monkeypatch: pytest.MonkeyPatch, picture: Path, tmp_path: Path, key: str
) -> None:
    client = Client(key, transport=httpx.MockTransport(fal.handler))
    monkeypatch.setattr(falqueue, "Client", lambda **_: client)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.setattr(sys, "stderr", Screen())
    arguments = ["generate", str(picture), "It waves", "-o", str(tmp_path / "x.mp4"), "--yes"]
    with pytest.raises(falqueue.UsageError, match="needs rich"):
        _cli.cli.main(arguments, standalone_mode=False)
    assert fal.calls.call_count == 0


def test_ctrl_c_says_that_the_job_may_be_billed_if_the_cancel_fails(
    fal: respx.Router, handle: falqueue.Handle[Any], key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fal.put(f"{handle.url}/cancel").respond(401, json={"detail": "No user found"})
    client = Client(key, transport=httpx.MockTransport(fal.handler))
    with pytest.raises(KeyboardInterrupt), _cli._cancelling(client, handle):
        raise KeyboardInterrupt
    assert (
        "the cancel failed (HTTP 401: No user found), so the job may still be billed"
        in capsys.readouterr().err
    )


def test_ctrl_c_during_the_submit_says_that_there_may_be_a_job(
    key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    client = Client(key, transport=httpx.MockTransport(interrupt))
    request = falqueue.Veo2ImageToVideo(prompt="x", image_url="https://example.com/a.png")
    with pytest.raises(KeyboardInterrupt):
        _cli._submit(client, request)
    assert "there may be a job" in capsys.readouterr().err


def test_verify_webhook_rejects_keys_that_are_not_json(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "saved.http").write_bytes(b"POST / HTTP/1.1\r\n\r\n{}")
    (tmp_path / "keys.json").write_text("no JSON")
    done = piped(environment, "verify-webhook", tmp_path / "saved.http", "--keys", tmp_path / "keys.json")
    assert (done.returncode, done.stderr) == (2, "falqueue: --keys is not a JSON document\n")


def test_the_choices_of_generate_are_those_of_the_model() -> None:
    assert (get_args(Duration), get_args(ImageAspect)) == (_cli.DURATIONS, _cli.ASPECTS)
