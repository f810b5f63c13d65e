"""Escapes are undone, and each byte leads back to where it came from."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from falmock.inspection.escapes import ROUNDS, views

ESCAPED = st.sampled_from(
    [
        (b"%3A", b":"),
        (b"%3a", b":"),
        (rb"\u003a", b":"),
        (rb"\u00e9", "é".encode()),
        (rb"\/", b"/"),
        (rb"\"", b'"'),
    ]
)
PLAIN = st.text(st.characters(exclude_characters="%\\", exclude_categories=["Cs"])).map(
    lambda text: (text.encode(), text.encode())
)


@given(st.lists(ESCAPED | PLAIN, max_size=12))
def test_each_piece_leads_back_to_its_source(pieces: list[tuple[bytes, bytes]]) -> None:
    written = b"".join(source for source, _ in pieces)
    *_, (data, way) = views(written)

    assert data == b"".join(meant for _, meant in pieces)
    begin = start = 0
    for source, meant in pieces:
        span = (start, start + len(meant))
        if meant and way:
            assert way[0].source(span) == (begin, begin + len(source))
        begin, start = begin + len(source), start + len(meant)


@given(st.binary())
def test_anything_can_be_looked_at(data: bytes) -> None:
    seen = list(views(data))

    assert 1 <= len(seen) <= ROUNDS + 1
    for undone, way in seen:
        for position in range(len(undone)):
            span = (position, position + 1)
            for view in way:
                span = view.source(span)
            assert 0 <= span[0] < span[1] <= len(data)
