"""Python programs, unchanged, through `falmock run`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from programs import PROGRAMS, Ran, through_falmock

IMAGE = Path(__file__).parents[3] / "fixtures" / "images" / "hills.png"
QUIET = ("-W", "ignore::ResourceWarning")  # fal's client leaves connections to the collector
LIBRARIES = ("httpx", "requests", "urllib", "aiohttp")


def python(program: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, *QUIET, str(PROGRAMS / program), *arguments)


@pytest.fixture(scope="module")
def fal_client(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("fal_client")
    return through_falmock(*python("fal_client_sync.py", str(IMAGE)), cwd=folder)


@pytest.fixture(scope="module")
def fal_client_async(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("fal_client_async")
    return through_falmock(*python("fal_client_async.py", str(IMAGE)), cwd=folder)


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return through_falmock(*python("http_libraries.py"), cwd=tmp_path_factory.mktemp("libraries"))


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("small upload", True),
        ("states", ["Queued", "InProgress", "Completed"]),
        ("video is an mp4", True),
        ("status_url", True),
        ("status", "Queued"),
        ("events", "Completed"),
        ("result", ["video"]),
        ("by id", ["video"]),
        ("cancelled", [499, "FalClientHTTPError"]),
        ("multipart upload", 101 * 1024 * 1024),
        ("invalid", [422, ["body", "duration"]]),
    ],
)
def test_the_python_client_of_fal_works_unchanged(fal_client: Ran, what: str, expected: object) -> None:
    assert fal_client.report[what] == expected


def test_files_of_a_program_are_at_an_address_that_a_page_can_open(fal_client: Ran) -> None:
    assert re.match(r"http://127\.0\.0\.1:\d+/v3b\.fal\.media/files/", fal_client.report["video"])


@pytest.mark.parametrize(
    ("flags", "start"),
    [
        (("--media-urls", "fal"), "https://v3b.fal.media/files/"),
        (("--public-url", "http://localhost:1234"), "http://localhost:1234/v3b.fal.media/files/"),
    ],
)
def test_the_address_of_files_can_be_chosen(tmp_path: Path, flags: tuple[str, ...], start: str) -> None:
    program = """if True:
        import fal_client
        with open("x", "wb") as file:
            file.write(b"x")
        print(fal_client.upload_file("x"))
    """

    assert through_falmock(sys.executable, "-c", program, flags=flags, cwd=tmp_path).out.startswith(start)


def test_the_account_counts_requests_and_their_price(fal_client: Ran) -> None:
    assert fal_client.err.splitlines()[-1] == (
        "falmock: 4 requests, 2 results, 2 failures, 0 webhooks, $5.00 not spent"
    )


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("states", ["Queued", "InProgress", "Completed"]),
        ("status", "Queued"),
        ("events", "Completed"),
        ("result", ["video"]),
        ("cancelled", [499, "FalClientHTTPError"]),
        ("invalid", [422, ["body", "prompt"]]),
    ],
)
def test_the_asynchronous_python_client_of_fal_works_unchanged(
    fal_client_async: Ran, what: str, expected: object
) -> None:
    assert fal_client_async.report[what] == expected


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_python_library_reaches_the_emulator(libraries: Ran, library: str) -> None:
    assert libraries.report["served"][library] == 200


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("which", ["refused", "backup"])
def test_a_python_library_is_refused_fal_hosts_that_are_not_emulated(
    libraries: Ran, library: str, which: str
) -> None:
    assert libraries.report[which][library] == 421


def test_the_account_names_the_refused_hosts(libraries: Ran) -> None:
    assert "REFUSED: calls to gateway.fal.ai, queue.falrun.com" in libraries.err.splitlines()[-1]


@pytest.mark.parametrize("program", ["fal_client", "fal_client_async", "libraries"])
def test_no_python_program_looks_up_a_name(program: str, request: pytest.FixtureRequest) -> None:
    assert request.getfixturevalue(program).looked_up == ()
