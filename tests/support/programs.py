"""Runs unchanged programs under `falmock run`, for tests, and collects their reports."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from falmock.intercept import netns
from falmock.protocol.hosts import is_fal

NODE = Path(__file__).parents[1] / "node"
PROGRAMS = Path(__file__).parents[1] / "programs"
IMAGE = Path(__file__).parents[2] / "fixtures" / "images" / "hills.png"
PATIENCE = 120  # seconds after which a program that has not ended has failed
NOT_COUNTED = "not counted: calls of a browser to fal's own hosts, unless falmock browser has opened it"
QUICK = (
    *("--media", "plain", "--queue-seconds", "0.2", "--run-seconds", "0.3", "--keys", "me:secret"),
    *("--cancel", "honoured"),  # a cancel may arrive when the request runs already
)


@dataclass(frozen=True)
class Ran:
    """A program that has ended; `looked_up` are the names that were looked up at the name server."""

    code: int
    out: str
    err: str
    looked_up: tuple[str, ...] = ()

    @property
    def fals_names(self) -> tuple[str, ...]:
        """The names of fal's hosts among them."""
        return tuple(name for name in self.looked_up if is_fal(name))

    @property
    def report(self) -> Any:
        """The last line of its output, as JSON."""
        assert self.code == 0, self.out + self.err
        return json.loads(self.out.splitlines()[-1])


def run(*command: str, cwd: Path | None = None, **environment: str) -> Ran:
    """Run a command to its end."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=cwd,
        env=os.environ | {"FAL_KEY": "me:secret"} | environment,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def falmock(*arguments: str, cwd: Path | None = None, **environment: str) -> Ran:
    """Run a command of falmock's."""
    return run(sys.executable, "-m", "falmock", *arguments, cwd=cwd, **environment)


def one_line(ran: Ran) -> str:
    """Return the only line of standard error of a command that was used wrongly."""
    assert (ran.code, ran.out) == (2, ""), ran.err
    (line,) = ran.err.splitlines()
    return line


def through_falmock(
    *command: str, flags: tuple[str, ...] = (), cwd: Path | None = None, **environment: str
) -> Ran:
    """Run a program through `falmock run`, in a network that has nothing but loopback."""
    for needed in netns.TOOLS:
        tool(needed)
    with tempfile.NamedTemporaryFile("r") as names:
        falmock = (sys.executable, "-m", "falmock", "run", *QUICK, *flags, "--")
        ran = run(*netns.prefix(Path(names.name)), *falmock, *command, cwd=cwd, **environment)
        return replace(ran, looked_up=tuple(json.loads(names.read() or "[]")))


def tool(name: str) -> str:
    """Return the path of a program that a test needs, or skip the test. In CI a skip is a failure."""
    path = shutil.which(name)
    if path is None or (name == "node" and not (NODE / "node_modules").is_dir()):
        pytest.skip(f"{name}, or what the tests need of it, is not installed: run `make tools`")
    return path


def runtime(name: str) -> tuple[str, ...]:
    """Return the command by which Node, Bun or Deno runs a file, or skip the test as `tool` does."""
    if name == "node":
        return (tool("node"),)
    packages = {"bun": "@oven/bun-*/bin/bun", "deno": "@deno/*/deno"}
    path = next(NODE.joinpath("node_modules").glob(packages[name]), None)
    if path is None:
        pytest.skip(f"{name} is not installed: run `make tools`")
    return (str(path), "run", "-A") if name == "deno" else (str(path),)
