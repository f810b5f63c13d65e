"""The public names of falqueue, and its imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import falqueue

INTERNAL = {"MODULES", "TYPE_CHECKING", "import_module"}
PACKAGE = Path(falqueue.__file__).parent


def test_the_list_of_public_names_is_sorted() -> None:
    assert falqueue.__all__ == sorted(falqueue.__all__)


def test_every_public_name_can_be_imported_and_no_other_is_listed() -> None:
    assert all(hasattr(falqueue, name) for name in falqueue.__all__)
    reachable = {
        name
        for name, value in vars(falqueue).items()
        if not name.startswith("_") and name not in INTERNAL and not isinstance(value, ModuleType)
    }
    assert reachable == set(falqueue.__all__)


def test_public_names_have_the_package_as_their_module() -> None:
    homes = {getattr(falqueue, name).__module__ for name in falqueue.__all__ if name != "Status"}
    assert homes == {"falqueue"}


def test_the_client_package_is_marked_as_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_the_client_imports_no_third_party_package_but_httpx() -> None:
    program = (
        "import sys, httpx; before = set(sys.modules); import falqueue; falqueue.Client; "
        "print(*set(sys.modules) - before)"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    third_party = {name.partition(".")[0] for name in loaded.stdout.split()} - set(sys.stdlib_module_names)
    assert third_party == {"falqueue"}


def test_no_client_module_has_more_than_three_hundred_lines() -> None:
    long = {path.name for path in PACKAGE.glob("*.py") if len(path.read_text().splitlines()) > 300}
    assert long == set()


LAYERS = """
_types _statuses _sse _steps
_handle
_errors _hosts _files
_requests _credentials _veo2
_responses
_sending
_flows _uploads _downloads _webhooks
_session
_client _async_client
__init__
_terminal
_cli
__main__
"""


def test_client_modules_import_only_from_lower_layers() -> None:
    height = {name: number for number, line in enumerate(LAYERS.split("\n")) for name in line.split()}
    assert {path.stem for path in PACKAGE.glob("*.py")} == set(height)
    upward = {
        (path.stem, imported)
        for path in PACKAGE.glob("*.py")
        for imported in imports(path)
        if height[imported] >= height[path.stem]
    }
    assert upward == set()


def imports(path: Path) -> set[str]:
    """Return the falqueue modules that this file imports, for types as well."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "falqueue":
            found |= {alias.name if alias.name.startswith("_") else "__init__" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("falqueue."):
            found.add(str(node.module).partition(".")[2])
        elif isinstance(node, ast.Import) and any(alias.name == "falqueue" for alias in node.names):
            found.add("__init__")
    return found


@pytest.mark.parametrize("module", ["falqueue", "falqueue._cli"])
def test_importing_the_package_or_its_command_does_not_import_httpx(module: str) -> None:
    program = f"import sys, {module}; print('httpx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Clinet'"):
        falqueue.Clinet  # type: ignore[attr-defined]  # noqa: B018


def test_python_dash_m_runs_the_command() -> None:
    command = [sys.executable, "-m", "falqueue", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.startswith("Usage: ")) == (0, True)
