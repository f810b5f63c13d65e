"""Clients and wire agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from falcontract.model.models import EVERY
from falcontract.properties.claims import Claims, equal, prop

if TYPE_CHECKING:
    from falcontract.traces import Trace


PROGRAMS: Final = """
    lifecycle early-result broken-input unknown-path cancel-queued cancel-running cancel-late run-timeout
    start-timeout unknown-application bad-credentials unknown-key
"""


@prop(
    55,
    PROGRAMS,
    tier=3,
    needs=("stand-still",),
    evidence="PROTOCOL 10 (C); falqueue is under test, fal_client agrees",
    models=EVERY,
    each="run",
)
def clients_agree(trace: Trace) -> Claims:
    """falqueue and fal's Python client understand each answer as the wire does.

    `clients.agreement` repeats the program with each client and records the observations.
    """
    for seen in trace.observations:
        text = f"{seen.client} understands step {seen.step}"
        yield equal(seen.client, seen.found, seen.expected, text, seen.exchange)
