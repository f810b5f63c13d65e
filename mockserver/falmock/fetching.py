"""Input files by URL: from this machine always, from the world only when that is switched on.

fal could not reach a loopback address, but somebody who develops locally serves images from one.
Any other URL is taken on trust by default, unfetched. When fetching is on, only public addresses are
reached: every name is looked up once, every address it has must be public, and the connection goes to
the address that was checked, so that a second look-up cannot lead elsewhere. Redirects are followed
by hand, with the same checks at each step.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

import httpx

from falmock.addresses import is_loopback, is_public

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger("falmock.fetching")

TIMEOUT: Final = 30.0  # real seconds for one file, redirects included
REDIRECTS: Final = 5
UNPACKED: Final = {"Accept-Encoding": "identity"}
LAST_PORT: Final = 65535
LONGEST_URL: Final = 2048  # fal's toolkit refuses longer ones (PROTOCOL.md 8.5)


class FetchError(Exception):
    """The file could not be had; the text says why, for the server's log."""


async def resolve(host: str, port: int) -> list[str]:
    """Return the IP addresses of a host name, by the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[4][0]) for address in found]


class Fetcher:
    """Gets files over HTTP.

    Args:
        http: does the getting; it must not follow redirects by itself, nor obey proxy variables.
        public: reach public addresses too.
        is_local: tells the hosts that are this machine's.
        resolve: looks names up.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        public: bool,
        is_local: Callable[[str], bool] = is_loopback,
        resolve: Callable[[str, int], Awaitable[list[str]]] = resolve,
    ) -> None:
        self._http = http
        self._public = public
        self._is_local = is_local
        self._resolve = resolve
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
            request = self._request_here(target) if local else await self._pinned_request(target)
            answer = await self._http.send(request, stream=True)
            try:
                if not answer.is_redirect:
                    return await self._read(answer, limit)
                url = _redirected(url, answer.headers.get("location", ""))
            finally:
                await answer.aclose()
        raise FetchError(f"more than {REDIRECTS} redirects")

    def _request_here(self, target: httpx.URL) -> httpx.Request:
        if not self._told:
            log.info("fetching an input from this machine; fal itself could not reach %s", target.host)
            self._told = True
        return self._http.build_request("GET", target, headers=UNPACKED)

    async def _pinned_request(self, target: httpx.URL) -> httpx.Request:
        port = target.port or (443 if target.scheme == "https" else 80)
        addresses = await self._resolve(target.host, port)
        if not addresses or not all(map(is_public, addresses)):
            raise FetchError(f"{target.host} is not a public address")
        return self._http.build_request(
            "GET",
            target.copy_with(host=addresses[0]),
            headers={"Host": target.netloc.decode("ascii"), **UNPACKED},
            extensions={"sni_hostname": target.host},
        )

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
    port_exists = target.port is None or 0 < target.port <= LAST_PORT  # httpx takes any number
    return target.scheme in {"http", "https"} and bool(target.host) and port_exists


def _redirected(url: str, location: str) -> str:
    """Return where a redirect leads.

    Raises:
        FetchError: nowhere.
    """
    if not location or len(location) > LONGEST_URL:
        raise FetchError("a redirect without a location, or with one that is too long")
    try:
        return urljoin(url, location)
    except ValueError:
        raise FetchError("a redirect to what is no URL") from None
