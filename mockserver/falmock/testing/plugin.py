"""The pytest plugin: fal in a test. It is found by itself once falmock is installed.

    def test_a_refusal_is_told(falmock):
        falmock.fail_next("content_policy_violation")
        assert make_clip("a sunset") == "please try another prompt"

Nothing of falmock is imported before a test asks for one of the fixtures.
"""

from __future__ import annotations

import re
import sys
import warnings
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from falmock.settings import Settings
    from falmock.testing.harness import Harness, TestSession

HARNESS: Final = pytest.StashKey["Harness"]()
MARK: Final = "falmock"
POLLS: Final = "polls_pass_time"
LINT: Final = "falmock.inspection.lint"
TOLD: Final = 100  # entries of the journal in a report


class FalmockLeftover(UserWarning):
    """A test has left something undone: a fault that never struck, a request or a webhook under way."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Announce what can be set in the project's configuration."""
    parser.addini(
        f"falmock_{POLLS}",
        "a poll that would tell nothing new moves the time on to the next thing that happens",
        type="bool",
        default=True,
    )
    parser.addini(
        "falmock_lint", "tell mistakes of the code under test in the end", type="bool", default=True
    )


def pytest_configure(config: pytest.Config) -> None:
    """Announce the mark."""
    config.addinivalue_line(
        "markers",
        f"{MARK}({POLLS}=True, **settings): how fal is in this test; see falmock.settings for the settings",
    )


@pytest.fixture
def falmock_settings() -> Settings:
    """What the emulator is told before it starts; override it for a module or a project."""
    from falmock.testing.harness import QUICK  # noqa: PLC0415 - tests that do without falmock shall not wait for it

    return QUICK


@pytest.fixture
def falmock_key(request: pytest.FixtureRequest) -> str:
    """The key that FAL_KEY has, `test-<name of the test>:secret`; override it for another."""
    return f"test-{re.sub(r'[^A-Za-z0-9_.-]+', '-', request.node.name)}:secret"


@pytest.fixture
def falmock(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    falmock_settings: Settings,
    falmock_key: str,
    _falmock_stage: TestSession,
) -> Iterator[Harness]:
    """An emulator of fal for this test: what httpx clients say to fal goes there, and nothing leaves.

    Its clock stands still but for polls and `advance`. A call that would have left fails the test.
    """
    from dataclasses import replace  # noqa: PLC0415 - see above

    __tracebackhide__ = True
    marked = _marked(request.node)
    polls = marked.pop(POLLS, request.config.getini(f"falmock_{POLLS}"))
    monkeypatch.setenv("FAL_KEY", falmock_key)
    _forget_key()
    with _falmock_stage.harness(replace(falmock_settings, **marked)) as harness:
        harness.polls_pass_time = polls
        request.node.stash[HARNESS] = harness
        yield harness
        del request.node.stash[HARNESS]
        left = harness.leftovers()
        request.node.user_properties += [(LINT, str(finding)) for finding in harness.lint()]
    _forget_key()
    for leak in harness.leaks:  # since the test was over, in the clean-up of its fixtures
        raise leak
    path, line, _ = request.node.location
    for each in left:
        warnings.warn_explicit(f"{request.node.name}: {each}", FalmockLeftover, path, (line or 0) + 1)


@pytest.fixture
def falmock_server(falmock: Harness) -> Harness:
    """The same at an address on this machine too (`falmock_server.address`), for other processes."""
    falmock.serve()
    return falmock


@pytest.fixture(scope="session")
def _falmock_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestSession]:
    from falmock.testing.harness import staged  # noqa: PLC0415 - see above

    with staged(tmp_path_factory.mktemp("falmock")) as stage:
        yield stage


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test in which something would have left, even if the code under test took it for a mishap."""
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
    """Tell with a failure what was said to fal, and what fal did."""
    report = yield
    if report.failed and HARNESS in item.stash:
        told = [str(entry) for entry in item.stash[HARNESS].journal[-TOLD:]]
        report.sections.append(("what fal saw", "\n".join(told)))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell in the end which mistakes the code under test has made with fal, each once."""
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
    """Have the functions of fal's client look at FAL_KEY anew; they keep the key of their first call."""
    if (module := sys.modules.get("fal_client")) is not None:
        for client in (module.sync_client, module.async_client):
            for name in ("_auth", "_client", "_token_manager"):
                vars(client).pop(name, None)


def _marked(item: pytest.Item) -> dict[str, Any]:
    """Return what marks say, the closest one last."""
    marks = reversed(list(item.iter_markers(MARK)))
    return {name: value for mark in marks for name, value in mark.kwargs.items()}
