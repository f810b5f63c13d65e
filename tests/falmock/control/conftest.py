"""Calls to the control API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx
    from emulated import Mock


@pytest.fixture
def ask(mock: Mock) -> Callable[..., Awaitable[httpx.Response]]:
    """Call the control API: `ask("POST", "/clock", advance=60)` sends a query or a JSON body."""

    async def ask(method: str, path: str, **fields: Any) -> httpx.Response:
        if method in {"GET", "DELETE"}:
            return await mock.http.request(method, f"/control{path}", params=fields)
        return await mock.http.request(method, f"/control{path}", json=fields)

    return ask
