"""The wheel, installed without extras and without the checkout, and the documents' ways to install it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from documents import commands, make_project
from processes import running
from programs import run, tool

if TYPE_CHECKING:
    from programs import Ran

ROOT = Path(__file__).parents[1]
MOST_BYTES = 250_000
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
CI = (ROOT / "docs" / "ci.md").read_text()
INSTALLING = 300  # seconds after which pip has failed
SOURCES = ("mockserver", "client", "contract_tests", "pyproject.toml", "README.md", "LICENSE")
HAS_IT = "pip install 'falmock[contract]'"  # works only where falmock is installed
PIP = {
    "PIP_CONSTRAINT": str(ROOT / "constraints.txt"),
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_COMPILE": "0",  # a program that runs once compiles less than pip would
}
LINES = {
    line
    for document in ("README.md", "docs/install.md")
    for line in commands(document)
    if line.startswith("pip install")
}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel; return its folder."""
    folder = tmp_path_factory.mktemp("wheel") / "dist"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, timeout=INSTALLING)
    return folder


@pytest.fixture(scope="module")
def programs(dist: Path) -> Path:
    """Install the wheel in a virtual environment of its own; return its folder of programs."""
    (wheel,) = dist.glob("falmock-*.whl")
    folder = dist.parent / "falmock"  # where the action has it
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "pip"), "--quiet", "--disable-pip-version-check"]
    constraints = str(ROOT / "constraints.txt")
    install = [*pip, "install", "--no-compile", "--constraint", constraints, str(wheel)]
    subprocess.run(install, check=True, timeout=INSTALLING)
    return folder / "bin"


@pytest.fixture
def environment(programs: Path) -> dict[str, str]:
    """The variables of a shell in which that environment is active."""
    own = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(programs.parent)}
    return own | PIP


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URL of a repository with the sources as they are in the checkout."""
    git, folder = tool("git"), tmp_path_factory.mktemp("repository")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    author = ("-c", "user.name=a", "-c", "user.email=a@b.example")
    for command in (("init", "--quiet"), ("add", "."), (*author, "commit", "--quiet", "--message", "all")):
        subprocess.run([git, *command], cwd=folder, check=True)
    return f"file://localhost{folder}"


def test_the_wheel_alone_makes_a_video(programs: Path, tmp_path: Path) -> None:
    with running(str(programs / "falmock"), "serve", "--port", "0", "--ephemeral") as server:
        image = ROOT / "fixtures" / "images" / "hills.png"
        subprocess.run(
            [programs / "falqueue", "generate", image, "The sun sets", "-o", "clip.mp4"],
            cwd=tmp_path,
            env={"FAL_KEY": "my:key", "FALQUEUE_BASE_URL": server.address},
            check=True,
            timeout=INSTALLING,
        )
    probe = [str(programs / "python"), "-m", "falmock.media.probe", "clip.mp4"]

    assert "seconds: 5.0" in subprocess.check_output(probe, cwd=tmp_path, text=True)


def test_the_catalogue_adds_little_to_the_wheel(dist: Path) -> None:
    (wheel,) = dist.glob("falmock-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        data = [file for file in archive.infolist() if file.filename.startswith("falmock/catalogue/data/")]

    assert sorted(Path(file.filename).name for file in data) == ["checked.json", "listed.jsonl"]
    assert sum(file.compress_size for file in data) < MOST_BYTES


def in_shell(command: str, environment: dict[str, str], folder: Path) -> Ran:
    return run(tool("bash"), "-euo", "pipefail", "-c", command, cwd=folder, **environment)


def test_falcontract_without_its_extra_says_what_to_install_and_that_is_enough(
    programs: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    before = run(str(programs / "falcontract"), "run")
    _, advice = before.err.rstrip().rsplit(": ", 1)
    installed = in_shell(advice, environment, tmp_path)
    after = run(str(programs / "python"), "-c", "import falcontract.explore.machine")
    in_shell("pip uninstall --quiet --yes hypothesis", environment, tmp_path)

    assert (before.code, before.err.count("\n"), advice) == (2, 1, HAS_IT)
    assert installed.code == 0, installed.err
    assert after.code == 0, after.err


def test_every_extra_that_is_named_somewhere_exists() -> None:
    files = [ROOT / "README.md", *ROOT.glob("docs/*.md")]
    for package in ("mockserver", "client", "contract_tests"):
        files += (ROOT / package).rglob("*.py")
    named = {name for path in files for name in re.findall(r"falmock\[(\w+)\]", path.read_text())}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert named == project["optional-dependencies"].keys() - {"dev"}


@pytest.mark.parametrize("line", sorted(LINES - {HAS_IT}))
def test_an_install_line_of_the_documents_installs_falmock(
    dist: Path, environment: dict[str, str], repository: str, tmp_path: Path, line: str
) -> None:
    (tmp_path / "dist").symlink_to(dist)
    (tmp_path / "falmock").symlink_to(ROOT)
    in_shell("pip uninstall --quiet --yes falmock", environment, tmp_path)

    installed = in_shell(line.replace("<repository>", repository), environment, tmp_path)

    assert installed.code == 0, installed.err
    assert in_shell("falmock --version", environment, tmp_path / "dist").out == "falmock, version 0.1.0\n"


def test_the_recipe_for_any_ci_system_runs_an_app(
    programs: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """Its environment is the one that has falmock's dependencies already, to save time."""
    (recipe,) = [command for command in commands("docs/ci.md") if "-m venv" in command]
    variables = make_project(tmp_path) | PIP
    (tmp_path / "falmock").symlink_to(ROOT)

    ran = in_shell(recipe.replace(".falmock-venv", str(programs.parent)), variables, tmp_path)

    assert ran.code == 0, ran.err
    assert "1 request, 1 result" in ran.err
    assert list((tmp_path / "falmock-report").glob("*.mp4"))


def test_the_recipe_for_github_runs_an_app(
    programs: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """The steps of the job run in order, with those of the action in its place."""
    recipe = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", CI, re.DOTALL)[0])
    folder = programs.parents[1]
    runner = {"RUNNER_TEMP": str(folder), "GITHUB_ACTION_PATH": str(ROOT)}
    variables = make_project(tmp_path) | PIP | runner
    said = ""
    for step in recipe["jobs"]["test"]["steps"]:
        scripts = [step["run"]] if "run" in step else []
        if "with" in step:
            given = {name: each.get("default") for name, each in ACTION["inputs"].items()} | step["with"]
            variables |= {"COMMAND": given["run"], "FLAGS": given["flags"], "STRICT": "--strict"}
            scripts = [each["run"] for each in ACTION["runs"]["steps"] if "run" in each]
        for script in scripts:
            ran = in_shell(script, variables, tmp_path)
            assert ran.code == 0, ran.err
            said += ran.err

    assert "1 request, 1 result" in said
    assert list((folder / "falmock-report").glob("*.mp4"))
