"""Several doors to one room: the raw wire and the clients must agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from falcontract.claims import Claims, equal, prop

if TYPE_CHECKING:
    from falcontract.traces import Trace


@prop(
    55,
    "falqueue and fal's own Python client come to the same verdict as the raw wire",
    "lifecycle",
    "early-result",
    "broken-input",
    "unknown-path",
    "cancel-queued",
    "cancel-running",
    "cancel-late",
    "run-timeout",
    "start-timeout",
    "unknown-application",
    "bad-credentials",
    "unknown-key",
    tier=3,
    needs=("stand-still",),
    evidence="NEEDS 2; falqueue is what is tested here, fal_client is the peer that must agree",
)
def doors_agree(trace: Trace) -> Claims:
    """`agreement` takes the clients through the program and notes what each makes of every step."""
    for look in trace.observations:
        yield equal(look.client, look.wire, f"{look.door} understands step {look.step}", look.exchange)
