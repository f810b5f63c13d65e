"""Replays the corpus, seeds and former crashes alike: each input is read without a crash."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import fuzz_targets
import pytest
from fuzz_targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
RUNS = 500
INPUTS = sorted(path for path in CORPUS.glob("*/*") if path.is_file())


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_parser_survives_an_input_of_the_corpus(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_every_fuzz_target_has_seeds(name: str) -> None:
    assert any(path.parent.name == name for path in INPUTS)


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not installed: run `make tools`"
)
def test_every_fuzz_target_survives_new_inputs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, CORPUS.parent / "fuzz.py", "all", f"-runs={RUNS}", "-seed=1"],
        cwd=tmp_path,  # what it finds is kept here
        env=os.environ | {"PYTHONPATH": str(Path(fuzz_targets.__file__).parent)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Done {RUNS} runs" in done.stderr
