"""Fuzz one target with atheris: `make fuzz ARGS="picture -max_total_time=60"`.

Inputs that reach new code are kept in a folder under `.fuzz`. A crash is written to `corpus/TARGET`, which
`test_fuzz.py` replays.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

HERE = Path(__file__).parent

with atheris.instrument_imports(include=["falmock"]):
    from fuzz_targets import TARGETS


def main() -> None:
    name, *options = sys.argv[1:] or [""]
    if name not in TARGETS:
        sys.exit(f"name a target: {', '.join(TARGETS)}")
    seeds, found = HERE / "corpus" / name, Path(".fuzz") / name
    for folder in (seeds, found):
        folder.mkdir(parents=True, exist_ok=True)
    arguments = [sys.argv[0], str(found), str(seeds), f"-artifact_prefix={seeds}/", *options]
    atheris.Setup(arguments, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
