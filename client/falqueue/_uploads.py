"""Bring files to fal's media host (PROTOCOL.md 8.1), and put pictures into inputs.

A token of the rest host opens the media host; small files go in one piece, large ones in parts. Nothing here
is billed, so each request may be sent again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from falqueue._credentials import Credentials, UploadToken
from falqueue._errors import ProtocolError
from falqueue._files import Source, is_file, source_of
from falqueue._replies import json_object, refusal
from falqueue._steps import Ask, Flow, Work

if TYPE_CHECKING:
    from falqueue._hosts import Hosts
    from falqueue._requests import Json, Lifecycle
    from falqueue._sending import Sending

MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Uploads:
    """The upload flows. Sizes in bytes: what travels inside an input, what goes in parts, and their size."""

    hosts: Hosts
    credentials: Credentials
    send: Sending
    inline: int = MEBIBYTE
    whole: int = 100 * MEBIBYTE
    part: int = 10 * MEBIBYTE

    def embed(self, value: Any) -> Flow[Any]:
        """Return `value` with each file in it replaced: a small one by a data URI, a larger by its URL."""
        if is_file(value):
            source = yield Work(partial(source_of, value))
            if source.size <= self.inline:
                return (yield Work(source.data_uri))
            return (yield from self.upload(source, None))
        if isinstance(value, Mapping):
            embedded: Json = {}
            for key, item in value.items():
                embedded[key] = yield from self.embed(item)
            return embedded
        if isinstance(value, list | tuple):
            items = []
            for item in value:
                items.append((yield from self.embed(item)))  # noqa: PERF401 - a yield has no comprehension
            return items
        return value

    def upload(self, source: Source, lifecycle: Lifecycle | None) -> Flow[str]:
        """Upload and return the file's URL."""
        base, token = yield from self._token()
        headers = {"content-type": source.content_type, "x-fal-file-name": _header_safe(source.name)}
        if lifecycle:
            headers["x-fal-object-lifecycle"] = lifecycle.header()
            headers["x-fal-object-lifecycle-preference"] = lifecycle.header()
        if source.size > self.whole:
            return (yield from self._in_parts(source, base, token, headers))
        body = yield from self._json(
            _carry(f"{base}/files/upload", source, start=0, length=source.size, headers=headers, token=token)
        )
        return _text(body, "access_url")

    def _token(self) -> Flow[tuple[str, UploadToken]]:
        body = yield from self._json(
            Ask(
                "POST",
                f"{self.hosts.rest}/storage/auth/token",
                params={"storage_type": "fal-cdn-v3"},
                headers={"content-type": "application/json"},
                content=b"{}",
                auth=self.credentials,
            )
        )
        base = _text(body, "base_url").rstrip("/")
        if not self.hosts.trusts(base):
            base = self.hosts.media
        return base, UploadToken(_text(body, "token_type"), _text(body, "token"))

    def _in_parts(self, source: Source, base: str, token: UploadToken, headers: dict[str, str]) -> Flow[str]:
        begin = Ask("POST", f"{base}/files/upload/multipart", headers=headers, auth=token)
        begun = yield from self._json(begin)
        url = _text(begun, "access_url")
        if not self.hosts.trusts(url):
            raise ProtocolError("the upload was sent to an address that is not fal's")
        address = f"{url}/multipart/{_text(begun, 'uploadId')}"
        parts = []
        for number, start in enumerate(range(0, source.size, self.part), start=1):
            length = min(self.part, source.size - start)
            put = partial(_carry, f"{address}/{number}", source, method="PUT")
            reply = yield from self.send.repeat(put(start=start, length=length, headers=headers, token=token))
            if reply.is_error or "etag" not in reply.headers:
                raise refusal(reply)
            parts.append({"partNumber": number, "etag": reply.headers["etag"]})
        done = json.dumps({"parts": parts}).encode()
        json_headers = {"content-type": "application/json"}
        reply = yield from self.send.repeat(
            Ask("POST", f"{address}/complete", headers=json_headers, content=done, auth=token)
        )
        if not reply.is_success:
            raise refusal(reply)
        return url

    def _json(self, ask: Ask) -> Flow[Json]:
        reply = yield from self.send.repeat(ask)
        if not reply.is_success:
            raise refusal(reply)
        return json_object(reply)


def _carry(
    url: str,
    source: Source,
    *,
    start: int,
    length: int,
    headers: dict[str, str],
    token: UploadToken,
    method: str = "POST",
) -> Ask:
    """Return the request that carries `length` bytes of `source`, read while they are sent."""
    return Ask(
        method,
        url,
        headers=headers | {"content-length": str(length)},
        content=partial(source.pieces, start, length),
        auth=token,
        timeout=None if length > MEBIBYTE else 120.0,
    )


def _text(body: Json, key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not value:
        raise ProtocolError(f"the upload answer has no {key}")
    return value


def _header_safe(name: str) -> str:
    """Return a file name that a header can carry; what is not printable ASCII becomes an underscore."""
    return "".join(char if " " <= char <= "~" else "_" for char in name)
