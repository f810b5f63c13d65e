from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from falmock.protocol import urls


@pytest.mark.parametrize("url", ["http://localhost:1/a?b#c", "", "//x", "a" * urls.LONGEST])
def test_url_is_split_as_by_the_standard_library(url: str) -> None:
    assert urls.split(url) == urlsplit(url)


@pytest.mark.parametrize("url", ["a" * (urls.LONGEST + 1), "data:,x", "DATA:image/png;base64,AA"])
def test_long_url_or_data_uri_is_refused_and_not_cached(url: str) -> None:
    info = urlsplit.cache_info  # type: ignore[attr-defined]  # typeshed does not know that it is cached
    before = info()

    with pytest.raises(ValueError, match="data URI"):
        urls.split(url)

    assert info() == before
