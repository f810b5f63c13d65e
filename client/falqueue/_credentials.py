"""API keys: read from the environment, sent in one header, and not shown in any text."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

import httpx

from falqueue._errors import MissingCredentials, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

LOCAL_KEY: Final = "00000000-0000-4000-8000-000000000000:" + "0" * 32
VISIBLE_ASCII: Final = re.compile(r"[!-~]+")


class Credentials(httpx.Auth):
    """A fal key. httpx adds it when the request is sent, so it is not in any headers that are logged.

    Raises:
        MissingCredentials: the text is empty or cannot be a header. The message does not repeat it.

    >>> Credentials("key-id:key-secret")
    Credentials(...)
    """

    __slots__ = ("_header",)

    def __init__(self, key: str) -> None:
        key = key.strip()
        if not VISIBLE_ASCII.fullmatch(key):
            raise MissingCredentials("the key is empty or contains characters that no key has")
        self._header: str | None = f"Key {key}"

    @classmethod
    def anonymous(cls) -> Credentials:
        """Return credentials that send no key, for the few calls that need none."""
        anonymous = cls("anonymous")
        anonymous._header = None
        return anonymous

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ, *, local: bool = False) -> Credentials:
        """Read `FAL_KEY`, or else `FAL_KEY_ID` and `FAL_KEY_SECRET`. A `local` emulator needs neither.

        Raises:
            MissingCredentials: they are not set.

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
        if self._header:
            request.headers["authorization"] = self._header
        yield request

    def __repr__(self) -> str:
        return "Credentials(...)"


class UploadToken(Credentials):
    """The short-lived token that the media host takes instead of the key."""

    def __init__(self, token_type: str, token: str) -> None:
        if not VISIBLE_ASCII.fullmatch(token_type) or not VISIBLE_ASCII.fullmatch(token):
            raise ProtocolError("the upload token cannot be sent in a header")
        self._header = f"{token_type} {token}"
