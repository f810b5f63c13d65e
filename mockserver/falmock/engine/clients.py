"""The HTTP clients of an emulator, for webhooks and for input files. A dialler checks their addresses."""

from __future__ import annotations

import os
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING

import httpx

from falmock import __version__
from falmock.system.transport import CheckedTransport

if TYPE_CHECKING:
    import ssl

    from falmock.system.dialler import Dialler


def transport(dialler: Dialler) -> httpx.AsyncBaseTransport:
    """Return a transport, for calls without a client: no added headers, no redirects, no cookies."""
    return CheckedTransport(dialler, verify=trusted())


def client(dialler: Dialler) -> httpx.AsyncClient:
    """Return a client that follows no redirects and keeps no cookies."""
    return httpx.AsyncClient(
        transport=transport(dialler),
        trust_env=False,
        follow_redirects=False,
        headers={"User-Agent": f"falmock/{__version__}"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # no host gets a cookie of another
    )


@cache
def trusted() -> ssl.SSLContext:
    """Return the TLS context of this process's own clients; loading the certificates takes 50 ms.

    It trusts the usual authorities, and those in the file that `SSL_CERT_FILE` names.

    Raises:
        OSError: that file cannot be read.
    """
    context = httpx.create_ssl_context(trust_env=False)
    if more := os.environ.get("SSL_CERT_FILE"):
        context.load_verify_locations(more)
    return context
