"""Input files by URL: from this machine always, from the world only when that is switched on.

fal cannot reach a loopback address, but a local development server serves images from one.
Any other URL is taken on trust by default, unfetched. When fetching is on, only public addresses are
reached. The client's transport sees to that (see `dialler`). Redirects are followed by hand, so that
each step is checked.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

import httpx

from falmock.protocol.addresses import is_loopback, is_name, parse

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("falmock.media.fetching")

TIMEOUT: Final = 30.0  # real seconds for one file, redirects included
REDIRECTS: Final = 5
UNPACKED: Final = {"Accept-Encoding": "identity"}
LAST_PORT: Final = 65535
LONGEST_URL: Final = 2048  # fal's toolkit refuses longer ones (PROTOCOL.md 8.5)


class FetchError(Exception):
    """The file could not be had; the text says why, for the server's log."""


class Fetcher:
    """Gets files over HTTP.

    Args:
        http: does the getting, with a `CheckedTransport`; it must not follow redirects by itself, nor obey
            proxy variables.
        public: reach public addresses too.
        is_local: checks whether a host is on this machine.
    """

    def __init__(
        self, http: httpx.AsyncClient, *, public: bool, is_local: Callable[[str], bool] = is_loopback
    ) -> None:
        self._http = http
        self._public = public
        self._is_local = is_local
        self._told = False

    async def get(self, url: str, *, limit: int) -> bytes | None:
        """Return the file's first bytes, one more than `limit` at most; None takes it on trust.

        Raises:
            FetchError: no such file, no such host, an address that is not to be reached, or too slow.
        """
        try:
            async with asyncio.timeout(TIMEOUT):
                return await self._follow(url, limit)
        except TimeoutError:
            raise FetchError(f"no answer within {TIMEOUT:.0f} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            raise FetchError(f"{type(error).__name__}: {error}") from error

    async def _follow(self, url: str, limit: int) -> bytes | None:
        abroad = False
        for _ in range(REDIRECTS + 1):
            target = httpx.URL(url)
            if not _is_usable(target) or len(url) > LONGEST_URL:
                raise FetchError("not an http(s) URL of a usable length")
            local = self._is_local(target.host)
            if local and abroad:
                raise FetchError("a public address redirects to this machine")
            if not local and not self._public:
                return None
            abroad = not local
            if local and not self._told:
                log.info("fetching an input from this machine; fal itself could not reach %s", target.host)
                self._told = True
            request = self._http.build_request("GET", target, headers=UNPACKED)
            answer = await self._http.send(request, stream=True)
            try:
                if not answer.has_redirect_location:
                    return await self._read(answer, limit)
                url = _joined(url, answer.headers["location"])
            finally:
                await answer.aclose()
        raise FetchError(f"more than {REDIRECTS} redirects")

    async def _read(self, answer: httpx.Response, limit: int) -> bytes:
        if not answer.is_success:
            raise FetchError(f"status {answer.status_code}")
        data = bytearray()
        async for chunk in answer.aiter_raw():  # as sent: nothing is unpacked here
            data += chunk
            if len(data) > limit:
                break
        return bytes(data[: limit + 1])


def _is_usable(target: httpx.URL) -> bool:
    host = target.raw_host.decode("ascii")
    port_exists = target.port is None or 0 < target.port <= LAST_PORT  # httpx takes any number
    return target.scheme in {"http", "https"} and port_exists and (parse(host) is not None or is_name(host))


def _joined(url: str, location: str) -> str:
    """Return where a redirect leads.

    Raises:
        FetchError: its location is no URL, or too long.
    """
    if len(location) > LONGEST_URL:
        raise FetchError("a redirect to a URL that is too long")
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise FetchError(f"a redirect to what is no URL ({error})") from None
