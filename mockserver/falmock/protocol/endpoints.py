"""Endpoint ids: `[namespace/]owner/alias[/path...]`, as in `fal-ai/veo2/image-to-video`.

The first part up to the alias names the *application*, which is what the gateway looks up, queues
for and bills; the rest is the runner's business (PROTOCOL.md 3).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

NAMESPACES: Final = frozenset({"workflows", "comfy"})

_LEGACY = re.compile(r"(\d+)-([A-Za-z0-9-]+)")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint id, taken apart.

    Attributes:
        namespace: "workflows", "comfy", or "" for none.
        owner: as "fal-ai".
        alias: as "veo2"; an environment suffix ("veo2--staging") stays with it.
        path: the rest without slashes at its ends, as "image-to-video", or "".
    """

    namespace: str
    owner: str
    alias: str
    path: str

    @property
    def application(self) -> str:
        """What the gateway resolves: the id without the path."""
        return "/".join(filter(None, (self.namespace, self.owner, self.alias)))

    def __str__(self) -> str:
        return "/".join(filter(None, (self.application, self.path)))


def parse(text: str) -> Endpoint | None:
    """Take an id apart, or return None when it names no application."""
    parts = [part for part in text.split("/") if part]
    if len(parts) == 1 and (legacy := _LEGACY.fullmatch(parts[0])):
        parts = [*legacy.groups()]
    namespace = parts.pop(0) if len(parts) > 2 and parts[0] in NAMESPACES else ""  # noqa: PLR2004 - ns, owner, alias
    if len(parts) < 2:  # noqa: PLR2004 - owner and alias
        return None
    return Endpoint(namespace, parts[0], parts[1], "/".join(parts[2:]))
