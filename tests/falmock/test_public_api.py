"""The public names of falmock, and what importing the package costs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import httpx
import pytest

import falmock

DOCS = Path(__file__).parents[2] / "docs"
INTERNAL = {"TYPE_CHECKING", "import_module"}


def test_the_list_of_public_names_is_sorted() -> None:
    assert falmock.__all__ == sorted(falmock.__all__)
    assert dir(falmock) == falmock.__all__


def test_every_public_name_can_be_imported_and_no_other_is_listed() -> None:
    assert all(hasattr(falmock, name) for name in falmock.__all__)
    reachable = {
        name
        for name, value in vars(falmock).items()
        if not name.startswith("_") and name not in INTERNAL and not isinstance(value, ModuleType)
    }
    assert reachable == set(falmock.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Setings'"):
        falmock.Setings  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("module", ["falmock", "falmock.testing"])
def test_importing_the_package_imports_no_third_party_module(module: str) -> None:
    program = f"import sys; before = set(sys.modules); import {module}; print(*set(sys.modules) - before)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    packages = {name.partition(".")[0] for name in loaded.stdout.split()}

    assert packages - set(sys.stdlib_module_names) == {"falmock"}


def test_offline_leads_httpx_to_an_emulator_in_the_process() -> None:
    with falmock.offline(falmock.Settings(media="plain")) as emulator:
        answer = httpx.post(
            "https://queue.fal.run/fal-ai/veo2/image-to-video",
            json={"prompt": "x", "image_url": "https://example.com/x.png"},
            headers={"Authorization": "Key me:secret"},
        )

    assert isinstance(emulator, falmock.Emulator)
    assert answer.json()["status"] == "IN_QUEUE"


def test_the_documents_import_public_names_only_from_the_package() -> None:
    text = "".join(path.read_text() for path in [*DOCS.glob("*.md"), DOCS.parent / "README.md"])
    names = {name for line in re.findall(r"from falmock import ([\w, ]+)", text) for name in line.split(", ")}

    assert names
    assert names <= set(falmock.__all__)
