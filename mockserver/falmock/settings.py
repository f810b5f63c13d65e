"""`Settings`: everything that is decided before the emulator starts.

Each field has an `Option`, from which `cli.options` makes a flag and a `FALMOCK_*` variable.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Literal

from falmock.protocol.authorities import parse_authority, parse_origin, parse_url
from falmock.protocol.limits import DEFAULT, Limits

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

MIB: Final = 1024 * 1024
_DAY: Final = 86_400.0  # seconds
_YEAR: Final = 365 * 86_400
_MANY: Final = 2**53
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]+", re.ASCII)  # as a Bearer token (RFC 6750)
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
        unset: text for a default of None.
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


def _setting(default: Any, text: str, *, repr: bool = True, **more: Any) -> Any:  # noqa: A002 - as in field
    return field(default=default, repr=repr, metadata={"option": Option(text, **more)})


def _seconds(default: Any, text: str, *, least: float = 0, most: float = _YEAR, **more: Any) -> Any:
    return _setting(default, text, least=least, most=most, **more)


def _time_limit(text: str, flag: str) -> Option:
    return Option(text, flag=flag, least=_INSTANT, most=_YEAR)


LIMIT_OPTIONS: Final = {
    "header_bytes": Option(
        "Largest request line with headers, in bytes; more is 431.", flag="max-header-bytes", least=1
    ),
    "headers": Option("Largest number of header fields of a call; more is 431.", flag="max-headers", least=1),
    "head_seconds": _time_limit("Seconds for the headers of a call; later is 408.", "head-timeout"),
    "body_seconds": _time_limit(
        "Seconds between two pieces of a body; later is 408. Also for a client that stops reading.",
        "body-timeout",
    ),
    "idle_seconds": _time_limit("Seconds that a connection stays open without a call.", "idle-timeout"),
    "faults": Option(
        "Largest number of faults that one call asks for; more is 400.", flag="max-faults", least=1
    ),
    "depth": Option("Deepest nesting of a JSON input; deeper is 400.", flag="max-depth", least=1),
    "members": Option("Largest number of members of a JSON input; more is 400.", flag="max-members", least=1),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of an emulator; `falmock serve --help` describes them.

    Attributes:
        state: folder for the database, keys and files. None keeps them in memory and in a temporary folder.
            The command line has `--state` and `--ephemeral` for it.
        limits: on one call, each with a flag.
    """

    state: Path | None = None
    seed: int | None = _setting(
        None,
        "Seed of everything random: ids, durations, media.",
        type=int,
        least=-(2**63),
        most=2**63 - 1,
        unset="drawn once",
    )
    time_scale: float = _setting(
        1.0,
        "Emulated seconds in a real second; 0 stops the clock until the control API moves it.",
        least=0,
        most=1_000_000,
    )
    runners: int = _setting(2, "Largest number of requests of one application that run at once.", least=1)
    concurrency: int = _setting(
        10, "Largest number of requests of one key that run at once; the others wait.", least=1
    )
    queue_seconds: Span = _seconds(
        Span(0.8, 1.2), "Seconds in the queue while runners are free, such as 1 or 0.8-1.2."
    )
    run_seconds: Span = _seconds(
        Span(3.5, 4.5), "Seconds of a run, such as 4 or 3.5-4.5. Rendering may take longer."
    )
    run_timeout: float | None = _seconds(
        None,
        "Seconds after which a run is cut off with 504. There are up to ten runs.",
        least=_INSTANT,
        type=float,
        unset="never",
    )
    keys: tuple[str, ...] | None = _setting(
        None,
        "Keys to accept, as id:secret,id:secret. Safer in the environment than as a flag.",
        type=tuple,
        unset="any id:secret",
        repr=False,
    )
    auth: bool = _setting(default=True, text="Accept calls without credentials.", flag="no-auth")
    locked: tuple[str, ...] = _setting((), "Key ids of locked accounts, as id,id.", unset="none")
    media: Literal["animate", "plain"] = _setting(
        "animate",
        "Images and videos: animate shows the input image and the prompt; plain is a solid colour, and fast.",
        choices=("animate", "plain"),
    )
    models: tuple[str, ...] = _setting(
        (),
        "OpenAPI documents of more models: a file, or a folder of them. May be given several times.",
        unset="none",
        repeated=True,
    )
    unknown_models: Literal["refuse", "generic"] = _setting(
        "refuse",
        "Models not in the catalogue: refuse answers 404; generic takes any input and guesses the output.",
        choices=("refuse", "generic"),
    )
    ffmpeg: str | None = _setting(None, "Path of the ffmpeg program.", type=str, unset="bundled")
    renders: int = _setting(2, "Largest number of ffmpeg processes at once.", least=1)
    render_timeout: float = _seconds(
        60.0, "Real seconds after which an ffmpeg process is killed.", least=_INSTANT
    )
    render_cache: int = _setting(
        2048 * MIB, "Largest total size of the rendered media that are kept, in bytes.", least=0
    )
    fetch: bool = _setting(
        default=False,
        text="Fetch input files from public addresses too; otherwise only from this machine.",
    )
    webhooks: Literal["local", "any"] = _setting(
        "local",
        "Where webhooks are delivered: to this machine only, or to any address.",
        choices=("local", "any"),
    )
    sealed: bool = _setting(
        default=False,
        text="Connect to this machine only, in spite of --fetch and --webhooks. Also seals the proxy.",
    )
    hostnames: tuple[str, ...] = _setting(
        (), "Other names under which clients reach this server, as name,name.", flag="hostname", unset="none"
    )
    media_urls: Literal["local", "fal"] = _setting(
        "local",
        "File URLs for programs that call fal's own names: local leads to this emulator, also from pages.",
        choices=("local", "fal"),
    )
    public_url: str | None = _setting(
        None, "Scheme, host and port of URLs in answers, as http://falmock:8787.", type=str, unset="as called"
    )
    allow_origins: tuple[str, ...] = _setting(
        (),
        "Web origins whose pages may call too, besides those of this machine, such as https://app.example.",
        flag="allow-origin",
        unset="none",
    )
    expose_headers: bool = _setting(
        default=False,
        text="Let pages read the x-fal-* headers of the queue host. At fal they probably cannot.",
    )
    trusted_proxies: tuple[str, ...] = _setting(
        (),
        "Reverse proxies that may set X-Forwarded-For and X-Forwarded-Proto, such as 127.0.0.1,10.0.0.0/8.",
        flag="trusted-proxy",
        unset="none",
    )
    control_token: str | None = _setting(
        None,
        "Secret with which other machines may call the control API. Safer in the environment than as a flag.",
        type=str,
        unset="this machine only",
        repr=False,
    )
    cancel: Literal["ignored", "honoured"] = _setting(
        "ignored",
        "A running request that is cancelled: ignored runs on and is billed; honoured ends at once with 499.",
        choices=("ignored", "honoured"),
    )
    flat_logs: bool = _setting(
        default=False, text="Add the fields level and source to log entries, as in fal's JavaScript types."
    )
    lenient_paths: bool = _setting(
        default=False,
        text="Serve status, result and cancel under full endpoint ids too. fal refuses them with 405.",
    )
    journal_size: int = _setting(4 * MIB, "Memory for the journal, in bytes.", least=0)
    max_body: int = _setting(16 * MIB, "Largest submitted body, in bytes.", least=0)
    max_pixels: int = _setting(50_000_000, "Largest input image, in pixels.", least=1)
    decode_memory: int = _setting(1024 * MIB, "Memory for decoding a large input image, in bytes.", least=MIB)
    max_upload: int = _setting(5 * 1024 * MIB, "Largest uploaded file, in bytes.", least=0)
    limits: Limits = DEFAULT
    retention: float = _seconds(30 * _DAY, "Seconds that a result is kept.", most=100 * _YEAR)
    retention_large: float = _seconds(
        30 * _DAY, "Seconds that a result of 10,000 bytes or more is kept.", most=100 * _YEAR
    )
    payload_days: float = _setting(
        30.0, "Days that a request is remembered after its end.", least=0, most=3_650
    )
    scenarios: tuple[str, ...] = _setting(
        (),
        "Faults to inject: a preset or a TOML file. May be given several times.",
        flag="scenario",
        unset="none",
        repeated=True,
    )

    def __post_init__(self) -> None:
        for name, (option, _) in OPTIONS.items():
            if option.least is not None:
                _check(name, option, getattr(self.limits if name in LIMIT_OPTIONS else self, name))
        self._check_addresses()
        for pair in self.keys or ():
            key_id, _, secret = pair.partition(":")
            if not (key_id and secret):
                raise SettingsError("a key is not of the form id:secret: check --keys and FALMOCK_KEYS")
        if self.control_token is not None:
            check_token(self.control_token)

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
        for name, (is_good, expected) in _ADDRESSES.items():
            value = getattr(self, name)
            for text in (value,) if isinstance(value, str) else value or ():
                try:
                    good = is_good(text)
                except ValueError:
                    good = False
                if not good:
                    raise SettingsError(f"{flag_of(name)} {text!r} is not {expected}")


