"""Targets for the tests of the harness: an emulator in process, with clips that are rendered once."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from falcontract import suite
from falcontract.emulated import Emulated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from falcontract.suite import Shown


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
def mock(renders: Path) -> Iterator[Emulated]:
    """What the emulator has to say about odd requests is not what these tests are about."""
    logging.disable(logging.ERROR)
    yield Emulated(renders=renders)
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="session")
def shown(mock: Emulated) -> dict[str, Shown]:
    """The whole suite on the emulator, run once."""
    return {one.property.id: one for one in suite.run(suite.chosen(), mock)}
