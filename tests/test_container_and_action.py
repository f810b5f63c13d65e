"""The container and the action: their files are valid, and the container's command works for its user."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from processes import running, served
from programs import tool

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
CONTAINERFILE = (ROOT / "Containerfile").read_text()
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
USER = re.findall(r"^USER (\d+)$", CONTAINERFILE, re.MULTILINE)[0]


def words(instruction: str) -> list[str]:
    """Return the command of the last such instruction."""
    found: list[str] = json.loads(re.findall(rf"\b{instruction} (\[.*\])", CONTAINERFILE)[-1])
    return found


@pytest.mark.parametrize(
    "command",
    [
        ("hadolint", "Containerfile"),
        ("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"),
        ("check-jsonschema", "--builtin-schema", "vendor.github-actions", "action.yml"),
    ],
    ids=lambda command: command[-1],
)
def test_the_file_has_no_lint(command: tuple[str, ...]) -> None:
    program = Path(sys.executable).with_name(command[0])

    assert subprocess.run([program, *command[1:]], cwd=ROOT, check=False).returncode == 0


RECIPES = [
    recipe
    for page in ("README.md", "docs/ci.md")
    for recipe in re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
]


@pytest.mark.parametrize("recipe", RECIPES, ids=["README.md", "docs/ci.md"])
def test_a_recipe_of_the_documents_is_a_valid_job(tmp_path: Path, recipe: str) -> None:
    (tmp_path / "workflow.yml").write_text(f"on: push\n{recipe}")
    check = (
        Path(sys.executable).with_name("check-jsonschema"),
        "--builtin-schema",
        "vendor.github-workflows",
    )

    assert subprocess.run([*check, tmp_path / "workflow.yml"], check=False).returncode == 0


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set the variables of the container, with a state folder and a port of this test."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # not in a folder that only root can enter
    if os.geteuid() == 0:
        os.chown(folder, int(USER), int(USER))
    for name, value in re.findall(r"\b(FALMOCK_\w+)=(\S+)", CONTAINERFILE):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FALMOCK_STATE", str(folder))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("FALMOCK_PORT", "0")
    monkeypatch.setenv("FALMOCK_HOST", "127.0.0.1")
    yield folder
    shutil.rmtree(folder)


def test_the_command_serves_as_the_user_of_the_container_and_is_healthy(state: Path) -> None:
    program, *arguments = words("ENTRYPOINT") + words("CMD")
    as_user = [tool("setpriv"), f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    before = as_user if os.geteuid() == 0 else []
    with running(*before, str(Path(sys.executable).with_name(program)), *arguments) as server:
        healthy = subprocess.run([sys.executable, *healthcheck(server.address)], check=False).returncode

    assert healthy == 0
    assert os.geteuid() != 0 or {path.stat().st_uid for path in state.rglob("*")} == {int(USER)}


def test_the_application_of_the_compose_file_gets_the_certificate_and_no_key(tmp_path: Path) -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    places = dict(volume.split(":")[:2] for volume in services["falmock"]["volumes"])
    shared = {volume.split(":")[0] for volume in services["app"]["volumes"]} & places.keys()
    with served("--state", str(tmp_path)):
        mounted = [tmp_path / Path(places[name]).relative_to("/state") for name in shared]
        texts = {file.name: file.read_text() for folder in mounted for file in folder.rglob("*")}

    assert "BEGIN CERTIFICATE" in texts["ca.pem"]
    assert "PRIVATE KEY" not in "".join(texts.values())


def healthcheck(address: str) -> list[str]:
    """Return the arguments of the container's health check, for another address."""
    (_, *arguments) = json.loads(re.findall(r"CMD (\[\"python\".*\])", CONTAINERFILE)[0])
    return [argument.replace("http://127.0.0.1:8787", address) for argument in arguments]


@pytest.mark.parametrize(("strict", "code"), [("--strict", 3), ("", 0)])
def test_the_action_runs_a_command_and_leaves_a_report(tmp_path: Path, strict: str, code: int) -> None:
    installed = tmp_path / "falmock" / "bin"
    installed.mkdir(parents=True)
    (installed / "falmock").symlink_to(Path(sys.executable).with_name("falmock"))
    (step,) = [step for step in ACTION["runs"]["steps"] if step.get("name") == "Run the command"]
    done = subprocess.run(
        [tool("bash"), "-eo", "pipefail", "-c", step["run"]],
        env=os.environ
        | {"RUNNER_TEMP": str(tmp_path), "COMMAND": "exit 0", "FLAGS": "--scenario locked", "STRICT": strict},
        check=False,
    )

    assert done.returncode == code
    assert (tmp_path / "falmock-report" / "journal.jsonl").exists()


def test_the_ci_page_names_the_inputs_of_the_action() -> None:
    page = (ROOT / "docs" / "ci.md").read_text()
    (used,) = re.findall(r"with:\n((?: {10}.*\n)+)", page)

    assert {line.split(":")[0].strip() for line in used.splitlines()} <= ACTION["inputs"].keys()
