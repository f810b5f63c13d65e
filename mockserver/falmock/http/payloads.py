"""Deletes the payloads of a request, for the two hosts that offer it (PROTOCOL.md 4.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from falmock.engine.lifecycle import State
from falmock.protocol.errors import RequestNotFound

if TYPE_CHECKING:
    from falmock.engine.emulator import Emulator
    from falmock.engine.keys import Caller, Keyring


def delete(emulator: Emulator, keyring: Keyring, caller: Caller, request_id: str) -> dict[str, Any]:
    """Delete a request's payloads, and return fal's answer with the deleted files.

    Raises:
        RequestNotFound: the caller has no such request, or it is not completed.
    """
    found = emulator.request(request_id)
    if found is None or not keyring.may_see(caller, found.caller) or found.state != State.COMPLETED:
        raise RequestNotFound
    links = emulator.drop_payloads(found)
    return {"cdn_delete_results": [{"link": link, "exception": None} for link in links]}
