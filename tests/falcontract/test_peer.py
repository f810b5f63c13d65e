"""The negative control is told apart by name; to run it takes node and `falcontract peer FOLDER`."""

from __future__ import annotations

from falcontract import peer, properties
from falcontract.claims import Claim
from falcontract.steps import Program
from falcontract.suite import Finding, PropertyResult
from falcontract.traces import Trace


def test_at_least_twelve_differences_are_known() -> None:
    assert len(peer.DIFFERENCES) >= 12
    assert {p for p, _ in peer.DIFFERENCES.values()} <= properties.PROPERTIES.keys()


def test_each_difference_is_flagged_by_its_own_words() -> None:
    name, (p, text) = next(iter(peer.DIFFERENCES.items()))
    shown = PropertyResult(properties.PROPERTIES[p])
    assert not any(peer.flagged([shown]).values())
    trace = Trace(Program(name="x", steps=()))
    shown.findings.append(Finding(shown.property, Claim(holds=False, text="something else"), trace))
    assert not any(peer.flagged([shown]).values())
    shown.findings.append(Finding(shown.property, Claim(holds=False, text=text), trace))
    assert [found for found, seen in peer.flagged([shown]).items() if seen] == [name]


def test_every_program_for_the_peer_can_be_run_on_it() -> None:
    assert not [program.name for program in peer.programs() if program.needs() - peer.Peer("x").abilities]
