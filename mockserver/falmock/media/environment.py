"""What ffmpeg may know of the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_OWN: Final = ("FALMOCK_", "FAL_")  # settings of the emulator, and keys of its callers


def environment(before: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for an ffmpeg process: without the emulator's own variables."""
    return {name: value for name, value in before.items() if not name.upper().startswith(_OWN)}
