"""The commands that show something: `scenario`, `journal`, `ledger`, `lint`, `state`."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from processes import PATIENCE, served
from programs import falmock, one_line

from falmock.faults.scenarios import presets
from falmock.faults.vocabulary import FAULTS

if TYPE_CHECKING:
    from pathlib import Path


def test_scenario_list_shows_all_presets_with_their_descriptions() -> None:
    lines = falmock("scenario", "list").out.splitlines()

    assert [line.split()[0] for line in lines] == list(presets())
    assert all(preset.teaches in line for line, preset in zip(lines, presets().values(), strict=True))


def test_scenario_show_prints_a_preset_as_a_file_of_ones_own(tmp_path: Path) -> None:
    shown = falmock("scenario", "show", "rush-hour").out
    (tmp_path / "mine.toml").write_text(shown)

    assert shown.startswith('name = "rush-hour"\nteaches = "The queue is ')
    assert falmock("scenario", "check", "mine.toml", cwd=tmp_path).out == "mine.toml: 4 rules, valid\n"


def test_scenario_check_counts_the_rules_of_a_good_file(tmp_path: Path) -> None:
    (tmp_path / "night.toml").write_text('[[rules]]\nfault = "slow"\n')

    done = falmock("scenario", "check", "night.toml", cwd=tmp_path)

    assert (done.code, done.out) == (0, "night.toml: 1 rule, valid\n")


@pytest.mark.parametrize("command", [["scenario", "check"], ["serve", "--ephemeral", "--scenario"]])
def test_a_bad_scenario_is_reported_in_one_line_with_advice(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "night.toml").write_text('[[rules]]\nfault = "sloow"\n')

    line = one_line(falmock(*command, "night.toml", cwd=tmp_path))

    assert line == ("falmock: night.toml: rules.0: there is no fault 'sloow', did you mean 'slow'?")


def test_scenario_faults_lists_all_faults() -> None:
    lines = falmock("scenario", "faults").out

    assert [line.split()[0] for line in lines.splitlines()[::2]] == list(FAULTS)


def test_journal_ledger_and_lint_query_the_running_emulator(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state"))
    with served(*state, "--queue-seconds", "0", "--run-seconds", "0") as server:
        request_id = server.submit()["request_id"]
        server.result(request_id)
        lines = falmock("journal", *state, "--request", request_id, "--operation", "submit")
        archive = falmock("journal", *state, "--format", "har")
        bill = falmock("ledger", *state)
        clean = falmock("lint", *state)
        server.http.get("/nobody/nothing", headers={"Authorization": "Bearer me:secret"})
        found = falmock("lint", *state)
    (tmp_path / "calls.jsonl").write_text(lines.out)
    read = falmock("lint", "--journal", str(tmp_path / "calls.jsonl"))

    assert [json.loads(line)["kind"] for line in lines.out.splitlines()] == ["journal", "exchange"]
    assert json.loads(archive.out)["log"]["version"] == "1.2"
    assert json.loads(bill.out)["usd"] == 2.5
    assert (clean.code, clean.out, read.code, read.out) == (0, "", 0, "")
    assert (found.code, found.out.partition(":")[0]) == (1, "bearer-key")


def test_journal_and_ledger_are_readable_text_when_asked(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state"), "--format", "text")
    with served(*state[:2], "--queue-seconds", "0", "--run-seconds", "0") as server:
        request_id = server.submit()["request_id"]
        server.result(request_id)
        journal = falmock("journal", *state).out.splitlines()
        bill = falmock("ledger", *state).out.splitlines()

    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3}  #1 POST queue\.fal\.run/fal-ai/veo2/image-to-video: 200", journal[0]
    )
    assert [line for line in journal if line.endswith(f"{request_id} start: IN_PROGRESS")]
    assert bill == [f"{request_id}  200            $2.50  fal-ai/veo2/image-to-video", "$2.50 in all"]


def test_follow_prints_each_entry_once(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state"))
    with served(*state, "--queue-seconds", "0", "--run-seconds", "0") as server:
        follower = subprocess.Popen(
            [sys.executable, "-m", "falmock", "journal", *state, "--follow"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert follower.stdout is not None
        first = server.submit()["request_id"]
        seen = [follower.stdout.readline() for _ in range(4)]
        second = server.submit()["request_id"]
        seen += [follower.stdout.readline() for _ in range(4)]
        follower.terminate()
        follower.communicate(timeout=PATIENCE)

    assert [sum(each in line for line in seen) for each in (first, second)] == [3, 3]


def test_follow_prints_text_only(tmp_path: Path) -> None:
    assert "--follow prints text, not har" in one_line(
        falmock("journal", "--follow", "--format", "har", "--state", str(tmp_path))
    )


CALLS = """if True:
    import httpx, sys
    for endpoint in sys.argv[1:]:
        key = {"Authorization": "Key me:secret"}
        httpx.post(f"https://queue.fal.run/{endpoint}", json={}, headers=key).raise_for_status()
"""
MODELS = ("fal-ai/flux/dev", "fal-ai/any-llm")


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run two programs, of which the second calls other models; return the runtime folder."""
    folder = tmp_path_factory.mktemp("runtime")
    for models in (["fal-ai/veo2/image-to-video"], MODELS):
        ran = falmock("run", "--", sys.executable, "-c", CALLS, *models, XDG_RUNTIME_DIR=str(folder))
        assert ran.code == 0, ran.err
    return folder


def last(runtime: Path, *flags: str) -> str:
    ran = falmock("journal", "--last", *flags, XDG_RUNTIME_DIR=str(runtime))
    assert ran.code == 0, ran.err
    return ran.out


