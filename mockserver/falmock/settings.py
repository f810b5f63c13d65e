"""`Settings`: everything that is decided before the emulator starts.

Each field has an `Option`, from which `cli.options` makes a flag and a `FALMOCK_*` variable.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Literal

from falmock.protocol.authorities import AuthorityError, parse_authority, parse_origin, parse_url
from falmock.protocol.limits import DEFAULT, Limits

if TYPE_CHECKING:
    import random
    from pathlib import Path

MIB: Final = 1024 * 1024
_YEAR: Final = 365 * 86_400  # seconds
_MANY: Final = 2**53
_INSTANT: Final = 0.001  # seconds; a limit of 0 would refuse every call


class SettingsError(ValueError):
    """A setting has an impossible value. The text is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Span:
    """A number of seconds, or a range that the seed draws from."""

    low: float
    high: float

    @classmethod
    def parse(cls, text: str) -> Span:
        """Parse "4" or "3.5-4.5".

        Raises:
            SettingsError: the text is neither, or the range starts with the larger number.
        """
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(?:-(\d+(?:\.\d+)?))?", text.strip())
        if match is None:
            raise SettingsError(f"{text!r} is not a duration: write seconds as 4 or a range as 3.5-4.5")
        low = float(match[1])
        high = float(match[2] or match[1])
        if high < low:
            raise SettingsError(f"{text!r} is not a range: write the smaller number first")
        return cls(low, high)

    def draw(self, rng: random.Random) -> float:
        """Return a duration in the range."""
        return rng.uniform(self.low, self.high)

    def __str__(self) -> str:
        return f"{self.low:g}" if self.low == self.high else f"{self.low:g}-{self.high:g}"


@dataclass(frozen=True, slots=True)
class Option:
    """How a setting is given on the command line.

    Attributes:
        help: one sentence, for `--help` and the README.
        flag: without the leading hyphens; by default the name of the setting.
        type: of a value, where the default is None.
        least: the smallest number allowed.
        most: the largest.
        choices: the values allowed.
        unset: what a default of None means.
        repeated: the flag is given once for each value.
    """

    help: str
    flag: str = ""
    type: type | None = None
    least: float | None = None
    most: float = _MANY
    choices: tuple[str, ...] = ()
    unset: str = ""
    repeated: bool = False


def _option(text: str, **more: Any) -> dict[str, Option]:
    return {"option": Option(text, **more)}


def _seconds(text: str, *, least: float = 0, most: float = _YEAR, **more: Any) -> dict[str, Option]:
    return _option(text, least=least, most=most, **more)


