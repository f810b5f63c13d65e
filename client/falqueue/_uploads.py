"""Uploads to fal's media host (PROTOCOL.md 8.1), and files inside inputs.

The rest host issues a token for the media host. Small files are sent in one request, large ones in parts.
Uploads are free, so each request may be sent again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from falqueue._credentials import Credentials, UploadToken
from falqueue._errors import ProtocolError
from falqueue._files import Source, is_file, source_of
from falqueue._responses import json_object, refusal
from falqueue._steps import Flow, HttpRequest, RunBlocking

if TYPE_CHECKING:
    import httpx

    from falqueue._hosts import Hosts
    from falqueue._requests import Lifecycle
    from falqueue._sending import Sender
    from falqueue._types import Json

MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Uploads:
    """Limits in bytes: files up to `inline` are put into the input; files above `whole` are sent in parts."""

    hosts: Hosts
    credentials: Credentials
    sender: Sender
    inline: int = MEBIBYTE
    whole: int = 100 * MEBIBYTE
    part: int = 10 * MEBIBYTE

    def embed(self, value: Any) -> Flow[Any]:
        """Return `value` with small files replaced by data URIs and larger ones by URLs of uploads."""
        if is_file(value):
            source = yield RunBlocking(partial(source_of, value))
            if source.size <= self.inline:
                return (yield RunBlocking(source.data_uri))
            return (yield from self.upload(source, None))
        if isinstance(value, Mapping):
            embedded: Json = {}
            for key, item in value.items():
                embedded[key] = yield from self.embed(item)
            return embedded
        if isinstance(value, list | tuple):
            items = []
            for item in value:
                items.append((yield from self.embed(item)))  # noqa: PERF401 - a comprehension cannot yield
            return items
        return value

    def upload(self, source: Source, lifecycle: Lifecycle | None) -> Flow[str]:
        base, token = yield from self._token()
        headers = {"content-type": source.content_type, "x-fal-file-name": _header_safe(source.name)}
        if lifecycle:
            headers["x-fal-object-lifecycle"] = lifecycle.header()
            headers["x-fal-object-lifecycle-preference"] = lifecycle.header()
        if source.size > self.whole:
            return (yield from self._in_parts(source, base, token, headers))
        request = HttpRequest("POST", f"{base}/files/upload", headers=headers, auth=token)
        body = yield from self._json(_with_content(request, source, 0, source.size))
        return _text(body, "access_url")

    def _token(self) -> Flow[tuple[str, UploadToken]]:
        body = yield from self._json(
            HttpRequest(
                "POST",
                f"{self.hosts.rest}/storage/auth/token",
                params={"storage_type": "fal-cdn-v3"},
                headers={"content-type": "application/json"},
                content=b"{}",
                auth=self.credentials,
            )
        )
        base = _text(body, "base_url").rstrip("/")
        if not self.hosts.may_receive_upload_token(base):
            base = self.hosts.media
        return base, UploadToken(_text(body, "token_type"), _text(body, "token"))

    def _in_parts(self, source: Source, base: str, token: UploadToken, headers: dict[str, str]) -> Flow[str]:
        begin = HttpRequest("POST", f"{base}/files/upload/multipart", headers=headers, auth=token)
        started = yield from self._json(begin)
        url = _text(started, "access_url")
        if not self.hosts.may_receive_upload_token(url):
            raise ProtocolError("the upload URL is not on one of fal's hosts")
        address = f"{url}/multipart/{_text(started, 'uploadId')}"
        parts = []
        for number, start in enumerate(range(0, source.size, self.part), start=1):
            length = min(self.part, source.size - start)
            request = HttpRequest("PUT", f"{address}/{number}", headers=headers, auth=token)
            response = yield from self.sender.repeat(_with_content(request, source, start, length))
            if not response.is_success or "etag" not in response.headers:
                raise refusal(response)
            parts.append({"partNumber": number, "etag": response.headers["etag"]})
        yield from self._send(
            HttpRequest(
                "POST",
                f"{address}/complete",
                headers={"content-type": "application/json"},
                content=json.dumps({"parts": parts}).encode(),
                auth=token,
            )
        )
        return url

    def _send(self, request: HttpRequest) -> Flow[httpx.Response]:
        response = yield from self.sender.repeat(request)
        if not response.is_success:
            raise refusal(response)
        return response

    def _json(self, request: HttpRequest) -> Flow[Json]:
        return json_object((yield from self._send(request)))


def _with_content(request: HttpRequest, source: Source, start: int, length: int) -> HttpRequest:
    """Return `request` with `length` bytes of `source` as its body, which are read while it is sent."""
    return replace(
        request,
        headers={**request.headers, "content-length": str(length)},
        content=partial(source.chunks, start, length),
        timeout=None if length > MEBIBYTE else 120.0,
    )


def _text(body: Json, key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not value:
        raise ProtocolError(f"the upload response has no {key}")
    return value


def _header_safe(name: str) -> str:
    """Replace everything but printable ASCII by underscores."""
    return "".join(char if " " <= char <= "~" else "_" for char in name)
