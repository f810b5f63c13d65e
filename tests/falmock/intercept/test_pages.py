"""Pages of several origins call an emulator on the same machine, in a real browser."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from emulated import png
from processes import Served, served, web_server
from programs import NODE, run, tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

WELCOME = ["local", "other local", "allowed"]


@dataclass
class Visit:
    """The outcome of a visit to all pages.

    Attributes:
        report: the answers that each page got.
        fetched: paths that pages and uploaded documents fetched from another server.
        requests: number of requests in the emulator at the end.
    """

    report: dict[str, Any]
    fetched: list[str]
    requests: int


@contextmanager
def page_server() -> Iterator[tuple[int, list[str]]]:
    """Serve an empty page at every path; gives the port and the fetched paths."""
    fetched: list[str] = []

    def answer(path: str, _: Message) -> tuple[int, str, bytes]:
        fetched.append(path)
        return 200, "text/html", b"<!doctype html><title>a page</title>"

    with web_server(answer) as address:
        yield int(address.rpartition(":")[2]), fetched


def upload(server: Served, content: bytes, kind: str) -> str:
    body = {"file_name": "x", "content_type": kind}
    initiated = server.http.post("/rest.fal.ai/storage/upload/initiate", json=body).json()
    server.http.put(
        initiated["upload_url"], content=content, headers={"content-type": kind}
    ).raise_for_status()
    url: str = initiated["file_url"]
    return url


def document(kind: str, emulator: str, elsewhere: str) -> bytes:
    """Return a document that loads an image, runs a script, and has the script read the API."""
    name = kind.partition("/")[2]
    script = (
        f"fetch('{elsewhere}/ran/{name}', {{mode: 'no-cors'}});"
        f"fetch('{emulator}/control/clock')"
        f".then(() => fetch('{elsewhere}/read/{name}', {{mode: 'no-cors'}}));"
    )
    if kind == "text/html":
        text = f"<!doctype html><img src='{elsewhere}/seen/{name}'><script>{script}</script>"
    elif kind == "application/xhtml+xml":
        text = (
            "<html xmlns='http://www.w3.org/1999/xhtml'><head><title>x</title></head><body>"
            f"<img src='{elsewhere}/seen/{name}'/><script>//<![CDATA[\n{script}//]]></script></body></html>"
        )
    else:
        text = (
            "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'>"
            f"<image href='{elsewhere}/seen/{name}' width='9' height='9'/>"
            f"<script>//<![CDATA[\n{script}//]]></script></svg>"
        )
    return text.encode()


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Visit:
    profile = tmp_path_factory.mktemp("profile")
    with (
        page_server() as (port, fetched),
        # A blind call cannot have a key, so calls without one are accepted.
        served("--ephemeral", "--no-auth", "--allow-origin", f"http://app.example:{port}") as server,
    ):
        elsewhere = f"http://127.0.0.1:{port}"
        kinds = ("text/html", "image/svg+xml", "application/xhtml+xml")
        facts = {
            "emulator": server.address,
            "welcome": {
                "local": f"http://localhost:{port}/",
                "other local": f"{elsewhere}/",
                "allowed": f"http://app.example:{port}/",
            },
            "foreign": {"foreign": f"http://evil.example:{port}/"},
            "picture": upload(server, png(), "image/png"),
            "documents": [upload(server, document(kind, server.address, elsewhere), kind) for kind in kinds],
        }
        ran = run(tool("node"), str(NODE / "pages.mjs"), tool("chromium"), str(profile), json.dumps(facts))
        left = server.http.get("/control/requests").json()["requests"]
        return Visit(ran.report, fetched, len(left))


@pytest.mark.parametrize("page", WELCOME)
def test_a_local_or_allowed_page_may_call_everything(seen: Visit, page: str) -> None:
    answers = seen.report[page]

    assert (answers["submit"], answers["journal"], answers["health"]) == (200, 200, 200)


@pytest.mark.parametrize("call", ["submit", "journal", "health"])
def test_a_foreign_page_can_read_no_answer(seen: Visit, call: str) -> None:
    assert seen.report["foreign"][call] == "TypeError"


@pytest.mark.parametrize("call", ["submit", "blind", "journal", "reset", "health"])
def test_a_page_of_a_rebound_name_is_refused_every_call(seen: Visit, call: str) -> None:
    assert seen.report["rebound"][call] in {403, 421}  # the same origin: the page can read the refusal


def test_no_other_page_can_submit_or_reset_blindly(seen: Visit) -> None:
    assert seen.requests == 2 * len(WELCOME)  # each submits once with a key and once blindly


@pytest.mark.parametrize("page", [*WELCOME, "foreign"])
def test_every_page_can_show_and_read_a_file(seen: Visit, page: str) -> None:
    answers = seen.report[page]

    assert (answers["shown"], answers["file"]) == (32, len(png()))


@pytest.mark.parametrize("kind", ["html", "svg+xml", "xhtml+xml"])
def test_an_uploaded_document_is_shown_but_runs_no_script(seen: Visit, kind: str) -> None:
    fetched = [path for path in seen.fetched if path.endswith(f"/{kind}")]

    assert fetched == [f"/seen/{kind}"]
