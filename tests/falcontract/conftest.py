"""Fixtures: an emulator that renders each clip once, and the results of the whole suite on it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from falcontract import suite
from falcontract.targets.emulated import Emulated

if TYPE_CHECKING:
    from falcontract.suite import PropertyResult
    from falcontract.traces import Trace


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
def traces(mock: Emulated) -> list[Trace]:
    return asyncio.run(suite.run_programs(suite.programs_for(suite.select_properties()), mock))


@pytest.fixture(scope="session")
def results(mock: Emulated, traces: list[Trace]) -> dict[str, PropertyResult]:
    return {result.property.id: result for result in suite.judge(suite.select_properties(), traces, mock)}


@pytest.fixture(scope="session")
def keys(traces: list[Trace]) -> dict[str, set[str]]:
    """The keys of the claims of all properties, by id."""
    return {
        p.id: {claim.key for trace in traces if p.applies_to(trace) for claim in p.check(trace)}
        for p in suite.select_properties()
    }
