"""Escapes are undone, and spans map back to the original text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from falmock.inspection.known_keys import ROUNDS, views

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
def test_spans_of_an_unescaped_text_map_back_to_their_source(pieces: list[tuple[bytes, bytes]]) -> None:
    written = b"".join(source for source, _ in pieces)
    *_, (data, path) = views(written)

    assert data == b"".join(plain for _, plain in pieces)
    begin = start = 0
    for source, plain in pieces:
        span = (start, start + len(plain))
        if plain and path:
            assert path[0].source(span) == (begin, begin + len(source))
        begin, start = begin + len(source), start + len(plain)


@given(st.binary())
def test_any_bytes_can_be_unescaped_with_spans_inside_the_source(data: bytes) -> None:
    found = list(views(data))

    assert 1 <= len(found) <= ROUNDS + 1
    for undone, path in found:
        for position in range(len(undone)):
            span = (position, position + 1)
            for view in path:
                span = view.source(span)
            assert 0 <= span[0] < span[1] <= len(data)
