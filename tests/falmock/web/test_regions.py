"""The differences between two looks at a page, applied as htmx applies them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from falmock.web.live import Regions, changes

PARTIAL = re.compile(r'<hx-partial hx-target="#(\S+)" hx-swap="(\w+)">(.*?)</hx-partial>')
ROW = re.compile(r'<li id="(\S+)">(\d+)</li>')


def listed(rows: dict[str, int]) -> Regions:
    row = Markup('<li id="{}">{}</li>')
    return Regions(lists={"list": {key: row.format(key, text) for key, text in rows.items()}})


def apply(rows: dict[str, int], partials: str) -> dict[str, int]:
    """Return the rows of a page after the partials."""
    shown = list(rows.items())
    for target, how, content in PARTIAL.findall(partials):
        new = [(key, int(text)) for key, text in ROW.findall(content)]
        place = next((n for n, (key, _) in enumerate(shown) if key == target), 0)
        if how == "innerMorph":
            shown = new
        elif how == "delete":
            del shown[place]
        elif how == "outerMorph":
            shown[place : place + 1] = new
        elif how == "afterbegin":
            shown = new + shown
        else:
            assert how == "afterend"
            shown[place + 1 : place + 1] = new
    assert len(dict(shown)) == len(shown)
    return dict(shown)


rows = st.dictionaries(st.sampled_from([f"r-{n}" for n in range(9)]), st.integers(0, 3))


@given(rows, rows)
def test_the_changes_of_a_list_lead_from_one_look_to_the_next(
    before: dict[str, int], after: dict[str, int]
) -> None:
    shown = apply(before, changes(listed(before), listed(after)))

    assert list(shown.items()) == list(after.items())


@pytest.mark.parametrize("regions", [Regions(), listed({"r-1": 1}), Regions({"count": Markup("<p></p>")})])
def test_equal_looks_have_no_changes(regions: Regions) -> None:
    assert changes(regions, regions) == ""


def test_only_changed_rows_are_sent() -> None:
    before = {f"r-{n}": n for n in range(50)}

    sent = changes(listed(before), listed({"new": 1, **before, "r-7": 0}))

    assert [how for _, how, _ in PARTIAL.findall(sent)] == ["outerMorph", "afterbegin"]


def test_only_changed_parts_are_sent() -> None:
    one, two = Markup('<p id="a">1</p>'), Markup('<p id="b">1</p>')

    sent = changes(Regions({"a": one, "b": two}), Regions({"a": one, "b": Markup('<p id="b">2</p>')}))

    assert PARTIAL.findall(sent) == [("b", "outerMorph", '<p id="b">2</p>')]
