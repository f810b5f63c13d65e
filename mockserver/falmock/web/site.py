"""What all pages share: the emulator, the templates, and the formats of values."""

from __future__ import annotations

import hashlib
import json
import math
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from falmock import __version__
from falmock.engine.clock import LAST
from falmock.engine.lifecycle import State
from falmock.inspection.journal import journal_of
from falmock.web.answers import STATIC

if TYPE_CHECKING:
    from falmock.catalogue import Price
    from falmock.engine.emulator import Emulator
    from falmock.engine.rows import Request as Stored
    from falmock.inspection.ledger import Ledger

NAVIGATION: Final = (
    ("/", "Requests"),
    ("/ui/webhooks", "Webhooks"),
    ("/ui/overview", "Overview"),
    ("/ui/models", "Models"),
    ("/ui/steer", "Steer"),
)
KIB: Final = 1024
CANCELLED: Final = frozenset({"client_cancelled", "client_disconnected"})


class Site:
    """The live page of one emulator."""

    def __init__(self, emulator: Emulator, ledger: Ledger) -> None:
        self.emulator = emulator
        self.ledger = ledger
        self.journal = journal_of(emulator)
        self.redact = self.journal.redact  # masks secrets in everything that a page shows
        self.open_pages = 0  # those that are kept up to date
        self._templates = Environment(
            loader=PackageLoader("falmock.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        filters = (time, seconds, rough, size, usd, rate, dollars, pretty, code, badge)
        self._templates.filters |= {each.__name__: each for each in filters} | {"mask": self.redact.text}
        self._templates.globals |= {"static": static, "version": __version__, "navigation": NAVIGATION}

    def mark(self) -> object:
        """Return a value that differs after each change that a page may show."""
        self.emulator.advance()
        clock = self.emulator.clock
        rules = [
            (state.id, state.matched, state.injected, state.observed)
            for state in self.emulator.rule_set.rules()
        ]
        return self.emulator.store.changes, self.journal.mark, clock.scale, rules

    def render(self, template: str, **values: Any) -> Markup:
        """Return HTML. Half a surrogate pair, which JSON may have and UTF-8 may not, is a question mark."""
        text = self._templates.get_template(template).render(values)
        return Markup(text if text.isascii() else text.encode(errors="replace").decode())  # noqa: S704 - it escapes

    def clock(self) -> Markup:
        """Return the clock of the header. Its HTML stays the same while the clock runs evenly."""
        clock = self.emulator.clock
        anchor = clock.now() - clock.scale * clock.wall()
        return self.render("clock.html", scale=clock.scale, anchor=round(anchor, 1), now=clock.now())


class Badge(NamedTuple):
    """The text of a badge, and the class of its colour."""

    text: str
    colour: str


def badge(request: Stored) -> Badge:
    """Return the state of a request in one or two words."""
    if request.state == State.IN_QUEUE:
        return Badge("In queue", "queue")
    if request.state == State.IN_PROGRESS:
        return Badge("In progress", "run")
    status = request.status or 0
    if status < HTTPStatus.BAD_REQUEST:
        return Badge("Completed", "good")
    if request.error_type in CANCELLED or status == 499:  # noqa: PLR2004 - a cancel that the model honoured
        return Badge("Cancelled", "off")
    return Badge(f"Failed {status}", "bad")


def time(at: float | None) -> Markup:
    """Return a `<time>` element. The script of the page adds how long ago that is."""
    if at is None or not math.isfinite(at):
        return Markup('<span class="faint">never</span>')
    moment = datetime.fromtimestamp(min(at, LAST), UTC)
    return Markup(
        '<time datetime="{}" data-at="{}"><span class="day">{:%Y-%m-%d} </span>{:%H:%M:%S}</time>'
    ).format(moment.isoformat(timespec="milliseconds"), f"{at:.3f}", moment, moment)


def seconds(span: float | None) -> str:
    """Return "4.2 s", "350 ms" or "1 h 5 min"."""
    if span is None or not math.isfinite(span):
        return "∞"
    if span < 1:
        return f"{span * 1000:.0f} ms"
    if span < 60:  # noqa: PLR2004 - seconds of a minute, and so on
        return f"{span:.1f} s"
    minutes, rest = divmod(round(span), 60)
    if minutes < 60:  # noqa: PLR2004
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"  # noqa: PLR2004


def rough(span: int) -> str:
    """Return "30 s", "5 min", "2 h" or "7 days" for a round number of seconds."""
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if span >= length:
            return "1 day" if span == length == 86_400 else f"{span // length} {unit}"  # noqa: PLR2004 - a day
    return f"{span} s"


def size(count: int) -> str:
    """Return "512 B" or "1.4 MiB"."""
    if count < KIB:
        return f"{count} B"
    return f"{count / KIB:.1f} KiB" if count < KIB * KIB else f"{count / KIB / KIB:.1f} MiB"


def usd(amount: float) -> str:
    """Return "$2.50", or more digits for less than a cent."""
    return f"${amount:,.2f}" if amount == 0 or amount >= 0.01 else f"${amount:.4f}"  # noqa: PLR2004 - a cent


def dollars(amount: float) -> str:
    """Return "$0.50" or "$0.035": an amount with all its digits."""
    whole, _, digits = f"{amount:.9f}".rstrip("0").partition(".")
    return f"${whole}.{digits:0<2}"


def rate(price: Price) -> str:
    """Return "$0.50 per second"."""
    unit = price.unit if price.unit[:1].isdecimal() else price.unit.removesuffix("s")
    return f"{dollars(price.usd)} per {unit}"


def pretty(value: Any) -> str:
    """Return a JSON value with indentation, and a text as it is."""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def code(text: str) -> Markup:
    """Return a text with the parts between backticks as code."""
    parts = (
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part)
        for number, part in enumerate(text.split("`"))
    )
    return Markup("").join(parts)


@cache
def digests() -> dict[str, str]:
    """Return the digest of each static file by its name."""
    folder = resources.files("falmock.web") / "static"
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest()[:12] for file in folder.iterdir()}


def static(name: str) -> str:
    """Return the address of a static file, which changes with its content."""
    return f"{STATIC}{name}?{digests()[name]}"
