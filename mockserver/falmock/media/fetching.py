"""Fetches input files by URL.

Files on this machine are always fetched: fal cannot reach a loopback address, but a development server may
serve images there. Files on public addresses are fetched only if the settings allow it. Other addresses are
refused by the client's transport (see `dialler`). Redirects are followed here, to check each step.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

import httpx

from falmock.protocol.addresses import is_loopback, is_name, parse

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("falmock.media.fetching")

TIMEOUT: Final = 30.0  # real seconds for a file, with redirects
REDIRECTS: Final = 5
UNCOMPRESSED: Final = {"Accept-Encoding": "identity"}
LAST_PORT: Final = 65535
LONGEST_URL: Final = 2048  # fal's toolkit refuses longer ones (PROTOCOL.md 8.5)

_UNSENDABLE: Final = re.compile(r"[\x00-\x20\x7f]")


class FetchError(Exception):
    """The file could not be fetched. The text says why, for the server's log."""


class Fetcher:
    """Fetches files over HTTP, from public addresses too if it is told to.

    The client has a `CheckedTransport`, does not follow redirects, and ignores proxy variables.
    """

    def __init__(
        self, http: httpx.AsyncClient, *, public: bool, is_local: Callable[[str], bool] = is_loopback
    ) -> None:
        self._http = http
        self._public = public
        self._is_local = is_local
        self._logged = False

    async def get(self, url: str, *, limit: int) -> bytes | None:
        """Return at most `limit` + 1 bytes of a file, or None for a public one that is not to be fetched.

        Raises:
            FetchError: it is missing, its address is refused, or it takes too long.
        """
        if _UNSENDABLE.search(url):  # httpx would encode them, Python's urllib does not (PROTOCOL.md 8.5)
            raise FetchError("a blank or a control character in the URL")
        try:
            async with asyncio.timeout(TIMEOUT):
                return await self._follow(url, limit)
        except TimeoutError:
            raise FetchError(f"no answer within {TIMEOUT:.0f} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:  # of httpx, or of `urljoin`
            raise FetchError(f"{type(error).__name__}: {error}") from error

    async def _follow(self, url: str, limit: int) -> bytes | None:
        was_public = False
        for _ in range(REDIRECTS + 1):
            target = httpx.URL(url)
            if not _is_usable(target) or len(url) > LONGEST_URL:
                raise FetchError("not an http(s) URL of a usable length")
            local = self._is_local(target.host)
            if local and was_public:
                raise FetchError("a public address redirects to this machine")
            if not local and not self._public:
                return None
            was_public = not local
            if local and not self._logged:
                log.info("fetching an input from this machine; fal itself could not reach %s", target.host)
                self._logged = True
            request = self._http.build_request("GET", target, headers=UNCOMPRESSED)
            response = await self._http.send(request, stream=True)
            try:
                if not response.has_redirect_location:
                    return await self._read(response, limit)
                location = response.headers["location"]
                if len(location) > LONGEST_URL:
                    raise FetchError("a redirect to a URL that is too long")
                url = urljoin(url, location)
            finally:
                await response.aclose()
        raise FetchError(f"more than {REDIRECTS} redirects")

    async def _read(self, response: httpx.Response, limit: int) -> bytes:
        if not response.is_success:
            raise FetchError(f"status {response.status_code}")
        data = bytearray()
        async for chunk in response.aiter_raw():  # without decompression
            data += chunk
            if len(data) > limit:
                break
        return bytes(data[: limit + 1])


def _is_usable(target: httpx.URL) -> bool:
    host = target.raw_host.decode("ascii")
    port_exists = target.port is None or 0 < target.port <= LAST_PORT  # httpx accepts any number
    return target.scheme in {"http", "https"} and port_exists and (parse(host) is not None or is_name(host))