LIMIT_OPTIONS: Final = {
    "header_bytes": Option(
        "Largest request line with headers, in bytes; more is 431.", flag="max-header-bytes", least=1
    ),
    "headers": Option("Most header fields of a call; more is 431.", flag="max-headers", least=1),
    "head_seconds": Option(
        "Seconds for the headers of a call; later is 408.", flag="head-timeout", least=_INSTANT, most=_YEAR
    ),
    "body_seconds": Option(
        "Seconds between two pieces of a body; later is 408. Also for a client that stops reading.",
        flag="body-timeout",
        least=_INSTANT,
        most=_YEAR,
    ),
    "idle_seconds": Option(
        "Seconds that a connection stays open without a call.",
        flag="idle-timeout",
        least=_INSTANT,
        most=_YEAR,
    ),
    "faults": Option("Most faults that one call may ask for; more is 400.", flag="max-faults", least=1),
    "depth": Option("Deepest nesting of a JSON input; deeper is 400.", flag="max-depth", least=1),
    "members": Option("Most members of a JSON input; more is 400.", flag="max-members", least=1),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of an emulator; `falmock serve --help` describes them.

    Attributes:
        state: folder for the database, the keys and the files. With None all are in memory and in a
            temporary folder. The command line has `--state` and `--ephemeral` for it.
        limits: on one call; each has a flag of its own.
    """

    state: Path | None = None
    seed: int | None = field(
        default=None,
        metadata=_option(
            "Seed of everything random: ids, durations, videos.",
            type=int,
            least=-(2**63),
            most=2**63 - 1,
            unset="drawn once",
        ),
    )
    time_scale: float = field(
        default=1.0,
        metadata=_option(
            "Emulated seconds in a real second; 0 stops the clock until the control API moves it.",
            least=0,
            most=1_000_000,
        ),
    )
    runners: int = field(
        default=2, metadata=_option("Most requests of one application that run at once.", least=1)
    )
    concurrency: int = field(
        default=10, metadata=_option("Most requests of one key that run at once; the others wait.", least=1)
    )
    queue_seconds: Span = field(
        default=Span(0.8, 1.2),
        metadata=_seconds("Seconds in the queue while runners are free: 1, or a range as 0.8-1.2."),
    )
    run_seconds: Span = field(
        default=Span(3.5, 4.5),
        metadata=_seconds("Seconds of a run: 4, or a range as 3.5-4.5. Rendering may take longer."),
    )
    run_timeout: float | None = field(
        default=None,
        metadata=_seconds(
            "Seconds after which a run is cut off with 504. It is tried up to ten times.",
            least=_INSTANT,
            type=float,
            unset="never",
        ),
    )
    keys: tuple[str, ...] | None = field(
        default=None,
        repr=False,
        metadata=_option(
            "Keys to accept, as id:secret,id:secret. Safer in the environment than as a flag.",
            type=tuple,
            unset="any id:secret",
        ),
    )
    auth: bool = field(default=True, metadata=_option("Accept calls without credentials.", flag="no-auth"))
    locked: tuple[str, ...] = field(
        default=(), metadata=_option("Key ids of locked accounts, as id,id.", unset="none")
    )
    media: Literal["animate", "plain"] = field(
        default="animate",
        metadata=_option(
            "Videos: animate moves the input image; plain is a solid colour, and fast.",
            choices=("animate", "plain"),
        ),
    )
    ffmpeg: str | None = field(
        default=None, metadata=_option("Path of the ffmpeg program.", type=str, unset="bundled")
    )
    renders: int = field(default=2, metadata=_option("Most ffmpeg processes at once.", least=1))
    render_timeout: float = field(
        default=60.0,
        metadata=_seconds("Real seconds after which an ffmpeg process is killed.", least=_INSTANT),
    )
    fetch: bool = field(
        default=False,
        metadata=_option("Fetch input images from public addresses too; otherwise only from this machine."),
    )
    webhooks: Literal["local", "any"] = field(
        default="local",
        metadata=_option(
            "Where webhooks are delivered: to this machine only, or to any address.", choices=("local", "any")
        ),
    )
    sealed: bool = field(
        default=False,
        metadata=_option(
            "Connect to this machine only, in spite of --fetch and --webhooks. Also seals the proxy."
        ),
    )
    hostnames: tuple[str, ...] = field(
        default=(),
        metadata=_option(
            "Other names under which clients reach this server, as name,name.", flag="hostname", unset="none"
        ),
    )
    public_url: str | None = field(
        default=None,
        metadata=_option(
            "Scheme, host and port of the URLs in answers, as http://falmock:8787.",
            type=str,
            unset="as called",
        ),
    )
    allow_origins: tuple[str, ...] = field(
        default=(),
        metadata=_option(
            "Web origins, besides local ones, whose pages may call, as https://app.example.",
            flag="allow-origin",
            unset="none",
        ),
    )
    trusted_proxies: tuple[str, ...] = field(
        default=(),
        metadata=_option(
            "Reverse proxies whose X-Forwarded-For and -Proto are trusted, as 127.0.0.1,10.0.0.0/8.",
            flag="trusted-proxy",
            unset="none",
        ),
    )
    journal_size: int = field(
        default=16 * MIB, metadata=_option("Memory for the journal, in bytes.", least=0)
    )
    max_body: int = field(default=16 * MIB, metadata=_option("Largest submitted body, in bytes.", least=0))
    max_pixels: int = field(default=50_000_000, metadata=_option("Largest input image, in pixels.", least=1))
    decode_memory: int = field(
        default=1024 * MIB,
        metadata=_option("Memory for decoding a large input image, in bytes.", least=MIB),
    )
    max_upload: int = field(
        default=5 * 1024 * MIB, metadata=_option("Largest uploaded file, in bytes.", least=0)
    )
    limits: Limits = DEFAULT
    retention: float = field(
        default=3600.0, metadata=_seconds("Seconds that a result is kept.", most=100 * _YEAR)
    )
    retention_large: float = field(
        default=360.0,
        metadata=_seconds("Seconds that a result of 10,000 bytes or more is kept.", most=100 * _YEAR),
    )
    payload_days: float = field(
        default=30.0,
        metadata=_option("Days that a request is remembered after its end.", least=0, most=3_650),
    )
    scenarios: tuple[str, ...] = field(
        default=(),
        metadata=_option(
            "Faults to inject: a preset or a TOML file. May be given several times.",
            flag="scenario",
            unset="none",
            repeated=True,
        ),
    )

    def __post_init__(self) -> None:
        for name, (option, _) in OPTIONS.items():
            if option.least is not None:
                _check_number(option, getattr(self.limits if name in LIMIT_OPTIONS else self, name))
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
        """Names under which clients reach the emulator, besides loopback names and IP addresses."""
        names = {parse_authority(name).name for name in self.hostnames}
        if self.public_url is not None:
            names.add(parse_url(self.public_url).authority.name)
        return frozenset(names)

    def _check_addresses(self) -> None:
        if self.public_url is not None and not _is_base(self.public_url):
            raise SettingsError("--public-url is a scheme, a host and a port, as http://falmock:8787")
        for name in self.hostnames:
            if not _is_name(name):
                raise SettingsError(f"--hostname {name!r} is not a host name, as falmock.internal")
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


def _with_flag(name: str, option: Option) -> Option:
    return option if option.flag else dataclasses.replace(option, flag=name.replace("_", "-"))


# By name: the options of all settings and limits, and their defaults.
OPTIONS: Final[dict[str, tuple[Option, Any]]] = {
    **{
        each.name: (_with_flag(each.name, each.metadata["option"]), each.default)
        for each in fields(Settings)
        if "option" in each.metadata
    },
    **{each.name: (LIMIT_OPTIONS[each.name], each.default) for each in fields(Limits)},
}


def _check_number(option: Option, value: float | Span | None) -> None:
    bounds = (value.low, value.high) if isinstance(value, Span) else (value,)
    least = option.least or 0
    if not all(bound is None or least <= bound <= option.most for bound in bounds):
        raise SettingsError(f"--{option.flag} is a number from {least} to {option.most}, not {value}")


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
    """Return whether a text is a web origin. "null" is not: any page can have that one."""
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
