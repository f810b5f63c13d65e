"""A way to ask the control API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx
    from emulated import Mock


@pytest.fixture
def ask(mock: Mock) -> Callable[..., Awaitable[httpx.Response]]:
    """Ask as `ask("POST", "/clock", advance=60)`."""

    async def ask(method: str, path: str, **asked: Any) -> httpx.Response:
        if method in {"GET", "DELETE"}:
            return await mock.http.request(method, f"/control{path}", params=asked)
        return await mock.http.request(method, f"/control{path}", json=asked)

    return ask
