"""What differs from run to run, named and typed, so that the rest can be compared word for word.

A placeholder says what must stand there ("<rid:1>" a request id, the same wherever it stands; "<float>" a
number of seconds): a text that is merely left out would hide whatever takes its place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from falcontract.published import UUID

TOKEN: Final = re.compile(
    r"<(?:(?P<numbered>rid|uuid):(?P<number>\d+)|(?P<plain>queue|ts|float|int|media|sha256|logs))>"
)
TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
ANY_UUID: Final = re.compile(UUID.pattern)
MEDIA: Final = re.compile(r"https?://[^\s\"]*fal\.media/files/[^\s\"]*")
QUEUE: Final = "https://queue.fal.run"
# Numbers that follow from when and where a job ran, by the key they stand under.
VOLATILE: Final = {"inference_time": "<float>", "file_size": "<int>", "seed": "<int>"}
LOGS: Final = "<logs>"  # which lines a runner wrote is its own affair
LINE: Final = {
    "timestamp": "2026-02-17T10:30:01.123Z",
    "message": "x",
    "level": "INFO",
    "labels": {"level": "INFO"},
}
WHOLE: Final = {"<float>": 1.5, "<int>": 7, LOGS: [LINE, LINE | {"message": "y"}]}
EXAMPLES: Final = {
    "queue": QUEUE,
    "ts": "2026-02-17T10:30:01.123Z",
    "media": "https://v3b.fal.media/files/b/0/x.mp4",
}


@dataclass
class Bindings:
    """Which value each numbered placeholder stands for, and the other way round."""

    values: dict[str, str] = field(default_factory=dict)

    def token(self, value: str, kind: str) -> str:
        """Return the placeholder for a value: the known one, or the next free."""
        for token, known in self.values.items():
            if known == value:
                return token
        token = f"<{kind}:{sum(name.startswith(f'<{kind}:') for name in self.values) + 1}>"
        self.values[token] = value
        return token


def hide(told: Any, *, base: str, names: Bindings, key: str = "") -> Any:
    """Return a JSON value with placeholders for what differs from run to run."""
    if isinstance(told, dict):
        return {name: hide(value, base=base, names=names, key=name) for name, value in told.items()}
    if isinstance(told, list):
        return LOGS if key == "logs" else [hide(value, base=base, names=names, key=key) for value in told]
    if isinstance(told, str):
        return hide_text(told, base=base, names=names)
    if key in VOLATILE and isinstance(told, int | float) and not isinstance(told, bool):
        return VOLATILE[key]
    return told


def hide_text(text: str, *, base: str, names: Bindings) -> str:
    """Return a text with placeholders for addresses, ids and times."""
    text = MEDIA.sub("<media>", text.replace(base, "<queue>").replace(QUEUE, "<queue>"))
    text = TIMESTAMP.sub("<ts>", text)
    return ANY_UUID.sub(lambda found: names.token(found[0], "uuid"), text)


def fill(told: Any, *, key: str = "") -> Any:
    """Return a JSON value with an example in place of each placeholder."""
    if isinstance(told, dict):
        return {name: fill(value, key=name) for name, value in told.items()}
    if isinstance(told, list):
        return [fill(value, key=key) for value in told]
    if isinstance(told, str) and told in WHOLE:
        return WHOLE[told]
    return TOKEN.sub(_example, told) if isinstance(told, str) else told


def _example(found: re.Match[str]) -> str:
    if found["plain"]:
        return EXAMPLES.get(found["plain"], "0" * 64)
    kind = 0 if found["numbered"] == "rid" else 1
    return f"019e000{kind}-0000-7000-8000-{int(found['number']):012x}"


@dataclass(frozen=True)
class Difference:
    """One place where two values differ."""

    path: str
    expected: Any
    found: Any

    def __str__(self) -> str:
        return f"{self.path or '(whole)'}: expected {self.expected!r}, found {self.found!r}"


ABSENT: Final = "(absent)"


def differences(expected: Any, found: Any, names: Bindings, path: str = "") -> list[Difference]:
    """Compare a value with placeholders to a real one, path by path; the order of keys counts too."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return _members(expected, found, names, path)
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return [d for n, (a, b) in pairs for d in differences(a, b, names, f"{path}[{n}]")]
    if isinstance(expected, str) and TOKEN.search(expected):
        return [] if _fits(expected, found, names) else [Difference(path, expected, found)]
    return [] if type(expected) is type(found) and expected == found else [Difference(path, expected, found)]


def _members(expected: dict[str, Any], found: dict[str, Any], names: Bindings, path: str) -> list[Difference]:
    result = []
    for key in dict.fromkeys((*expected, *found)):
        where = f"{path}.{key}"
        if key not in found or key not in expected:
            result.append(Difference(where, expected.get(key, ABSENT), found.get(key, ABSENT)))
        else:
            result += differences(expected[key], found[key], names, where)
    if not result and list(expected) != list(found):
        result.append(Difference(f"{path} (order of keys)", list(expected), list(found)))
    return result


def _fits(expected: str, found: Any, names: Bindings) -> bool:
    if expected == LOGS:
        return isinstance(found, list) and all(isinstance(e, dict) and "message" in e for e in found)
    if expected in {"<float>", "<int>"}:
        return isinstance(found, int if expected == "<int>" else int | float) and found >= 0
    if not isinstance(found, str):
        return False
    pattern = re.compile("".join(_pattern(part) for part in _parts(expected)))
    match = pattern.fullmatch(found)
    if match is None:
        return False
    tokens = [part for part in _parts(expected) if part.startswith(("<rid:", "<uuid:"))]
    return all(
        names.values.setdefault(t, value) == value for t, value in zip(tokens, match.groups(), strict=True)
    )


def _parts(text: str) -> list[str]:
    parts, at = [], 0
    for found in TOKEN.finditer(text):
        parts += [text[at : found.start()], found[0]]
        at = found.end()
    return [*parts, text[at:]]


def _pattern(part: str) -> str:
    if part.startswith(("<rid:", "<uuid:")):
        return f"({UUID.pattern})"
    return {
        "<queue>": r"https?://[^/]+(?:/queue\.fal\.run)?",
        "<ts>": TIMESTAMP.pattern,
        "<media>": MEDIA.pattern,
        "<sha256>": "[0-9a-f]{64}",
    }.get(part, re.escape(part))