def check_token(token: str) -> None:
    """Check a control token.

    Raises:
        SettingsError: no Bearer header can have it.
    """
    if _TOKEN.fullmatch(token) is None:
        raise SettingsError(
            "the control token is not of letters, digits and -._~+/= only: check --control-token and "
            "FALMOCK_CONTROL_TOKEN"
        )


def _is_base(text: str) -> bool:
    url = parse_url(text)
    return url.path == "" and url.query is None and "#" not in text


# The settings that are addresses: a check of one, which may raise ValueError, and a description.
_ADDRESSES: Final[dict[str, tuple[Callable[[str], bool], str]]] = {
    "public_url": (_is_base, "a scheme, a host and a port, as http://falmock:8787"),
    "hostnames": (lambda text: parse_authority(text).port is None, "a host name, as falmock.internal"),
    "allow_origins": (
        lambda text: parse_origin(text) is not None,  # any page can have the origin "null"
        "a web origin: write scheme, host and port, as https://app.example or http://192.168.1.5:3000",
    ),
    "trusted_proxies": (
        lambda text: bool(ipaddress.ip_network(text)),
        "an IP address or network, as 127.0.0.1 or 10.0.0.0/8",
    ),
}

# The options of all settings and limits, with their defaults, by name.
OPTIONS: Final[dict[str, tuple[Option, Any]]] = {
    **{each.name: (each.metadata["option"], each.default) for each in fields(Settings) if each.metadata},
    **{each.name: (LIMIT_OPTIONS[each.name], each.default) for each in fields(Limits)},
}


def flag_of(name: str) -> str:
    """Return the flag of a setting or a limit."""
    return f"--{OPTIONS[name][0].flag or name.replace('_', '-')}"


def _check(name: str, option: Option, value: float | Span | None) -> None:
    bounds = (value.low, value.high) if isinstance(value, Span) else (value,)
    least = option.least or 0
    if not all(bound is None or least <= bound <= option.most for bound in bounds):
        raise SettingsError(f"{flag_of(name)} is a number from {least} to {option.most}, not {value}")
