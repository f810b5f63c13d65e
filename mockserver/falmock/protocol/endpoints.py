"""Endpoint ids: `[namespace/]owner/alias[/path...]`, for example `fal-ai/veo2/image-to-video`.

The part up to the alias names the application. fal's gateway looks it up, queues for it and bills it; the
runner interprets the rest (PROTOCOL.md 3).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

NAMESPACES: Final = frozenset({"workflows", "comfy"})

_LEGACY = re.compile(r"(\d+)-([A-Za-z0-9-]+)")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A parsed endpoint id.

    Attributes:
        namespace: "workflows", "comfy" or "".
        alias: for example "veo2", with an environment suffix if there is one ("veo2--staging").
        path: the rest without slashes at its ends, for example "image-to-video", or "".
    """

    namespace: str
    owner: str
    alias: str
    path: str
    application: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        application = "/".join(filter(None, (self.namespace, self.owner, self.alias)))
        object.__setattr__(self, "application", application)

    def __str__(self) -> str:
        return f"{self.application}/{self.path}" if self.path else self.application


def parse(text: str) -> Endpoint | None:
    """Parse an endpoint id; return None if it names no application."""
    parts = [part for part in text.split("/") if part]
    if len(parts) == 1 and (legacy := _LEGACY.fullmatch(parts[0])):
        parts = [*legacy.groups()]
    namespace = parts.pop(0) if len(parts) > 2 and parts[0] in NAMESPACES else ""  # noqa: PLR2004 - ns, owner, alias
    if len(parts) < 2:  # noqa: PLR2004 - owner and alias
        return None
    return Endpoint(namespace, parts[0], parts[1], "/".join(parts[2:]))
