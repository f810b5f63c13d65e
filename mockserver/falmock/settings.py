"""One frozen `Settings`: everything that can be decided before the emulator starts.

The command line reads flags and `FALMOCK_*` variables into it (see `cli`); tests make one directly.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from falmock.limits import DEFAULT, Limits

if TYPE_CHECKING:
    import random
    from pathlib import Path

MIB = 1024 * 1024


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
        hostnames: further names under which clients reach the emulator (a container's, say).
        public_url: scheme, host and port under which clients reach it, when returned URLs shall not
            lead back the way the call came: through a port mapping, say.
        journal_size: bytes of memory that the journal may take.
        max_body: bytes that a submit may have.
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
    hostnames: tuple[str, ...] = ()
    public_url: str | None = None
    journal_size: int = 16 * MIB
    max_body: int = 16 * MIB
    max_upload: int = 5 * 1024 * MIB
    limits: Limits = DEFAULT
    retention: float = 3600.0
    retention_large: float = 360.0
    payload_days: float = 30.0
    scenarios: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.time_scale < math.inf:
            raise SettingsError("--time-scale is a number that is not negative, as 1, 0.5 or 1000")
        if self.public_url is not None and not re.fullmatch(r"https?://[^/?#@\s]+", self.public_url):
            raise SettingsError("--public-url is a scheme, a host and a port, as http://falmock:8787")
        for pair in self.keys or ():
            key_id, _, secret = pair.partition(":")
            if not (key_id and secret):
                raise SettingsError("a key is not of the form id:secret: check --keys and FALMOCK_KEYS")
