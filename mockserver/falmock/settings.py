"""One frozen `Settings`: everything that can be decided before the emulator starts.

The command line reads flags and `FALMOCK_*` variables into it (see `cli`); tests make one directly.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from falmock.protocol.authorities import AuthorityError, parse_authority, parse_origin, parse_url
from falmock.protocol.limits import DEFAULT, Limits

if TYPE_CHECKING:
    import random
    from pathlib import Path

MIB = 1024 * 1024
FASTEST = 1e6  # emulated seconds in a real one
_YEAR = 365 * 86_400  # seconds
_MANY = 2**53
_LIMITS = {
    "seed": (-(2**63), 2**63 - 1),
    "runners": (1, _MANY),
    "concurrency": (1, _MANY),
    "queue_seconds": (0, _YEAR),
    "run_seconds": (0, _YEAR),
    "run_timeout": (0, _YEAR),
    "renders": (1, _MANY),
    "render_timeout": (0, _YEAR),
    "journal_size": (0, _MANY),
    "max_body": (0, _MANY),
    "max_upload": (0, _MANY),
    "retention": (0, 100 * _YEAR),
    "retention_large": (0, 100 * _YEAR),
    "payload_days": (0, 3_650),
}


class SettingsError(ValueError):
    """A setting that cannot be; the text is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds: a fixed number, or a range that the seed draws from."""

    low: float
    high: float

    @classmethod
    def parse(cls, text: str) -> Span:
        """Read "4" or "3.5-4.5".

        Raises:
            SettingsError: the text is neither, or the range is upside down.
        """
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(?:-(\d+(?:\.\d+)?))?", text.strip())
        if match is None:
            raise SettingsError(f"{text!r} is not a duration: write seconds as 4 or a range as 3.5-4.5")
        low = float(match[1])
        high = float(match[2] or match[1])
        if high < low:
            raise SettingsError(f"{text!r} ends before it begins: write the smaller number first")
        return cls(low, high)

    def draw(self, rng: random.Random) -> float:
        """Return a duration out of the range."""
        return rng.uniform(self.low, self.high)

    def __str__(self) -> str:
        return f"{self.low:g}" if self.low == self.high else f"{self.low:g}-{self.high:g}"


@dataclass(frozen=True, slots=True)
class Settings:
    """What an emulator is told before it starts.

    Attributes:
        state: folder for the database, the keys and the files; None keeps all in memory and in a
            temporary folder.
        seed: decides all that is random; None draws one (and a state folder keeps it).
        time_scale: emulated seconds for a real one; 0 has the clock stand still.
        runners: how many requests of one application run at once.
        concurrency: how many requests of one key run at once, over all applications.
        queue_seconds: how long a request waits at least, with every runner free.
        run_seconds: how long a run takes at least; rendering may make it longer.
        run_timeout: seconds after which the platform ends a run with 504; None never does.
        keys: the pairs "id:secret" that are known; None takes any well-formed pair.
        auth: False asks for no credentials at all.
        locked: key ids whose account is locked.
        media: "animate" moves the input image; "plain" is a solid colour, for fast tests.
        ffmpeg: the program; None takes the one that comes with imageio-ffmpeg.
        renders: how many ffmpeg processes may run at once.
        render_timeout: real seconds before an ffmpeg process is killed.
        fetch: also fetch input images from public addresses.
        webhooks: "local" delivers to loopback addresses only, "any" everywhere.
        sealed: connect to nothing but loopback, whatever `fetch` and `webhooks` say.
        hostnames: further names under which clients reach the emulator (a container's, say).
        public_url: scheme, host and port under which clients reach it, when returned URLs shall not
            lead back the way the call came: through a port mapping, say.
        allow_origins: web origins besides those of this machine whose pages may call, as
            "https://app.example".
        trusted_proxies: IP addresses and networks of proxies whose `X-Forwarded-For` and
            `X-Forwarded-Proto` are believed.
        journal_size: bytes of memory that the journal may take.
        max_body: bytes that a submit may have.
        max_pixels: pixels that an input image may have.
        decode_memory: bytes of memory that decoding a large input image may take, in a process of its own.
        max_upload: bytes that an uploaded file may have.
        limits: on headers, nesting, waiting and faults of one call.
        retention: seconds that a result is kept; large ones (10 KB and more) `retention_large`.
        scenarios: what shall go wrong: names of presets, or paths of TOML files.
        payload_days: days that a request is remembered after its result is gone.
    """

    state: Path | None = None
    seed: int | None = None
    time_scale: float = 1.0
    runners: int = 2
    concurrency: int = 10
    queue_seconds: Span = Span(0.8, 1.2)
    run_seconds: Span = Span(3.5, 4.5)
    run_timeout: float | None = None
    keys: tuple[str, ...] | None = field(default=None, repr=False)
    auth: bool = True
    locked: tuple[str, ...] = ()
    media: Literal["animate", "plain"] = "animate"
    ffmpeg: str | None = None
    renders: int = 2
    render_timeout: float = 60.0
    fetch: bool = False
    webhooks: Literal["local", "any"] = "local"
    sealed: bool = False
    hostnames: tuple[str, ...] = ()
    public_url: str | None = None
    allow_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    journal_size: int = 16 * MIB
    max_body: int = 16 * MIB
    max_pixels: int = 50_000_000
    decode_memory: int = 1024 * MIB
    max_upload: int = 5 * 1024 * MIB
    limits: Limits = DEFAULT
    retention: float = 3600.0
    retention_large: float = 360.0
    payload_days: float = 30.0
    scenarios: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.time_scale <= FASTEST:
            raise SettingsError("--time-scale is a number from 0 to 1000000, as 1, 0.5 or 1000")
        for name, (least, most) in _LIMITS.items():
            value = getattr(self, name)
            bounds = (value.low, value.high) if isinstance(value, Span) else (value,)
            if not all(bound is None or least <= bound <= most for bound in bounds):
                flag = name.replace("_", "-")
                raise SettingsError(f"--{flag} is a number from {least} to {most}, not {value}")
        self._check_addresses()
        for pair in self.keys or ():
            key_id, _, secret = pair.partition(":")
            if not (key_id and secret):
                raise SettingsError("a key is not of the form id:secret: check --keys and FALMOCK_KEYS")

    @property
    def fetches_public_files(self) -> bool:
        """Whether input images are fetched from public addresses too."""
        return self.fetch and not self.sealed

    @property
    def delivers_anywhere(self) -> bool:
        """Whether webhooks go to other machines too."""
        return self.webhooks == "any" and not self.sealed

    @property
    def own_names(self) -> frozenset[str]:
        """Names under which clients reach the emulator, besides those of loopback and IP addresses."""
        names = {parse_authority(name).name for name in self.hostnames}
        if self.public_url is not None:
            names.add(parse_url(self.public_url).authority.name)
        return frozenset(names)

    def _check_addresses(self) -> None:
        if self.public_url is not None and not _is_base(self.public_url):
            raise SettingsError("--public-url is a scheme, a host and a port, as http://falmock:8787")
        for name in self.hostnames:
            if not _is_name(name):
                raise SettingsError(f"--hostname {name!r} is not the name of a host, as falmock.internal")
        for origin in self.allow_origins:
            if not _is_origin(origin):
                raise SettingsError(
                    f"--allow-origin {origin!r} is not a web origin: write scheme, host and port, as "
                    "https://app.example or http://192.168.1.5:3000"
                )
        for proxy in self.trusted_proxies:
            if not _is_network(proxy):
                raise SettingsError(
                    f"--trusted-proxy {proxy!r} is not an IP address or network, as 127.0.0.1 or 10.0.0.0/8"
                )


def _is_base(url: str) -> bool:
    try:
        parts = parse_url(url)
    except AuthorityError:
        return False
    return parts.path == "" and parts.query is None and "#" not in url


def _is_name(text: str) -> bool:
    try:
        return parse_authority(text).port is None
    except AuthorityError:
        return False


def _is_origin(text: str) -> bool:
    """Tell whether a text is an origin that can be allowed: everybody can have the opaque one."""
    try:
        return parse_origin(text) is not None
    except AuthorityError:
        return False


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
