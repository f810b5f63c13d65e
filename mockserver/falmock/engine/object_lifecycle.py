"""The expiry and access list of a file on the CDN (PROTOCOL.md 8.4)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from falmock.engine.rows import StoredFile

_DECISIONS: Final = ("allow", "forbid", "hide")
_LONGEST: Final = 1e10  # seconds, some 300 years


class LifecycleError(ValueError):
    """An object lifecycle header is invalid. The text says why."""


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """An object lifecycle.

    Attributes:
        seconds: until the file expires; None for never.
        acl: `{"default": decision, "rules": [{"user", "decision"}]}`; None allows every reader.
    """

    seconds: float | None = None
    acl: dict[str, Any] | None = None

    @classmethod
    def parse(cls, text: str | None) -> Lifecycle:
        """Read the JSON of an `X-Fal-Object-Lifecycle(-Preference)` header; None is the default.

        Raises:
            LifecycleError: the text is invalid.
        """
        if text is None:
            return cls()
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise LifecycleError("not JSON") from None
        if not isinstance(value, dict):
            raise LifecycleError("not a JSON object")
        return cls(_seconds(value.get("expiration_duration_seconds")), _acl(value.get("initial_acl")))

    def expires_at(self, now: float) -> float | None:
        """Return when a file that is published now expires."""
        return None if self.seconds is None else now + self.seconds


def decide(file: StoredFile, reader: str | None) -> str:
    """Return "allow", "forbid" or "hide" for a reader: a key id, or None without credentials."""
    if file.acl is None or reader == file.owner:
        return "allow"
    acl = json.loads(file.acl)
    for rule in acl["rules"]:
        if rule["user"] == reader:
            return str(rule["decision"])
    return str(acl["default"])


def _seconds(value: object) -> float | None:
    if value is None or value == 0:  # both mean no expiry to fal (a comment in its Python client)
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _LONGEST:
        raise LifecycleError("expiration_duration_seconds is not a positive number")
    return float(value)


def _acl(value: object) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or value.get("default", "allow") not in _DECISIONS:
        raise LifecycleError("initial_acl has no usable default")
    rules = value.get("rules") or []
    if not isinstance(rules, list) or not all(
        isinstance(rule, dict) and isinstance(rule.get("user"), str) and rule.get("decision") in _DECISIONS
        for rule in rules
    ):
        raise LifecycleError("initial_acl has an unusable rule")
    return {"default": value.get("default", "allow"), "rules": rules}
