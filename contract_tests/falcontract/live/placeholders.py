"""Typed placeholders for values that differ from run to run, so that the rest can be compared exactly.

"<rid:1>" is a request id, the same one wherever it appears; "<float>" is a number of seconds. A value that
was simply left out could be anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from falcontract.model.published import UUID

TOKEN: Final = re.compile(
    r"<(?:(?P<numbered>rid|uuid):(?P<number>\d+)|(?P<plain>queue|ts|float|int|media|sha256|logs|hex|digits))>"
)
TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?")
ANY_UUID: Final = re.compile(UUID.pattern)
MEDIA: Final = re.compile(r"https?://[^\s\"]*fal\.media/files/[^\s\"]*")
QUEUE: Final = "https://queue.fal.run"
NUMBERED: Final = ("<rid:", "<uuid:")
# Numbers that depend on the run, by their key.
VOLATILE: Final = {"inference_time": "<float>", "file_size": "<int>", "seed": "<int>"}
LOGS: Final = "<logs>"  # the lines depend on the runner
SAMPLE_TIME: Final = "2026-02-17T10:30:01.123456"
SAMPLE_LINE: Final = {"timestamp": SAMPLE_TIME, "message": "x", "labels": {"level": "INFO"}}
SAMPLE_VALUES: Final = {
    "<float>": 1.5,
    "<int>": 7,
    LOGS: [SAMPLE_LINE, SAMPLE_LINE | {"message": "y"}],
}
SAMPLE_TEXTS: Final = {
    "queue": QUEUE,
    "ts": SAMPLE_TIME,
    "media": "https://v3b.fal.media/files/b/0/x.mp4",
    "hex": "0" * 128,
    "digits": "12345",
}


@dataclass
class Bindings:
    """The values of numbered placeholders."""

    values: dict[str, str] = field(default_factory=dict)

    def token(self, value: str, kind: str) -> str:
        """Return the placeholder of a value, or a new one."""
        for token, known in self.values.items():
            if known == value:
                return token
        token = f"<{kind}:{sum(name.startswith(f'<{kind}:') for name in self.values) + 1}>"
        self.values[token] = value
        return token


def hide(value: Any, *, base: str, names: Bindings, key: str = "") -> Any:
    """Replace volatile parts of a JSON value by placeholders; `key` is the member that has the value."""
    if isinstance(value, dict):
        return {name: hide(item, base=base, names=names, key=name) for name, item in value.items()}
    if isinstance(value, list):
        return LOGS if key == "logs" else [hide(item, base=base, names=names, key=key) for item in value]
    if isinstance(value, str):
        return hide_text(value, base=base, names=names)
    if key in VOLATILE and isinstance(value, int | float) and not isinstance(value, bool):
        return VOLATILE[key]
    return value


def hide_text(text: str, *, base: str, names: Bindings) -> str:
    """Replace addresses, ids and times in a text by placeholders."""
    text = MEDIA.sub("<media>", text.replace(base, "<queue>").replace(QUEUE, "<queue>"))
    text = TIMESTAMP.sub("<ts>", text)
    return ANY_UUID.sub(lambda found: names.token(found[0], "uuid"), text)


def fill(value: Any) -> Any:
    """Replace placeholders in a JSON value by samples."""
    if isinstance(value, dict):
        return {name: fill(item) for name, item in value.items()}
    if isinstance(value, list):
        return [fill(item) for item in value]
    if isinstance(value, str) and value in SAMPLE_VALUES:
        return SAMPLE_VALUES[value]
    return TOKEN.sub(_sample, value) if isinstance(value, str) else value


def _sample(found: re.Match[str]) -> str:
    if found["plain"]:
        return SAMPLE_TEXTS.get(found["plain"], "0" * 64)
    kind, version = (0, 7) if found["numbered"] == "rid" else (1, 4)
    return f"019e000{kind}-0000-{version}000-8000-{int(found['number']):012x}"


@dataclass(frozen=True)
class Difference:
    path: str
    expected: Any
    found: Any

    def __str__(self) -> str:
        return f"{self.path or '(root)'}: expected {self.expected!r}, found {self.found!r}"


ABSENT: Final = "(absent)"


def differences(expected: Any, found: Any, names: Bindings, path: str = "") -> list[Difference]:
    """Compare a value with placeholders to a real one; the order of keys counts."""
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
    match = re.fullmatch("".join(_pattern(part) for part in _parts(expected)), found)
    if match is None:
        return False
    tokens = [part for part in _parts(expected) if part.startswith(NUMBERED)]
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
    if part.startswith(NUMBERED):
        return f"({UUID.pattern})"
    return {
        "<queue>": r"https?://[^/]+(?:/queue\.fal\.run)?",
        "<ts>": TIMESTAMP.pattern,
        "<media>": MEDIA.pattern,
        "<sha256>": "[0-9a-f]{64}",
        "<hex>": "[0-9a-f]+",
        "<digits>": "[0-9]+",
    }.get(part, re.escape(part))
