"""The parts of a page that change, and the differences between two states of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Iterator

Rows = Mapping[str, Markup]


@dataclass(frozen=True, slots=True)
class Regions:
    """The parts of a page that change, as HTML."""

    parts: Mapping[str, Markup] = field(default_factory=dict)  # one element each, by its id
    lists: Mapping[str, Rows] = field(default_factory=dict)  # rows by their ids, in order, by the list's id
    moving: bool = False  # whether a part changes as time passes, without an event

    def rows(self, name: str) -> Markup:
        return Markup("").join(self.lists[name].values())


def changes(before: Regions, after: Regions) -> Markup:
    """Return the differences as htmx reads them, empty for none.

    All parts and lists of `after` are on the page.
    """
    changed = [
        _swap(name, "outerMorph", part)
        for name, part in after.parts.items()
        if part != before.parts.get(name)
    ]
    for name, rows in after.lists.items():
        changed += _row_changes(name, before.lists.get(name), rows)
    return Markup("").join(changed)


def _row_changes(name: str, before: Rows | None, after: Rows) -> Iterator[Markup]:
    kept = [] if before is None else [key for key in before if key in after]
    if before is None or not kept or kept != [key for key in after if key in before]:
        if before is None or list(before.items()) != list(after.items()):
            yield _swap(name, "innerMorph", Markup("").join(after.values()))
        return
    yield from (_swap(key, "delete", Markup("")) for key in before if key not in after)
    yield from (_swap(key, "outerMorph", after[key]) for key in kept if before[key] != after[key])
    last: str | None = None
    for known, keys in groupby(after, before.__contains__):
        run = list(keys)
        if not known:
            rows = Markup("").join(after[key] for key in run)
            yield _swap(name, "afterbegin", rows) if last is None else _swap(last, "afterend", rows)
        last = run[-1]


def _swap(target: str, how: str, content: Markup) -> Markup:
    return Markup('<hx-partial hx-target="#{}" hx-swap="{}">{}</hx-partial>').format(target, how, content)
