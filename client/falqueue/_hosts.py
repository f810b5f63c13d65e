"""Where fal's hosts are, and which addresses may be trusted with credentials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import httpx

from falqueue._errors import UsageError

FAL_DOMAINS: Final = (".fal.ai", ".fal.run", ".fal.media")


@dataclass(frozen=True, slots=True)
class Hosts:
    """The addresses of fal's hosts, each without a trailing slash.

    >>> Hosts.at("http://127.0.0.1:8787").queue
    'http://127.0.0.1:8787/queue.fal.run'
    """

    queue: str = "https://queue.fal.run"
    run: str = "https://fal.run"
    rest: str = "https://rest.fal.ai"
    media: str = "https://v3.fal.media"
    live: bool = True

    @classmethod
    def at(cls, base_url: str | None) -> Hosts:
        """Return fal's own hosts, or those of an emulator that answers for all of them at `base_url`."""
        if not base_url:
            return cls()
        url = _parse(base_url)
        if url is None or url.scheme not in {"http", "https"} or not url.host or url.userinfo:
            raise UsageError("base_url has to be like http://127.0.0.1:8787, without user and password")
        base = base_url.rstrip("/")
        return cls(
            queue=f"{base}/queue.fal.run",
            run=f"{base}/fal.run",
            rest=f"{base}/rest.fal.ai",
            media=f"{base}/v3.fal.media",
            live=False,
        )

    @property
    def local(self) -> bool:
        """Whether this is an emulator on the machine itself."""
        return httpx.URL(self.queue).host in {"127.0.0.1", "::1", "localhost"}

    def same_origin(self, url: str) -> bool:
        """Whether `url` is on the queue host, so that the key may go there."""
        return origin(url) == origin(self.queue)

    def trusts(self, url: str) -> bool:
        """Whether an upload token may go to `url`: a media host of fal's, or the emulator."""
        if not self.live:
            return self.same_origin(url)
        parsed = _parse(url)
        return parsed is not None and parsed.scheme == "https" and f".{parsed.host}".endswith(FAL_DOMAINS)


def origin(url: str) -> tuple[str, str, int | None] | None:
    """Return scheme, host and port of `url`, None if it is no web address without user and password."""
    parsed = _parse(url)
    if parsed is None or parsed.scheme not in {"http", "https"} or not parsed.host or parsed.userinfo:
        return None
    return parsed.scheme, parsed.host, parsed.port


def _parse(url: str) -> httpx.URL | None:
    try:
        return httpx.URL(url)
    except httpx.InvalidURL:
        return None
