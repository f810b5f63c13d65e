"""The commands of the documents, and a stand-in for the project of a user that they run in."""

from __future__ import annotations

import os
import re
import sys
from base64 import b64encode
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
# Lines of a block with one of these words need each other.
TOGETHER = re.compile(r"\b(curl|control|export|activate)\b|-m venv")
APP = """
import fal_client

arguments = {"prompt": "The sun sets", "image_url": "data:image/png;base64,%s"}
handle = fal_client.submit("fal-ai/veo2/image-to-video", arguments)
print(handle.get()["video"]["url"])
"""
NPM = """#!/bin/sh
if [ "$1" = test ]; then exec '%s' app.py; fi
"""


def commands(document: str) -> list[str]:
    """Return the commands in the blocks of a document: lines, or whole blocks if lines need each other."""
    found = []
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / document).read_text(), re.DOTALL | re.MULTILINE)
    for language, block in blocks:
        lines = [re.sub(r"^\$ |(^|\s+)# .*", "", line) for line in block.splitlines()]
        is_shell = language in {"sh", "console"} or (not language and block.startswith("make "))
        if is_shell and TOGETHER.search("\n".join(lines)):
            found.append(block)
        elif is_shell:
            found += filter(None, lines)
    return found


def make_project(folder: Path) -> dict[str, str]:
    """Write a project with an app, a test and a program `npm`; return the variables to run it with."""
    image = (ROOT / "fixtures" / "images" / "hills.png").read_bytes()
    app = APP % b64encode(image).decode()
    (folder / "app.py").write_text(app)
    (folder / "test_app.py").write_text("def test_app():\n    import app\n")
    programs = folder / "programs"
    programs.mkdir()
    (programs / "npm").write_text(NPM % sys.executable)
    (programs / "npm").chmod(0o755)
    quick = {"FALMOCK_MEDIA": "plain", "FALMOCK_QUEUE_SECONDS": "0.2", "FALMOCK_RUN_SECONDS": "0.3"}
    path = os.pathsep.join([str(programs), str(PROGRAMS), os.environ["PATH"]])
    return os.environ | quick | {"PATH": path, "FAL_KEY": "me:secret"}
