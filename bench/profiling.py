"""Profiles of a server: by py-spy if it is installed, because it costs little, otherwise by cProfile."""

from __future__ import annotations

import os
import pstats
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

THREAD: Final = "_bootstrap (threading.py"
LINES: Final = 40
PATIENCE: Final = 20.0  # seconds


class Profile:
    """A profile of one server.

    Args:
        path: of the files to write, without suffix: .folded for flame graphs or .prof for pstats, and .txt.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._spy = _py_spy()
        self._sampler: subprocess.Popen[bytes] | None = None

    def command(self, command: list[str]) -> list[str]:
        """Return the command that starts the server, to be profiled."""
        if self._spy is not None:
            return command
        return [sys.executable, "-m", "cProfile", "-o", f"{self._path}.prof", *command]

    def begin(self, pid: int) -> None:
        """Begin to sample a server that has started."""
        if self._spy is not None:
            options = ("--format", "raw", "--function", "--rate", "500", "--output", f"{self._path}.folded")
            self._sampler = subprocess.Popen(
                [self._spy, "record", *options, "--pid", str(pid)], stdout=subprocess.DEVNULL
            )

    def end(self) -> None:
        """End sampling, before the server stops."""
        if self._sampler is not None:
            self._sampler.send_signal(signal.SIGINT)
            self._sampler.wait(PATIENCE)

    def write(self) -> None:
        """Write the text, after the server has stopped."""
        with Path(f"{self._path}.txt").open("w") as text:
            if self._spy is not None:
                text.write(_summary(Path(f"{self._path}.folded").read_text()))
            else:
                stats = pstats.Stats(f"{self._path}.prof", stream=text)
                stats.sort_stats("tottime").print_stats(LINES)


def _py_spy() -> str | None:
    """Return the path of py-spy, if it is installed beside this Python or anywhere else."""
    return shutil.which(
        "py-spy", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    )


def _summary(folded: str) -> str:
    """Return the functions with the most samples, from lines of "frame;frame;frame number".

    Only the main thread counts, because py-spy may take a waiting thread for a running one.
    """
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for line in folded.splitlines():
        stack, _, count = line.rpartition(" ")
        if THREAD in stack:
            continue
        frames = stack.split(";")
        own[frames[-1]] += int(count)
        total.update(dict.fromkeys(frames, int(count)))
    samples = own.total() or 1
    lines = [f"{samples:,} samples of the main thread", f"{'own':>7}{'total':>8}"]
    lines += [
        f"{100 * count / samples:6.1f}%{100 * total[frame] / samples:7.1f}%  {frame}"
        for frame, count in own.most_common(LINES)
    ]
    return "\n".join(lines) + "\n"
