"""Finds the part of the emulator that answers a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from falmock.http.context import Area
from falmock.protocol.hosts import TARGETS, is_fal, is_own

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Scope

    from falmock.protocol.authorities import Authority

CONTROL: Final = "/control"
HEALTH: Final = "/health"
PAGE: Final = "/ui"  # and below; GET "/" is the page too
PROXY: Final = "/api/fal/proxy"
READING: Final = frozenset({"GET", "HEAD"})


def area_of(scope: Scope, host: Authority, headers: Mapping[str, str], names: frozenset[str]) -> Area:
    """Return the area of a call. Under the name of a fal host, every path is fal's."""
    path = scope["path"]
    if is_fal(host.name):
        return Area.FAL
    if path == PROXY:
        return Area.PROXY
    if not TARGETS.isdisjoint(headers):
        return Area.FAL
    if path == CONTROL or path.startswith(f"{CONTROL}/"):
        return Area.CONTROL
    if path == HEALTH:
        area = Area.HEALTH
    elif path.startswith(f"{PAGE}/") or path == PAGE or (path == "/" and scope["method"] in READING):
        area = Area.PAGE
    else:
        return Area.FAL
    return area if is_own(host.name, names) else Area.FAL


def follows_a_link(method: str, headers: Mapping[str, str]) -> bool:
    """Return whether a browser opens the live page by a link. The page with the link cannot read it."""
    return (
        method in READING
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
