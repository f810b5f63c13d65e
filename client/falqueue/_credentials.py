"""Keys: where they come from, and that they show up nowhere but in the one header."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

import httpx

from falqueue._errors import MissingCredentials

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

LOCAL_KEY: Final = "00000000-0000-4000-8000-000000000000:" + "0" * 32


class Credentials(httpx.Auth):
    """A fal key, put on a request at the last moment, so that no header that anybody prints has it.

    Raises:
        MissingCredentials: the text is empty or cannot be a header; the message does not repeat it.

    >>> Credentials("key-id:key-secret")
    Credentials(...)
    """

    __slots__ = ("_header",)

    def __init__(self, key: str) -> None:
        key = key.strip()
        if not re.fullmatch(r"[!-~]+", key):
            raise MissingCredentials("the key is empty or has characters that no key has")
        self._header: str | None = f"Key {key}"

    @classmethod
    def anonymous(cls) -> Credentials:
        """Return what sends no key at all, for the few calls that fal answers without one."""
        anonymous = cls("anonymous")
        anonymous._header = None
        return anonymous

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ, *, local: bool = False) -> Credentials:
        """Read `FAL_KEY`, else `FAL_KEY_ID` and `FAL_KEY_SECRET`. A `local` emulator needs none.

        Raises:
            MissingCredentials: neither is set.

        >>> Credentials.from_env({"FAL_KEY": "key-id:key-secret"})
        Credentials(...)
        """
        if key := environ.get("FAL_KEY"):
            return cls(key)
        key_id, secret = environ.get("FAL_KEY_ID"), environ.get("FAL_KEY_SECRET")
        if key_id and secret:
            return cls(f"{key_id}:{secret}")
        if local:
            return cls(LOCAL_KEY)
        raise MissingCredentials("no key: set FAL_KEY, or FAL_KEY_ID and FAL_KEY_SECRET, or pass credentials")

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Put the key on `request`."""
        if self._header:
            request.headers["authorization"] = self._header
        yield request

    def __repr__(self) -> str:
        return "Credentials(...)"


class UploadToken(Credentials):
    """The short-lived token that the media host takes instead of the key."""

    def __init__(self, token_type: str, token: str) -> None:
        super().__init__(token)
        self._header = f"{token_type} {token}"
