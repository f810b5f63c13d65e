"""Fuzz one target with atheris: `make fuzz ARGS="picture -max_total_time=60"`.

`all` gives each input to every target. Inputs that reach new code are kept in a folder under `.fuzz`. A crash
is written to `corpus/TARGET`, which `test_fuzz.py` replays.
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
    names = list(TARGETS) if name == "all" else [name]
    if not TARGETS.keys() >= set(names):
        sys.exit(f"name a target: all, {', '.join(TARGETS)}")
    found = Path(".fuzz") / name
    seeds = [HERE / "corpus" / each for each in names]
    for folder in (found, *seeds):
        folder.mkdir(parents=True, exist_ok=True)
    # Of an input that crashes `all`, the traceback names the target.
    artifacts = f"-artifact_prefix={found if name == 'all' else seeds[0]}/"

    def run(data: bytes) -> None:
        for each in names:
            TARGETS[each](data)

    atheris.Setup([sys.argv[0], str(found), *map(str, seeds), artifacts, *options], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