def test_the_last_run_has_its_journal_as_text_json_lines_or_archive(runtime: Path) -> None:
    text = last(runtime, "--format", "text")
    submits = [line for line in text.splitlines() if " POST " in line]
    head, *entries = [json.loads(line) for line in last(runtime).splitlines()]
    archive = json.loads(last(runtime, "--format", "har"))["log"]

    assert [line.partition("queue.fal.run/")[2] for line in submits] == [f"{name}: 200" for name in MODELS]
    assert (head["kind"], head["dropped"]) == ("journal", 0)
    assert [each["endpoint"] for each in entries if each["kind"] == "exchange"] == list(MODELS)
    assert [each["request"]["url"] for each in archive["entries"]] == [
        f"https://queue.fal.run/{name}" for name in MODELS
    ]
    assert "secret" not in text + json.dumps([entries, archive])


@pytest.mark.parametrize(
    "flags",
    [
        ("--endpoint", "fal-ai/flux/*", "--operation", "submit"),
        ("--operation", "submit", "--endpoint", "fal-ai/any-llm", "--key", "me"),
    ],
)
def test_the_journal_of_the_last_run_has_the_usual_filters(runtime: Path, flags: tuple[str, ...]) -> None:
    assert len(last(runtime, *flags).splitlines()) == 2  # the heading, and one call


def test_the_journal_of_the_last_run_of_another_key_is_empty(runtime: Path) -> None:
    assert len(last(runtime, "--key", "you").splitlines()) == 1


def test_only_its_user_can_read_the_journal_of_the_last_run(runtime: Path) -> None:
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (runtime / "falmock").iterdir()}

    assert files == {"last-run.jsonl": 0o600}


@pytest.mark.parametrize("text", [None, "", "nonsense"])
def test_a_last_run_without_a_journal_is_reported_in_one_line(tmp_path: Path, text: str | None) -> None:
    (tmp_path / "falmock").mkdir(mode=0o700)
    if text is not None:
        (tmp_path / "falmock" / "last-run.jsonl").write_text(text)

    line = one_line(falmock("journal", "--last", XDG_RUNTIME_DIR=str(tmp_path)))

    assert line.startswith("falmock: ")
    assert "run" in line


def test_a_journal_that_other_users_could_have_written_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "falmock").mkdir()
    (tmp_path / "falmock").chmod(0o777)
    (tmp_path / "falmock" / "last-run.jsonl").write_text('{"kind": "journal", "dropped": 0}\n')

    line = one_line(falmock("journal", "--last", XDG_RUNTIME_DIR=str(tmp_path)))

    assert "no falmock run has left a journal here" in line


@pytest.mark.parametrize("flag", [("--follow",), ("--state", "x"), ("--join", "http://127.0.0.1:1")])
def test_the_last_run_is_no_running_emulator(tmp_path: Path, flag: tuple[str, ...]) -> None:
    line = one_line(falmock("journal", "--last", *flag, XDG_RUNTIME_DIR=str(tmp_path)))

    assert "--last is a run that has ended" in line


def test_a_run_that_cannot_keep_its_journal_says_so_and_ends_as_usual(tmp_path: Path) -> None:
    (tmp_path / "falmock").write_text("no folder")

    ran = falmock("run", "--", "sh", "-c", "exit 7", XDG_RUNTIME_DIR=str(tmp_path))

    assert ran.code == 7
    assert "falmock journal --last does not find this run" in ran.err


def test_the_ledger_says_that_no_price_is_known(tmp_path: Path) -> None:
    endpoint = "fal-ai/kling-video/v2.5-turbo/pro/text-to-video"
    with served("--state", str(tmp_path), "--run-seconds", "0", "--queue-seconds", "0") as server:
        request_id = server.http.post(f"/fal.run/{endpoint}", json={"prompt": "A fox"}).headers[
            "x-fal-request-id"
        ]
        bill = falmock("ledger", "--format", "text", "--state", str(tmp_path)).out.splitlines()

    assert bill == [
        f"{request_id}  200            no price is known  {endpoint}",
        "$0.00 in all, without 1 of unknown price",
    ]


@pytest.mark.parametrize("command", ["journal", "ledger", "lint"])
def test_a_query_without_a_running_emulator_is_reported_in_one_line(tmp_path: Path, command: str) -> None:
    assert "no emulator serves" in one_line(falmock(command, "--state", str(tmp_path)))


@pytest.mark.parametrize("via", ["a b", "x/y", "host:80", "", "[::1", "u@h"])
def test_env_refuses_a_name_that_no_url_can_have(tmp_path: Path, via: str) -> None:
    with served("--state", str(tmp_path)):
        ran = falmock("env", "--state", str(tmp_path), "--via", via)

    assert one_line(ran) == f"falmock: --via {via!r} is not a name or an address: write it without a port"


def test_env_takes_an_address_of_version_6(tmp_path: Path) -> None:
    with served("--state", str(tmp_path)):
        ran = falmock("env", "--state", str(tmp_path), "--via", "fd00::1", "--format", "json")

    assert json.loads(ran.out)["HTTPS_PROXY"].startswith("http://[fd00::1]:")


def test_a_scenario_with_an_impossible_name_is_reported_in_one_line() -> None:
    assert "there is no scenario 'aaa" in one_line(falmock("scenario", "check", "a" * 300))


@pytest.mark.parametrize("content", [b"\xff", b"[" * 100_000], ids=["no text", "deep"])
def test_lint_rejects_a_file_that_is_no_journal(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)

    assert "is not a journal" in one_line(falmock("lint", "--journal", str(tmp_path / "x")))
