"""Inputs that are wrong at one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

WRONG: list[Any] = [
    None,
    True,
    0,
    -1,
    7,
    1.5,
    10**9,
    "",
    "x",
    "5",
    "long " * 20,
    [],
    [None],
    ["x", "y", "z"],
    [1, 2, 3],
    {},
    {"a": "x"},
    {"width": -1, "height": "x", "path": 5, "type": "image"},
]


def spoilt(sample: Any) -> Iterator[Any]:
    """Yield a sample with each of its values, however deep, replaced by each wrong one or left out."""
    yield from WRONG
    if isinstance(sample, dict):
        yield {**sample, "an unknown field": 1}
        for key, value in sample.items():
            yield {other: sample[other] for other in sample if other != key}
            for wrong in spoilt(value):
                yield {**sample, key: wrong}
    elif isinstance(sample, list):
        yield [*sample, *sample, *sample]
        for index, value in enumerate(sample):
            for wrong in spoilt(value):
                yield [*sample[:index], wrong, *sample[index + 1 :]]
