from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from falmock.media import Document, Renderer, find_ffmpeg
from falmock.media.renderer import Cache

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def document(letter: str, size: int = 100) -> Document:
    return Document(name="a.txt", data=letter.encode() * size)


def renderer(folder: Path, limit: int) -> Renderer:
    return Renderer(ffmpeg=find_ffmpeg(), cache=folder, at_once=2, timeout=60, limit=limit)


def contents(folder: Path) -> set[str]:
    """Return the first letters of all files in the cache."""
    return {path.read_text()[:1] for path in folder.iterdir()}


def test_the_files_used_longest_ago_are_removed_beyond_the_limit(tmp_path: Path) -> None:
    async def main() -> None:
        cached = renderer(tmp_path, 350)
        for letter in "abcadb":
            await cached.render(document(letter))
        assert contents(tmp_path) == {"a", "d", "b"}

    asyncio.run(main())


def test_a_removed_file_is_made_again(tmp_path: Path) -> None:
    async def main() -> None:
        cached = renderer(tmp_path, 150)
        for letter in "aba":
            assert (await cached.render(document(letter))).read_bytes() == document(letter).data

    asyncio.run(main())


def test_a_file_that_is_larger_than_the_limit_stays_until_the_next(tmp_path: Path) -> None:
    async def main() -> None:
        cached = renderer(tmp_path, 50)
        assert (await cached.render(document("a"))).exists()
        assert (await cached.render(document("b"))).exists()
        assert contents(tmp_path) == {"b"}

    asyncio.run(main())


def test_a_held_file_is_not_removed(tmp_path: Path) -> None:
    async def main() -> None:
        cached = renderer(tmp_path, 250)
        async with cached.hold(document("a")) as path:
            for letter in "bcde":
                await cached.render(document(letter))
            assert path.exists()
            assert contents(tmp_path) == {"a", "e"}
        await cached.render(document("f"))
        assert contents(tmp_path) == {"e", "f"}

    asyncio.run(main())


def test_the_file_of_every_caller_exists_when_it_is_returned(tmp_path: Path) -> None:
    """A hundred calls at once share a cache for one file; each links its file, as the CDN does."""

    async def publish(cached: Renderer, number: int) -> bytes:
        rendered = await cached.render(document("abcdefghij"[number % 10]))
        link = tmp_path / f"link-{number}"
        os.link(rendered, link)
        return link.read_bytes()

    async def main() -> None:
        cached = renderer(tmp_path / "cache", 100)
        published = await asyncio.gather(*(publish(cached, number) for number in range(100)))
        assert published == [document("abcdefghij"[number % 10]).data for number in range(100)]

    asyncio.run(main())


def test_a_published_file_survives_its_removal_from_the_cache(tmp_path: Path) -> None:
    async def main() -> None:
        cached = renderer(tmp_path / "cache", 100)
        os.link(await cached.render(document("a")), tmp_path / "link")
        await cached.render(document("b"))

    asyncio.run(main())
    assert (tmp_path / "link").read_bytes() == document("a").data
    assert contents(tmp_path / "cache") == {"b"}


def test_a_new_renderer_knows_the_files_of_an_earlier_one_and_their_order(tmp_path: Path) -> None:
    async def main() -> None:
        first = renderer(tmp_path, 1000)
        for number, letter in enumerate("abc"):
            os.utime(await first.render(document(letter)), (number, number))
        await first.render(document("a"))
        await renderer(tmp_path, 300).render(document("d"))
        assert contents(tmp_path) == {"c", "a", "d"}

    asyncio.run(main())


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 9), st.booleans()), max_size=30),
    st.integers(0, 30),
)
def test_a_cache_is_within_its_limit_but_for_held_files_and_the_newest(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, bool]], limit: int
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    cache = Cache(folder, limit)
    for name, size, new in steps:
        with cache.held(name):
            if new:
                cache.path(name).write_bytes(bytes(size))
                removed = cache.add(name)
                assert name not in removed
                assert not any(cache.path(other).exists() for other in removed)
                sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
                assert sum(sizes.values()) <= limit or set(sizes) == {name}
            else:
                cache.use(name)
