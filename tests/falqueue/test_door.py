"""The front door: what is public, and what comes in with it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import falqueue

PACKAGE = Path(falqueue.__file__).parent


def test_the_list_of_names_is_sorted() -> None:
    assert falqueue.__all__ == sorted(falqueue.__all__)


def test_every_name_that_the_package_has_is_on_the_list() -> None:
    reachable = {
        name
        for name, value in vars(falqueue).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert reachable == set(falqueue.__all__)


def test_names_say_that_they_are_imported_from_the_package() -> None:
    homes = {getattr(falqueue, name).__module__ for name in falqueue.__all__ if name != "Status"}
    assert homes == {"falqueue"}


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_nothing_but_httpx_is_loaded_with_it() -> None:
    program = (
        "import sys, httpx; before = set(sys.modules); import falqueue; print(*set(sys.modules) - before)"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    strangers = {name.partition(".")[0] for name in loaded.stdout.split()} - set(sys.stdlib_module_names)
    assert strangers == {"falqueue"}


def test_no_module_has_more_than_three_hundred_lines() -> None:
    long = {path.name for path in PACKAGE.glob("*.py") if len(path.read_text().splitlines()) > 300}
    assert long == set()


STOREYS = """
_errors _timing _sse
_hosts _statuses
_credentials _files _requests
_handle _replies _steps _veo2
_sending
_flows _uploads _downloads _webhooks
_session
_client _async_client
__init__
_terminal
_cli
"""


def test_imports_point_down_only() -> None:
    height = {name: number for number, line in enumerate(STOREYS.split("\n")) for name in line.split()}
    assert {path.stem for path in PACKAGE.glob("*.py")} == set(height)
    upward = {
        (path.stem, imported)
        for path in PACKAGE.glob("*.py")
        for imported in imports(path)
        if height[imported] >= height[path.stem]
    }
    assert upward == set()


def imports(path: Path) -> set[str]:
    """Return the falqueue modules that this file imports when it runs, not those only for its types."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "falqueue":
            found |= {alias.name if alias.name.startswith("_") else "__init__" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("falqueue."):
            found.add(str(node.module).partition(".")[2])
        elif isinstance(node, ast.Import) and any(alias.name == "falqueue" for alias in node.names):
            found.add("__init__")
    return found
