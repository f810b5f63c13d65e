"""What holds for all tests: nothing is left when they are done."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import coverage
import psutil
import pytest
from hypothesis import settings

# No test asserts seconds, and a machine may be busy.
settings.register_profile("patient", deadline=None)
settings.register_profile("deep", deadline=None, max_examples=1_000)
# For a night: HYPOTHESIS_PROFILE=night pytest tests/falmock/http/test_hostile.py
settings.register_profile("night", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "patient"))

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
NODE = ROOT / "tests" / "node"  # its folders with a dot are copies of applications, perhaps of another worker
CACHES = {
    *(".git", ".venv", "node_modules", "__pycache__"),
    *(".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
}


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No process, no listening socket, no file but in pytest's own temporary folder."""
    scratch = tmp_path_factory.mktemp("scratch")
    runtime = tmp_path_factory.mktemp("runtime")
    before = in_checkout()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(scratch))
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        patch.setattr(tempfile, "tempdir", str(scratch))
        yield
    own = psutil.Process()
    assert own.children(recursive=True) == []
    assert [
        socket.laddr for socket in own.net_connections("inet") if socket.status == psutil.CONN_LISTEN
    ] == []
    assert sorted(path.name for path in scratch.iterdir()) == []
    assert in_checkout() - before == set()


@pytest.fixture(autouse=True)
def no_other_emulator(nothing_is_left: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the emulators of other tests, and of the developer: each test has a runtime folder of its own."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", tempfile.mkdtemp(dir=os.environ["XDG_RUNTIME_DIR"]))


def pytest_configure() -> None:
    """Restore the default of SIGINT, which programs inherit, if pytest runs in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection() -> None:
    """Disable the garbage collector while thousands of tests are collected."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Enable it again, for the objects of the tests only."""
    gc.freeze()
    gc.enable()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run in CI if a test was skipped, for example because a program is missing."""
    measured = coverage.Coverage.current()
    if measured is not None and hasattr(session.config, "workerinput"):
        measured.save()  # xdist kills a worker that takes ten seconds to end: it may not get to this
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def in_checkout() -> set[str]:
    """Return the files of the checkout, but for caches."""
    found = set()
    for folder, folders, files in os.walk(ROOT):
        at_node = Path(folder) == NODE
        folders[:] = [
            name for name in folders if name not in CACHES and not (at_node and name.startswith("."))
        ]
        found |= {f"{folder}/{name}" for name in (*folders, *files) if not name.startswith(".coverage")}
    return found
