"""The wheel, installed without extras and without the checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from processes import running

ROOT = Path(__file__).parents[1]
MOST_BYTES = 250_000
INSTALLING = 300  # seconds after which pip has failed


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel in a virtual environment of its own; return its folder of programs."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, timeout=INSTALLING)
    (wheel,) = folder.glob("falmock-*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    install = [*pip, "--python", str(folder / "venv"), "install", "--no-compile", "--no-warn-script-location"]
    constraints = str(ROOT / "constraints.txt")
    subprocess.run([*install, "--constraint", constraints, str(wheel)], check=True, timeout=INSTALLING)
    return folder / "venv" / "bin"


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


def test_the_catalogue_adds_little_to_the_wheel(programs: Path) -> None:
    (wheel,) = programs.parents[1].glob("falmock-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        data = [file for file in archive.infolist() if file.filename.startswith("falmock/catalogue/data/")]

    assert sorted(Path(file.filename).name for file in data) == ["checked.json", "listed.jsonl"]
    assert sum(file.compress_size for file in data) < MOST_BYTES


def test_falcontract_without_its_extra_says_what_to_install(programs: Path) -> None:
    done = subprocess.run([programs / "falcontract", "run"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "falmock[contract]" in done.stderr
