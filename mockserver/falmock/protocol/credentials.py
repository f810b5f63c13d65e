"""The key of programs that have none: fal's clients do not call without one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY: Final = "falmock:local"


def missing(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variable that an environment without a key needs, else nothing."""
    has_key = environment.get("FAL_KEY") or environment.get("FAL_KEY_ID")
    return {} if has_key else {"FAL_KEY": KEY}
