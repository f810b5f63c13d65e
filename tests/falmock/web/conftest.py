"""Reads pages of the emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from markup import tree

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from emulated import Mock
    from markup import Element


@pytest.fixture
def page(mock: Mock) -> Callable[..., Awaitable[Element]]:
    """Return the tree of a page: `page("/", state="failed")`."""

    async def page(path: str = "/", **query: Any) -> Element:
        answer = await mock.http.get(path, params=query or None)
        assert answer.status_code == 200, answer.text
        return tree(answer)

    return page
