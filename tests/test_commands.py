"""Every command of the documents runs: here, in another test, or there is a reason why it does not."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from documents import PROGRAMS, ROOT, commands, make_project
from processes import PATIENCE, running
from programs import tool

from falmock.catalogue import bundled
from falmock.catalogue import documents as openapi

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    *(f"docs/{path.name}" for path in sorted(ROOT.glob("docs/*.md"))),
]
# By document and the start of the command: the test that runs it.
ELSEWHERE = {
    ("README.md", "make run"): "tests/test_docs.py",
    ("README.md", "FAL="): "tests/test_docs.py",
    ("README.md", "export FALQUEUE_BASE_URL="): "tests/test_docs.py",
    ("README.md", "pip install"): "tests/test_wheel.py",
    ("README.md", ".venv/bin/falcontract run --target"): "tests/falcontract/test_cli.py",
    ("docs/ci.md", "python3 -m venv"): "tests/test_wheel.py",
    ("docs/ci.md", "export FALMOCK_JOIN="): "tests/falmock/cli/test_joining.py",  # with its own address
    ("docs/contract.md", ".venv/bin/falcontract run --target"): "tests/falcontract/test_cli.py",
    ("docs/performance.md", ".venv/bin/python bench/trace.py"): "tests/test_bench.py",
    # In docs/control.md and docs/vitest.md, every command.
    ("docs/control.md", ""): "tests/falmock/control/test_docs.py",
    ("docs/falqueue.md", "falqueue "): "tests/falqueue/test_cli.py",
    ("docs/catalogue.md", "falmock models pull"): "tests/falmock/cli/test_models.py",
    ("docs/catalogue.md", "falmock models remove"): "tests/falmock/cli/test_models.py",
    ("docs/install.md", "pip install"): "tests/test_wheel.py",
    ("docs/journal.md", "falmock journal --follow"): "tests/falmock/cli/test_inspect.py",
    ("docs/journal.md", "falmock journal --last"): "tests/falmock/cli/test_inspect.py",
    ("docs/network.md", "falmock browser"): "tests/falmock/intercept/test_browser.py",
    ("docs/scenarios.md", "curl"): "tests/test_docs.py",
    ("docs/settings.md", "make run"): "tests/test_docs.py",  # with other flags
    ("docs/vitest.md", ""): "tests/test_vitest.py",
}
# By document and the start of the command: why no test runs it.
NOT_RUN = {
    ("README.md", "make wheel"): "it writes into the checkout; tests/test_wheel.py has the same line of pip",
    ("README.md", "make test"): "it runs the tests",
    ("README.md", "make contract"): "half a minute; CI runs it as a step of its own",
    ("README.md", "make mutants"): "many minutes; CI runs it as a step of its own",
    ("README.md", "pipx "): "needs pipx; it does what the tested lines of pip do",
    ("CONTRIBUTING.md", "make "): "CI runs the tools; the others take many minutes",
    ("docs/contract.md", "make contract"): "half a minute; CI runs it as a step of its own",
    ("docs/contract.md", "make mutants"): "many minutes; CI runs it as a step of its own",
    ("docs/contract.md", "make operators"): "many minutes",
    (
        "docs/install.md",
        "make wheel",
    ): "it writes into the checkout; tests/test_wheel.py has the same line of pip",
    ("docs/performance.md", "make bench"): "many minutes; tests/test_bench.py measures a little",
    ("docs/performance.md", "time make test"): "it runs the tests",
    ("docs/install.md", "pipx "): "needs pipx; it does what the tested lines of pip do",
    ("docs/install.md", "uvx "): "needs uv; it does what the tested lines of pip do",
}


def places(document: str, command: str) -> list[str]:
    """Return the entries of the tables for a command."""
    tables = {**ELSEWHERE, **NOT_RUN}
    return [text for (page, start), text in tables.items() if page == document and command.startswith(start)]


ALL = [(document, command) for document in DOCUMENTS for command in commands(document)]
HERE = [(document, command) for document, command in ALL if not places(document, command)]
SERVING = [(document, command) for document, command in HERE if "falmock serve" in command]
OTHERS = [pair for pair in HERE if pair not in SERVING]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The project of a user: a scenario, a model, an environment, and a server that most commands talk to."""
    folder = tmp_path_factory.mktemp("project")
    (night,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "scenarios.md").read_text(), re.DOTALL)
    (folder / "night.toml").write_text(night)
    entry = bundled.entry("fal-ai/flux/dev")
    assert entry is not None
    (folder / "flux.json").write_text(json.dumps(openapi.document(entry)))
    (folder / ".venv" / "bin").mkdir(parents=True)
    for program in ("falcontract", "activate"):
        (folder / ".venv" / "bin" / program).symlink_to(PROGRAMS / program)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in make_project(folder).items():
            patch.setenv(name, value)
        with running("falmock", "serve", "--port", "0", "--state", str(folder / ".falmock")):
            yield folder


@pytest.mark.parametrize(("document", "command"), OTHERS)
def test_a_command_of_the_documents_succeeds(project: Path, document: str, command: str) -> None:
    done = subprocess.run(
        [tool("bash"), "-euo", "pipefail", "-c", command],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert (done.returncode, "Traceback" in done.stderr) == (0, False), f"{document}: {done.stderr}"


@pytest.mark.parametrize(("document", "command"), SERVING)
def test_a_command_of_the_documents_serves(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, document: str, command: str
) -> None:
    """It has another port than on the page, so that tests can run side by side."""
    (tmp_path / "night.toml").symlink_to(project / "night.toml")
    monkeypatch.chdir(tmp_path)
    at_any_port = command.replace("9000", "0").replace("falmock serve", "exec falmock serve")
    if "9000" not in command:
        monkeypatch.setenv("FALMOCK_PORT", "0")
    with running(tool("bash"), "-euc", at_any_port) as server:
        assert server.http.get("/health").json()["status"] == "ok", document


def test_the_tables_name_commands_that_the_documents_have() -> None:
    stale = [
        (page, start)
        for page, start in (*ELSEWHERE, *NOT_RUN)
        if not any(document == page and command.startswith(start) for document, command in ALL)
    ]

    assert stale == []


def test_a_command_has_one_place() -> None:
    assert [pair for pair in ALL if len(places(*pair)) > 1] == []


@pytest.mark.parametrize("test", sorted(set(ELSEWHERE.values())))
def test_the_test_that_runs_a_command_elsewhere_exists(test: str) -> None:
    assert (ROOT / test).is_file()
