"""The endpoints that come with falmock: those of `data/checked.json`, and the others of `data/listed.jsonl`.

An endpoint is parsed for each call of `entry`; before, only its place is known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from falmock.catalogue import notation

if TYPE_CHECKING:
    from collections.abc import Collection

    from falmock.catalogue.entries import Entry, Json

DATA: Final = Path(__file__).parent / "data"
CHECKED: Final = DATA / "checked.json"
LISTED: Final = DATA / "listed.jsonl"

_HEADS: Final = {  # end where the object of an endpoint or of a type starts; a search for `^` is slower
    CHECKED: re.compile(rb'\n    "([^"\n]+)": (?={\n)'),
    LISTED: re.compile(rb'\n(?={"(?:endpoint|type)":"([^"\n]+)")'),
}
_decode = json.JSONDecoder().raw_decode


class _Objects(Mapping[str, Any]):
    """The endpoints and the types of a data file by name."""

    def __init__(self, path: Path) -> None:
        # Kept as bytes, because a request that starts may find no file descriptor left.
        self._data = path.read_bytes()
        found = list(_HEADS[path].finditer(self._data))
        ends = [*(match.end() for match in found[1:]), len(self._data)]
        self._places = {
            match[1].decode(): (match.end(), end) for match, end in zip(found, ends, strict=False)
        }

    def __getitem__(self, name: str) -> Json:
        start, end = self._places[name]
        value, _ = _decode(self._data[start:end].decode())
        return value  # type: ignore[no-any-return]

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


@cache
def _files() -> tuple[_Objects, ...]:
    return tuple(_Objects(path) for path in (CHECKED, LISTED))


@cache
def ids() -> Collection[str]:
    """Return the ids of all endpoints, the checked ones first. Only they have a slash in their names."""
    return {name: None for file in _files() for name in file if "/" in name}.keys()


def entry(endpoint: str) -> Entry | None:
    """Return the entry of an endpoint, or None."""
    for file in _files():
        if endpoint in file and "/" in endpoint:
            return notation.entry(endpoint, file[endpoint], file)
    return None
