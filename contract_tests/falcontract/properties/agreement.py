"""Two doors to one room: the raw wire and the client must agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from falcontract.claims import Claims, equal, prop, refuted

if TYPE_CHECKING:
    from falcontract.traces import Trace


@prop(
    55,
    "The project's own client comes to the same verdict as the raw wire",
    "life",
    "early",
    "broken-input",
    "unknown-path",
    "cancel-queued",
    "cancel-running",
    "cancel-late",
    "run-timeout",
    "start-timeout",
    "unknown-application",
    "strangers",
    tier=3,
    evidence="NEEDS 2; the client is what is tested here",
)
def doors_agree(trace: Trace) -> Claims:
    """`agreement.compare` runs the program through the client and notes both verdicts, step by step."""
    for look in trace.looks:
        yield equal(look.client, look.wire, f"the client understands step {look.step}", look.exchange)
    if trace.unheard:
        yield refuted("the client can do what the wire can", found=trace.unheard)
