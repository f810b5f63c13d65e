"""Pages that call fal's hosts themselves: `falmock browser`, and the settings for Playwright."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from processes import served
from programs import NODE, Ran, falmock, one_line, through_falmock, tool

from falmock.intercept.certificates import open_ca

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = (Path(__file__).parents[3] / "docs" / "network.md").read_text()
URL = "http://localhost:3000/"
SHOWS = """#!/bin/sh
for word; do echo "$word"; done
"""


def opened(folder: Path, way: str) -> Ran:
    """Open the page in a network that has only loopback, below `falmock run`."""
    stranger = open_ca(folder / "other").server
    visit = ("direct_page.mjs", tool("chromium"), str(folder / "profile"), str(stranger), way)
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # Chromium makes a socket there
        return through_falmock(tool("node"), *visit, cwd=NODE, TMPDIR=short)


@pytest.fixture(scope="module")
def by_command(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return opened(tmp_path_factory.mktemp("command"), sys.executable)


@pytest.fixture(scope="module")
def by_playwright(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("playwright")
    (settings,) = [each for each in re.findall(r"```js\n(.*?)```", PAGE, re.DOTALL) if "proxy:" in each]
    (folder / "settings.mjs").write_text(settings)
    return opened(folder, str(folder / "settings.mjs"))


@pytest.fixture(params=["by_command", "by_playwright"])
def visit(request: pytest.FixtureRequest) -> Ran:
    ran: Ran = request.getfixturevalue(request.param)
    return ran


def test_a_page_that_calls_fals_hosts_itself_plays_the_video_of_the_emulator(visit: Ran) -> None:
    assert visit.report["duration"] == 5
    assert "1 request, 1 result" in visit.err.splitlines()[-1]


def test_a_page_can_read_why_a_host_of_fal_is_refused(visit: Ran) -> None:
    assert visit.report["refused"] == 421


def test_a_browser_that_is_led_to_the_emulator_looks_up_no_fal_name(visit: Ran) -> None:
    assert visit.report
    assert visit.fals_names == ()


def test_falmock_browser_trusts_the_key_of_the_emulator_and_no_other(by_command: Ran) -> None:
    assert by_command.report["stranger"] == "TypeError"


@pytest.fixture
def shows(tmp_path: Path) -> str:
    """A browser that prints its arguments, one a line."""
    path = tmp_path / "shows"
    path.write_text(SHOWS)
    path.chmod(0o755)
    return str(path)


def flags_of(ran: Ran) -> Mapping[str, str]:
    assert ran.code == 0, ran.err
    return dict(word.partition("=")[::2] for word in ran.out.splitlines())


def test_falmock_browser_starts_an_emulator_like_falmock_run(tmp_path: Path, shows: str) -> None:
    ran = falmock("browser", "--browser", shows, URL, cwd=tmp_path)

    assert flags_of(ran)["--proxy-server"].startswith("http://127.0.0.1:")
    assert "using a new emulator" in ran.err
    assert ran.err.splitlines()[-1].startswith("falmock: 0 requests")


def test_falmock_browser_uses_the_emulator_that_serves_the_state_folder(tmp_path: Path, shows: str) -> None:
    state = tmp_path / "state"
    with served("--state", str(state)):
        proxy = json.loads((state / "server.json").read_text())["proxy"]
        ran = falmock("browser", "--state", str(state), "--browser", shows, URL)

    assert flags_of(ran)["--proxy-server"] == proxy


def test_falmock_browser_below_falmock_run_uses_the_same_emulator(shows: str) -> None:
    browser = f"{sys.executable} -m falmock browser --browser {shows} {URL}"

    ran = falmock("run", "--", "sh", "-c", f"echo --emulator=$HTTPS_PROXY; {browser}")

    flags = flags_of(ran)
    assert flags["--proxy-server"] == flags["--emulator"]
    assert ran.err.count("using") == 1


def test_words_after_the_url_are_flags_of_the_browser(tmp_path: Path, shows: str) -> None:
    ran = falmock("browser", "--browser", shows, URL, "--headless", "--window-size=800,600", cwd=tmp_path)

    assert ran.out.splitlines()[-3:] == ["--headless", "--window-size=800,600", URL]


def test_the_profile_of_falmock_browser_is_removed_at_the_end(tmp_path: Path, shows: str) -> None:
    profile = Path(flags_of(falmock("browser", "--browser", shows, URL, cwd=tmp_path))["--user-data-dir"])

    assert profile.parent.name.startswith("falmock-")
    assert not profile.parent.exists()


def test_a_browser_that_does_not_exist_is_refused_in_one_line(tmp_path: Path) -> None:
    line = one_line(falmock("browser", "--browser", "no-such-browser", URL, cwd=tmp_path))

    assert line == "falmock: no-such-browser is not a program: name another with --browser"


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has browsers outside of PATH")
def test_falmock_browser_says_so_if_it_finds_no_browser(tmp_path: Path) -> None:
    line = one_line(falmock("browser", URL, cwd=tmp_path, PATH=str(tmp_path)))

    assert line == "falmock: there is no Chromium, Chrome or Edge on PATH: name one with --browser"


def test_falmock_browser_says_so_if_the_emulator_of_its_environment_is_gone(
    tmp_path: Path, shows: str
) -> None:
    kept = tmp_path / "environment.json"
    program = f"import json, os; open({str(kept)!r}, 'w').write(json.dumps(dict(os.environ)))"
    assert falmock("run", "--", sys.executable, "-c", program).code == 0

    line = one_line(falmock("browser", "--browser", shows, URL, cwd=tmp_path, **json.loads(kept.read_text())))

    assert line.startswith("falmock: cannot open a browser for the emulator that FALMOCK_SERVER names: ")
