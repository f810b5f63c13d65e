"""The addresses of fal's hosts, and which of them may receive credentials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from falqueue._handle import UsageError
from falqueue._types import origin, parse_url

FAL_DOMAINS: Final = (".fal.ai", ".fal.run", ".fal.media")
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Hosts:
    """The base URLs of fal's hosts, without a trailing slash. `live` is False for an emulator.

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
        """Return fal's hosts, or those of the emulator at `base_url`."""
        if not base_url:
            return cls()
        url = parse_url(base_url)
        if url is None or url.query or url.fragment:
            raise UsageError("base_url must be like http://127.0.0.1:8787, without user info and query")
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
        """Whether this is an emulator on this machine."""
        found = origin(self.queue)
        return found is not None and found[1] in LOOPBACK

    def may_receive_key(self, url: str) -> bool:
        """Whether `url` has the origin of the queue host."""
        return origin(url) == origin(self.queue)

    def may_receive_upload_token(self, url: str) -> bool:
        """Whether `url` is on one of fal's own domains, or on the emulator."""
        if not self.live:
            return self.may_receive_key(url)
        parsed = parse_url(url)
        return parsed is not None and parsed.scheme == "https" and f".{parsed.host}".endswith(FAL_DOMAINS)
