"""The pytest plugin. pytest finds it once falmock is installed.

    def test_a_refusal_is_shown(falmock):
        falmock.fail_next("content_policy_violation")
        assert make_clip("a sunset") == "please try another prompt"

Nothing else of falmock is imported before a test uses one of the fixtures.
"""

from __future__ import annotations

import re
import sys
import warnings
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from falmock.settings import Settings
    from falmock.testing.harness import Harness
    from falmock.testing.session import TestSession

HARNESS: Final = pytest.StashKey["Harness"]()
MARK: Final = "falmock"
POLLS: Final = "polls_pass_time"
LINT: Final = "falmock.inspection.lint"
SHOWN: Final = 100  # entries of the journal in a report


class FalmockLeftover(UserWarning):
    """A test left a fault that never took effect, or an open request or webhook."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the configuration file."""
    parser.addini(
        f"falmock_{POLLS}",
        "a poll that would return nothing new moves the clock to the next event",
        type="bool",
        default=True,
    )
    parser.addini(
        "falmock_lint",
        "show mistakes in the calls of the code under test after the run",
        type="bool",
        default=True,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark."""
    config.addinivalue_line(
        "markers",
        f"{MARK}({POLLS}=True, **settings): the emulator's settings for this test; see docs/pytest.md",
    )


@pytest.fixture
def falmock_settings() -> Settings:
    """The emulator's settings. Override it for a module or a project."""
    from falmock.testing.harness import QUICK  # noqa: PLC0415 - slow; not for tests that do not use it

    return QUICK


@pytest.fixture
def falmock_key(request: pytest.FixtureRequest) -> str:
    """The value of FAL_KEY, `test-<name of the test>:secret`. Override it for another."""
    return f"test-{re.sub(r'[^A-Za-z0-9_.-]+', '-', request.node.name)}:secret"


@pytest.fixture
def falmock(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    falmock_settings: Settings,
    falmock_key: str,
    _falmock_session: TestSession,
) -> Iterator[Harness]:
    """An emulator for this test: calls of httpx clients to fal go there, and none leaves the machine.

    Only polls and `advance` move its clock. A call that would have left fails the test.
    """
    from falmock.app import FfmpegNotFound, StateError  # noqa: PLC0415 - see above
    from falmock.settings import SettingsError  # noqa: PLC0415 - see above
    from falmock.testing.harness import open_harness  # noqa: PLC0415 - see above
    from falmock.testing.marks import MarkError, read  # noqa: PLC0415 - see above

    usual = {POLLS: request.config.getini(f"falmock_{POLLS}")}
    try:
        settings, switches = read(reversed([*request.node.iter_markers(MARK)]), falmock_settings, usual)
    except MarkError as error:
        raise pytest.fail.Exception(f"@pytest.mark.{MARK}: {error}", pytrace=False) from None
    monkeypatch.setenv("FAL_KEY", falmock_key)
    _forget_key()
    with ExitStack() as stack:
        try:
            harness = stack.enter_context(open_harness(_falmock_session, settings))
        except (SettingsError, StateError, FfmpegNotFound) as error:
            raise pytest.fail.Exception(f"falmock: {error}", pytrace=False) from None
        __tracebackhide__ = True
        harness.polls_pass_time = switches[POLLS]
        request.node.stash[HARNESS] = harness
        yield harness
        del request.node.stash[HARNESS]
        leftovers = harness.leftovers()
        request.node.user_properties += [(LINT, str(finding)) for finding in harness.lint()]
    _forget_key()
    for leak in harness.leaks:  # after the test, in the teardown of its fixtures
        raise leak
    path, line, _ = request.node.location
    for leftover in leftovers:
        warnings.warn_explicit(f"{request.node.name}: {leftover}", FalmockLeftover, path, (line or 0) + 1)


@pytest.fixture
def falmock_no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the pauses of fal-client before it sends a call again (up to ten seconds). Polls keep theirs."""
    from fal_client import client  # noqa: PLC0415 - it need not be installed

    monkeypatch.setattr(client, "_get_retry_delay", lambda *_, **__: 0.0)


@pytest.fixture
def falmock_server(falmock: Harness) -> Harness:
    """The same, also served at a loopback address (`falmock_server.address`), for other processes."""
    falmock.serve()
    return falmock


@pytest.fixture(scope="session")
def _falmock_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestSession]:
    from falmock.testing.session import open_session  # noqa: PLC0415 - see above

    with open_session(tmp_path_factory.mktemp("falmock")) as session:
        yield session


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test with a leak, even if the code under test caught the exception."""
    try:
        result = yield
        leaks = item.stash[HARNESS].leaks if HARNESS in item.stash else ()
        for leak in leaks:
            raise leak
        return result
    finally:
        if HARNESS in item.stash:
            item.stash[HARNESS].leaks.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the journal to the report of a failure."""
    report = yield
    if report.failed and HARNESS in item.stash:
        entries = [str(entry) for entry in item.stash[HARNESS].journal[-SHOWN:]]
        report.sections.append(("what fal saw", "\n".join(entries)))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show each mistake that the code under test made in its calls to fal once."""
    reports = [report for some in terminalreporter.stats.values() for report in some]
    found: dict[str, str] = {}
    for report in reports:
        if getattr(report, "when", None) == "teardown":
            for name, finding in report.user_properties:
                if name == LINT:
                    found.setdefault(finding, report.nodeid)
    if found and terminalreporter.config.getini("falmock_lint"):
        terminalreporter.section("mistakes with fal (falmock lint)")
        for finding, test in found.items():
            terminalreporter.write_line(f"{test}: {finding}")


def _forget_key() -> None:
    """Make fal-client's module functions read FAL_KEY again; they cache the key of their first call."""
    if (module := sys.modules.get("fal_client")) is not None:
        for client in (module.sync_client, module.async_client):
            for name in ("_auth", "_client", "_token_manager"):
                vars(client).pop(name, None)
