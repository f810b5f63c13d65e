"""The documents are correct: commands run, flags are listed, names exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from processes import PATIENCE, Served, running, served
from programs import tool

from falmock.engine.lifecycle import State
from falmock.faults import scenarios
from falmock.faults.scenarios import presets
from falmock.faults.triggers import faults_in_input
from falmock.media.probe import probe

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
PROBED = """
codec: h264
pixel_format: yuv420p
width: 1280
height: 720
frames_per_second: 24.0
seconds: 5.0
frames: 120
faststart: True
"""
MOST_BYTES = 200_000  # of a picture
PROGRAMS = ("bash", "curl", "sed")  # that the commands of the README need
ADDRESS = "http://127.0.0.1:8787"


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def block(language: str, word: str) -> str:
    """Return the only block of a language that has a word in it."""
    (found,) = [each for each in blocks(language) if word in each]
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served(
        "--ephemeral", "--media", "animate", "--queue-seconds", "0.2", "--run-seconds", "0.5"
    ) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A temporary folder with the fixtures and the programs of a checkout."""
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / ".venv" / "bin" / "python").chmod(0o755)
    (tmp_path / ".venv" / "bin" / "falqueue").symlink_to(Path(sys.executable).with_name("falqueue"))
    return tmp_path


def run(command: list[str], text: str, folder: Path, server: Served) -> str:
    """Run a block of the README, with the address of a server that is there. It makes no mistake with fal."""
    for program in PROGRAMS if command[0] == "bash" else ():
        tool(program)
    done = subprocess.run(
        command,
        input=text.replace(ADDRESS, server.address),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert server.http.get("/control/lint").json()["findings"] == []
    return done.stdout


def test_the_curl_commands_in_the_readme_make_a_video(server: Served, folder: Path) -> None:
    output = run(["bash", "-eu"], block("sh", "curl"), folder, server)

    for state in State:
        assert f'"status":"{state}"' in output
    assert output.endswith(PROBED)


def test_make_run_starts_the_server() -> None:
    with running("make", "-C", str(ROOT), "run", "ARGS=--port 0 --ephemeral") as server:
        assert server.http.get("/health").json()["status"] == "ok"


def test_the_example_of_fals_python_client_in_the_readme_makes_a_video(server: Served, folder: Path) -> None:
    output = run(
        [sys.executable, "-W", "ignore::ResourceWarning", "-"], block("python", "fal_client"), folder, server
    )

    assert re.search(r"http://127.*_output\.mp4", output)


@pytest.mark.parametrize("language", ["python", "sh"])
def test_the_examples_of_falqueue_in_the_readme_make_a_video(
    server: Served, folder: Path, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    monkeypatch.setenv("FALQUEUE_BASE_URL", server.address)
    command = [sys.executable, "-"] if language == "python" else ["bash", "-eu"]

    run(command, block(language, "falqueue"), folder, server)

    assert probe(folder / "sunset.mp4").seconds == 5.0


def test_every_make_target_of_the_documents_exists() -> None:
    documents = README + (ROOT / "CONTRIBUTING.md").read_text()
    makefile = (ROOT / "Makefile").read_text()

    for target in re.findall(r"^make (\w+)", documents, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


CLIENT = re.compile(r"^\| (@?[\w./-]+)\b[^|]*\| ([\d.]+) \|", re.MULTILINE)
RUNTIME = re.compile(r"(Bun|Deno) (\d[\d.]*\d)")


def test_the_versions_on_the_clients_page_are_those_that_the_tests_use() -> None:
    page = (ROOT / "docs" / "clients.md").read_text()
    listed = CLIENT.findall(page) + [(name.lower(), version) for name, version in RUNTIME.findall(page)]
    packages = json.loads((ROOT / "tests" / "node" / "package.json").read_text())["dependencies"]
    texts = [(ROOT / name).read_text() for name in ("pyproject.toml", ".ci/tools")]
    pinned = dict(re.findall(r"([\w-]+)==([\d.]+)", "".join(texts)))
    used = packages | pinned

    assert len(listed) == 13
    assert [(name, used.get(name.replace("_", "-"))) for name, _ in listed] == listed


def test_no_make_target_is_taken_for_a_file() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)

    assert set(re.findall(r"^(\w+):", makefile, re.MULTILINE)) == set(phony.split())


@pytest.mark.parametrize("picture", sorted((ROOT / "docs").glob("*.jpg")), ids=lambda path: path.name)
def test_a_picture_of_the_documents_is_small(picture: Path) -> None:
    assert picture.stat().st_size < MOST_BYTES


def anchors(document: Path) -> set[str]:
    """Return the anchors of the headings, as GitHub makes them."""
    prose = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_in_the_documents_leads_to_a_file_and_a_heading(document: Path) -> None:
    prose = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    for file, anchor in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", prose):
        target = document.parent / file if file else document
        assert target.exists(), file
        assert not anchor or anchor in anchors(target), f"{file}#{anchor}"


def test_the_architecture_page_lists_every_wing_and_no_other() -> None:
    table = re.findall(r"^\| \d+ \| ([^|]+) \|", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE)
    named = {name.strip("/") for cell in table for name in re.findall(r"`([a-z_/]+)`", cell)}
    folder = ROOT / "mockserver" / "falmock"
    wings = {path.stem for path in folder.glob("*.py")} | {
        path.parent.name for path in folder.glob("*/__init__.py")
    }

    assert named == wings - {"__init__", "__main__"}


def test_the_changelog_has_a_section_for_unreleased_changes() -> None:
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text()


SCENARIOS = (ROOT / "docs" / "scenarios.md").read_text()


def test_the_scenarios_page_lists_every_preset() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (.+) \|$", SCENARIOS, re.MULTILINE)

    assert rows == [(name, preset.teaches) for name, preset in presets().items()]


def test_the_scenario_on_the_scenarios_page_is_valid() -> None:
    (text,) = blocks("toml", SCENARIOS)

    assert len(scenarios.read(text, name="night", where="the page").rules) == 2


def test_the_triggers_on_the_scenarios_page_ask_for_known_faults() -> None:
    prompts, files = blocks("text", SCENARIOS)

    assert [str(fault) for fault in faults_in_input({"prompt": prompts})] == [
        "content_policy_violation",
        "requeued times=2",
        "webhook_twice",
    ]
    assert len(faults_in_input({str(at): url for at, url in enumerate(files.split())})) == 2


def test_the_header_on_the_scenarios_page_is_accepted(server: Served, folder: Path) -> None:
    (curl,) = [each for each in blocks("sh", SCENARIOS) if "curl" in each]

    assert '"status":"IN_QUEUE"' in run(["bash", "-euo", "pipefail"], curl, folder, server)
