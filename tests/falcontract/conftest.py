"""Targets for the tests of the harness: an emulator in process, with clips that are rendered once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from falcontract import suite
from falcontract.emulated import Emulated

if TYPE_CHECKING:
    from falcontract.suite import PropertyResult


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def fixtures() -> Path:
    return Path(__file__).parents[2] / "fixtures"


@pytest.fixture(scope="session")
def renders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("renders")


@pytest.fixture(scope="session")
def mock(renders: Path) -> Emulated:
    return Emulated(renders=renders)


@pytest.fixture(scope="session")
def shown(mock: Emulated) -> dict[str, PropertyResult]:
    """The whole suite on the emulator, run once."""
    return {one.property.id: one for one in suite.run(suite.select_properties(), mock)}
