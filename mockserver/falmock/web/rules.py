"""Faults and rules in forms and as text. Pure."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from falmock.faults.rules import Rule
from falmock.faults.vocabulary import ALWAYS, EXACT, FAULTS, PLACES, FaultError, limits, parse
from falmock.web.answers import Rejected

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from falmock.faults.vocabulary import FaultKind

GROUPS: Final = {
    group: [kind.name for kind in kinds] for group, kinds in groupby(FAULTS.values(), attrgetter("group"))
}
FIRST: Final = "content_policy_violation"  # the fault that is chosen at first
OPTION: Final = "option."  # before the name of an option, in a form
FILTERS: Final = ("on", "endpoint", "prompt", "caller", "test")
PERCENT: Final = 100
HINTS: Final = {
    "loc": "Place in the input, such as body.image_urls.0",
    "msg": "Text of the error. Empty: fal's own",
    "detail": "Text of the error. Empty: fal's own",
    "type": "Type of the error",
    "status": "HTTP status of the result",
    "reason": "The reason that the answer gives",
    "limit": "The limit that the answer names",
    "position": "Requests that are ahead",
    "peak": "How many they grow to",
    "seconds": "Seconds",
    "times": "How often",
    "lines": "How many lines",
    "fields": "Names, with commas between them",
}
A_FACT: Final = "A fact in the error's ctx"
FACTS: Final = "A list in the error's ctx, with commas"


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a fault, as a field of a form."""

    name: str
    value: str  # the default
    hint: str
    low: int | None = None  # limits of a number
    high: int | None = None
    step: str = ""  # of a number, for the browser


def options_of(kind: FaultKind) -> list[Option]:
    return [_option(kind, name, value) for name, value in kind.options.items()]


def _option(kind: FaultKind, name: str, value: Any) -> Option:
    if isinstance(value, list):
        return Option(name, ",".join(value), HINTS.get(name, FACTS))
    hint = HINTS.get(name, A_FACT)
    if not isinstance(value, int | float):
        return Option(name, str(value), hint)
    low, high = limits(kind.name, name)
    if (low, high) != (-EXACT, EXACT):
        hint = f"{hint}, from {low:,} to {high:,}"
    if isinstance(value, int):
        return Option(name, str(value), hint, low, high, "1")
    return Option(name, f"{value:g}", hint, low, high, "any")


def places_of(kind: FaultKind) -> list[str]:
    """Return the places that a rule may choose; none if there is no choice."""
    return [place for place in PLACES if place in kind.may] if len(kind.may) > 1 else []


def kind_of(name: str) -> FaultKind:
    if (kind := FAULTS.get(name)) is None:
        raise Rejected(422, "There is no such fault.")
    return kind


def read(given: Mapping[str, str]) -> Rule:
    kind = kind_of(given.get("fault", ""))
    options = [
        f"{name}={shlex.quote(given[OPTION + name])}" for name in kind.options if OPTION + name in given
    ]
    try:
        fault = str(parse(" ".join([kind.name, *options])))
        return Rule.model_validate(
            {
                "fault": fault,
                **{name: given[name] for name in FILTERS if name in given},
                "after": given.get("after", 0),
                "times": ALWAYS if "always" in given else given.get("times", 1),
                "share": float(given.get("share", PERCENT)) / PERCENT,
            }
        )
    except FaultError as error:
        raise Rejected(422, f"{error}.") from None
    except ValidationError as invalid:
        first = invalid.errors()[0]
        name = f"{first['loc'][0]}: " if first["loc"] else ""
        raise Rejected(422, f"{name}{first['msg'].removeprefix('Value error, ')}.") from None
    except ValueError:
        raise Rejected(422, "share: it should be a number.") from None


def conditions(rule: Rule) -> list[tuple[str, str]]:
    """Return the conditions of a rule but `request`, with their names."""
    given = {
        **{name: getattr(rule, name) for name in FILTERS},
        "input": json.dumps(rule.input, ensure_ascii=False) if rule.input else None,
        "after": f"{rule.after:,}" if rule.after else None,
        "share": f"{rule.share * PERCENT:g} %" if rule.share != 1 else None,
        "then": ", ".join(rule.then) or None,
    }
    return [(name, value) for name, value in given.items() if value is not None]


def chances(rule: Rule) -> int | None:
    """Return how many matches get a fault, those of `then` included; None if all do."""
    return None if rule.times == ALWAYS else int(rule.times) + len(rule.then)


def is_among(rule: Rule, others: Iterable[Rule]) -> bool:
    """Return whether one of the other rules is equal. Faults are compared first, because that is fast."""
    return any(rule.fault == other.fault and rule == other for other in others)
