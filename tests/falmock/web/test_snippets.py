"""The lines that repeat a request, run as the page says."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from emulated import KEY
from markup import tree
from processes import served
from programs import NODE, falmock, runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markup import Element
    from processes import Served

MODEL = "fal-ai/flux/dev"
HOSTILE = 'it\'s a "test" & <b>more</b>\n$HOME `id` ${1} \\n {x} \u2028 café 🦊'
PLACES = {"python": "snippet-2", "javascript": "snippet-3"}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def server(state: Path) -> Iterator[Served]:
    with served("--state", str(state), "--queue-seconds", "0", "--run-seconds", "0") as server:
        yield server


def copied(place: Element) -> str:
    """Return the text of an element as the copy button does, with its line breaks."""
    return "".join(child if isinstance(child, str) else copied(child) for child in place.children)


@pytest.mark.parametrize("prompt", [HOSTILE, HOSTILE * 100], ids=["short", "long"])
@pytest.mark.parametrize("language", PLACES)
def test_the_lines_of_a_language_repeat_the_request(
    server: Served, state: Path, language: str, prompt: str
) -> None:
    program = (sys.executable, "-W", "ignore") if language == "python" else runtime("node")
    sent = {"prompt": prompt, "num_images": 2, "enable_safety_checker": False, "seed": None}
    first = server.http.post(f"/{MODEL}", json=sent, headers=KEY).json()["request_id"]
    page = tree(server.http.get(f"/ui/requests/{first}"))

    with tempfile.TemporaryDirectory(dir=NODE, prefix=".") as folder:
        file = Path(folder) / ("repeat.py" if language == "python" else "repeat.mjs")
        file.write_text(copied(page.one("pre", id=PLACES[language])))
        ran = falmock("run", "--state", str(state), "--", *program, str(file))
    newest = server.http.get("/control/requests", params={"limit": 1}).json()["requests"][0]

    assert ran.code == 0, ran.err
    assert "images" in ran.out
    assert newest["id"] != first
    assert server.http.get(f"/ui/requests/{newest['id']}/input.json").json() == sent
