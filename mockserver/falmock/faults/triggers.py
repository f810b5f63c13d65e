"""Faults that a call asks for in its own input or headers.

[[fal: content_policy_violation]]                   anywhere in a prompt
https://falmock.invalid/file_download_error.png     as the URL of a file
x-falmock-fault: requeued times=3                   as a header
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from falmock.faults.vocabulary import Fault, FaultError, parse
from falmock.protocol import urls
from falmock.protocol.limits import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MAGIC_HOST: Final = "falmock.invalid"
MAGIC_HEADER: Final = "x-falmock-fault"
LONGEST_FAULT: Final = 1000  # characters of one trigger, because splitting it is slow
_START: Final = "[[fal:"
_END: Final = "]"


def faults_in_input(given: Mapping[str, Any], most: int = DEFAULT.faults) -> list[Fault]:
    """Return the faults that an input asks for.

    Raises:
        FaultError: a fault is invalid, or there are more than `most`.
    """
    texts = (text for value in given.values() if isinstance(value, str) for text in _triggers(value))
    return _parsed(texts, most)


def may_have_triggers(body: bytes) -> bool:
    """Return whether a body may contain triggers, without parsing it."""
    return _START.encode() in body or MAGIC_HOST.encode() in body


def faults_in_header(text: str, most: int = DEFAULT.faults) -> list[Fault]:
    """Return the faults that a header asks for, separated by semicolons.

    Raises:
        FaultError: a fault is invalid, or there are more than `most`.
    """
    return _parsed((part for part in text.split(";") if part.strip()), most)


def _parsed(texts: Iterable[str], most: int) -> list[Fault]:
    faults: list[Fault] = []
    for text in texts:
        if len(faults) == most:
            raise FaultError(f"more than {most} faults are asked for at once")
        if len(text) > LONGEST_FAULT:
            raise FaultError(f"a fault with its options has at most {LONGEST_FAULT} characters")
        faults.append(parse(text))
    return faults


def _triggers(text: str) -> Iterator[str]:
    """Yield the texts between "[[fal:" and "]]", then the fault of a magic URL, in linear time."""
    start = text.find(_START)
    while start >= 0 and (end := text.find(_END, start)) >= 0:
        if text.startswith("]]", end):
            yield text[start + len(_START) : end]
        start = text.find(_START, end)
    if text.startswith(f"https://{MAGIC_HOST}/"):
        yield _from_url(text)


def _from_url(url: str) -> str:
    try:
        parts = urls.split(url)
        options = " ".join(f"{name}={value}" for name, value in parse_qsl(parts.query))
    except ValueError:
        raise FaultError(f"a URL on {MAGIC_HOST} names a fault, with its options as the query") from None
    return f"{Path(parts.path).stem} {options}"
