"""fal's hosts besides the queue and the run host. They need pydantic, so their first call loads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Router

from falmock.http.cdn import cdn_routes
from falmock.http.platform import platform_not_found, platform_routes, website_routes
from falmock.http.rest import rest_routes
from falmock.http.router import with_headers
from falmock.protocol.hosts import CDN, HEADERS, PLATFORM, REST, WEBSITE

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from falmock.engine.emulator import Emulator
    from falmock.engine.keys import Keyring


def other_hosts(emulator: Emulator, keyring: Keyring) -> dict[str, ASGIApp]:
    """Return their applications, by the name of the host."""
    rest, platform = rest_routes(emulator, keyring), platform_routes(emulator, keyring)
    return {
        REST: with_headers(Router(rest, redirect_slashes=False), HEADERS[REST]),
        CDN: Router(cdn_routes(emulator, keyring), redirect_slashes=False),
        PLATFORM: with_headers(
            Router(platform, redirect_slashes=False, default=platform_not_found), HEADERS[PLATFORM]
        ),
        WEBSITE: Router(website_routes(emulator.catalogue), redirect_slashes=False),
    }
