"""Web applications, unchanged, through `falmock run`, each with its page in a browser."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from programs import NODE, NOT_COUNTED, PROGRAMS, Ran, through_falmock, tool

if TYPE_CHECKING:
    from collections.abc import Iterator

PICTURE = Path(__file__).parents[3] / "fixtures" / "images" / "hills.png"
APPS = ["fastapi", "express"]


@dataclass(frozen=True)
class Visit:
    """A visit to the page of an application.

    Attributes:
        ran: the application with its visitor.
        account: of the emulator.
        emulator: authority of the emulator's plain port.
    """

    ran: Ran
    account: dict[str, Any]
    emulator: str

    @property
    def video(self) -> dict[str, Any]:
        video: dict[str, Any] = self.ran.report["video"]
        return video

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Method and URL of the calls that the page made itself."""
        return [(method, url) for method, url in self.ran.report["calls"]]

    @property
    def authorities(self) -> set[str]:
        """Whom the page called."""
        return {urlsplit(url).netloc for _, url in self.calls}

    @property
    def app(self) -> str:
        """Authority of the application."""
        return str(urlsplit(self.ran.report["url"]).netloc)


def visit(folder: Path, *command: str, cwd: Path, **environment: str) -> Visit:
    """Start an application with `falmock run`, choose a picture in its page, and play the video."""
    account = folder / "account.json"
    visitor = (tool("node"), str(NODE / "web_app.mjs"), tool("chromium"), str(folder / "profile"))
    flags = ("--account", str(account))
    ran = through_falmock(*visitor, str(PICTURE), *command, flags=flags, cwd=cwd, **environment)
    (emulator,) = re.findall(r"a new emulator at http://(\S+),", ran.err)
    assert ran.code == 0, ran.out + ran.err
    return Visit(ran, json.loads(account.read_text()), emulator)


@contextmanager
def copied(app: str) -> Iterator[Path]:
    """Copy an application to where it finds the packages from npm: its build must not be in the checkout."""
    with tempfile.TemporaryDirectory(dir=NODE, prefix=".") as folder:
        shutil.copytree(NODE / app, folder, dirs_exist_ok=True)
        yield Path(folder)


@pytest.fixture(scope="module")
def fastapi(tmp_path_factory: pytest.TempPathFactory) -> Visit:
    server = (sys.executable, "-m", "uvicorn", "fastapi_app:app", "--port", "{port}")
    return visit(tmp_path_factory.mktemp("fastapi"), *server, cwd=PROGRAMS)


@pytest.fixture(scope="module")
def express(tmp_path_factory: pytest.TempPathFactory) -> Visit:
    bundle = f"{NODE}/node_modules/.bin/esbuild page.js --bundle --format=esm --outfile=build/page.js"
    start = ("sh", "-c", f"{bundle} && exec node server.mjs")
    with copied("express_app") as folder:
        return visit(tmp_path_factory.mktemp("express"), *start, cwd=folder)


@pytest.fixture(params=APPS)
def visited(request: pytest.FixtureRequest) -> Visit:
    app: Visit = request.getfixturevalue(request.param)
    return app


def test_a_page_of_an_application_plays_the_video_that_it_asked_for(visited: Visit) -> None:
    video = visited.video

    assert (video["duration"], video["videoWidth"], video["played"]) == (5, 1280, True)


def test_a_page_of_an_application_calls_the_application_and_the_emulator_only(visited: Visit) -> None:
    assert visited.authorities == {visited.app, visited.emulator}


def test_the_application_and_its_page_look_up_no_fal_name(visited: Visit) -> None:
    assert visited.ran.fals_names == ()


def test_the_account_of_a_web_application_has_its_upload_and_its_result(visited: Visit) -> None:
    account = visited.account

    assert (account["requests"], account["results"], account["refused"]) == (1, 1, [])
    assert account["calls"]["v3.fal.media"] >= 2  # the upload, and the video


def test_the_account_of_a_web_application_says_which_calls_of_a_page_it_cannot_see(visited: Visit) -> None:
    assert visited.ran.err.splitlines()[-2] == f"falmock: {NOT_COUNTED}"


def test_the_page_of_express_uploads_the_picture_to_the_emulator_itself(express: Visit) -> None:
    (upload,) = [url for method, url in express.calls if method == "PUT"]

    assert upload.startswith(f"http://{express.emulator}/v3b.fal.media/files/b/")


def test_the_page_of_a_next_application_uploads_streams_the_status_and_plays_without_fals_hosts(
    tmp_path: Path,
) -> None:
    start = (f"{NODE}/node_modules/.bin/next", "dev", "--hostname", "127.0.0.1", "--port", "{port}")
    with copied("next_app") as folder:
        seen = visit(tmp_path, *start, cwd=folder, NEXT_TELEMETRY_DISABLED="1")

    assert (seen.video["duration"], seen.video["played"]) == (5, True)
    assert seen.authorities == {seen.app, seen.emulator}
    (upload,) = [url for method, url in seen.calls if method == "PUT"]
    assert upload.startswith(f"http://{seen.emulator}/v3b.fal.media/files/b/")
    assert seen.account["results"] == 1
    assert seen.ran.fals_names == ()
