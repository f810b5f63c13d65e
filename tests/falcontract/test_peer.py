"""The negative control: known differences of aimock are found by property and claim."""

from __future__ import annotations

import pytest

from falcontract.mutation import peer
from falcontract.properties.catalogue import PROPERTIES
from falcontract.properties.claims import Claim
from falcontract.steps import Program
from falcontract.suite import Finding, PropertyResult
from falcontract.traces import Trace


def finding(property_id: str, key: str) -> Finding:
    trace = Trace(Program(name="x", steps=()))
    return Finding(PROPERTIES[property_id], Claim(key, holds=False, text="any"), trace)


def test_at_least_twelve_differences_are_known() -> None:
    assert len(peer.DIFFERENCES) >= 12


@pytest.mark.parametrize(("name", "difference"), peer.DIFFERENCES.items())
def test_a_difference_is_found_by_its_property_and_claim(name: str, difference: tuple[str, str]) -> None:
    property_id, key = difference
    result = PropertyResult(PROPERTIES[property_id], findings=[finding(property_id, "other")])
    assert not any(peer.found_differences([result]).values())
    result.findings.append(finding(property_id, key))
    assert [known for known, found in peer.found_differences([result]).items() if found] == [name]


@pytest.mark.parametrize(("property_id", "key"), peer.DIFFERENCES.values())
def test_the_suite_makes_the_claim_of_each_difference(
    property_id: str, key: str, results: dict[str, PropertyResult], keys: dict[str, set[str]]
) -> None:
    assert results[property_id].claims
    assert key in keys[property_id]


def test_the_peer_has_the_abilities_for_all_its_programs() -> None:
    abilities = peer.Peer("x").abilities
    assert [program.name for program in peer.programs() if program.needs() - abilities] == []
