"""Both doors, one program: what the wire heard and what the client made of it, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from falcontract.client_door import ClientDoor, Verdict, can
from falcontract.traces import Exchange, Look, Trace

if TYPE_CHECKING:
    from falcontract.targets import Target

NOT_FOUND = "NOT_FOUND"
CANCELLED = 499


async def compare(trace: Trace, target: Target) -> None:
    """Run a trace's program once more through the client, on a twin of the target, and note both verdicts.

    Only a target whose clock stands still between steps has twins: there the same steps are answered the
    same, so whatever differs is the client's doing.
    """
    if not trace.exact_time:
        return
    async with target.open(trace.program) as session:
        base = session.hosts["queue"].removesuffix("/queue.fal.run")
        door = ClientDoor(session, base)
        async with door.open():
            await door.run(trace.program)
    own = trace.base.removesuffix("/queue.fal.run")
    heard = [e for e in trace.exchanges if can(e.step) and (e.step.do == "submit" or e.request_id)]
    if len(heard) != len(door.verdicts):
        trace.unheard = f"the wire took {len(heard)} steps, the client {len(door.verdicts)}"
    for e, verdict in zip(heard, door.verdicts, strict=False):
        look = Look(str(e.step), _here(verdict_of(e), own), _here(verdict, base), e)
        trace.looks.append(look)


def verdict_of(e: Exchange) -> Verdict:
    """Return what a raw answer means, in the words that a client's verdict has too."""
    if e.step.do == "stream" and e.ok:
        states = [_state(event.json) for event in e.events if event.data is not None]
        return (
            "stream",
            *(one for one, before in zip(states, [None, *states], strict=False) if one != before),
        )
    if e.step.do == "cancel" and isinstance(e.state, str):
        return ("cancel", e.state)
    if e.ok:
        return {"submit": ("accepted",), "result": ("output", e.json)}.get(e.step.do) or _state(e.json)
    if e.step.do == "result" and (failure := _failure(e)):
        return failure
    return ("refused", e.status)


def _state(told: Any) -> Verdict:
    state = told.get("status") if isinstance(told, dict) else told
    return (state, told.get("queue_position")) if state == "IN_QUEUE" else (state,)


def _failure(e: Exchange) -> Verdict | None:
    """Tell a job's failure from a refusal to hand the result out (PROTOCOL.md 4.6, 13, 14)."""
    detail = e.get("detail")
    kind = e.get("error_type") or e.headers.get("x-fal-error-type")
    if kind is None and isinstance(detail, list) and detail:
        kind = detail[0]["type"]
    if kind is None and e.status == CANCELLED:
        kind = "client_cancelled"
    if kind is None and not str(detail).startswith("Path "):
        return None
    return ("failed", e.status, kind)


def _here(value: Any, base: str) -> Any:
    """Leave the address out: twins are served on ports of their own."""
    if isinstance(value, str):
        return value.replace(base, "")
    if isinstance(value, dict):
        return {key: _here(item, base) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_here(item, base) for item in value)
    return value
