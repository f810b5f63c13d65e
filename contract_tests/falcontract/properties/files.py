"""Files: downloads, uploads, tokens, access lists."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from falcontract.properties.claims import Claims, claim, equal, prop

if TYPE_CHECKING:
    from falcontract.traces import Exchange, Trace

HOSTS: Final = ("hosts",)
# As recorded (PROTOCOL.md 8.3).
SERVED: Final = {
    "cache-control": "public, max-age=5184000, immutable",
    "access-control-allow-origin": "*",
    "x-fal-storage-type": "tigris",
    "accept-ranges": "bytes",
}
PUT: Final = {  # 11.2, without alt-svc and via, which name what an emulator does not have
    "access-control-allow-origin": re.escape("*"),
    "x-fal-backend-id": "[0-9a-f]{32}",
}
SIGNATURE: Final = re.compile(r"signature=[A-Za-z0-9_-]{16}")
FILE: Final = re.compile(r"/files/b/([0-9a-f]{8})/[A-Za-z0-9_-]{21}_(.+)")
TEN: Final = 10  # seconds in a unit of the eight digits of a URL
AHEAD: Final = 12  # units that some recordings are off
STATUS: Final = {"allow": 200, "forbid": 403, "hide": 404}
ZONED: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def _sent(trace: Trace, path: str) -> list[Exchange]:
    return [e for e in trace.of("call") if path in e.step.path]


def _answer(trace: Trace, save: str) -> Exchange | None:
    return next((e for e in trace.of("call") if e.step.save == save), None)


@prop(85, "downloads", tier=5, evidence="PROTOCOL 8.3 (L, N 2026-09; ranges R 2025-02)")
def files_can_be_read_in_parts(trace: Trace) -> Claims:
    """A file has the recorded headers; HEAD has those of GET; a range is a 206 with its bytes."""
    whole = next((e for e in trace.of("fetch") if not e.step.method and not e.step.headers), None)
    if whole is None:
        return
    for e in trace.of("fetch"):
        if e.status in {200, 206}:
            found = {name: e.headers.get(name) for name in SERVED}
            yield equal("headers", found, SERVED, "it has the recorded headers", e)
            yield equal("type", e.headers.get("content-type"), "video/mp4", "it has its content type", e)
        if e.step.method == "HEAD":
            lengths = e.headers.get("content-length"), str(len(whole.body))
            yield equal("head", (e.status, e.body), (200, b""), "HEAD is answered without a body", e)
            yield equal("head-length", *lengths, "HEAD has the length of the file", e)
        elif asked := e.step.headers.get("Range"):
            yield from _is_range(e, asked.removeprefix("bytes="), whole.body)


def _is_range(e: Exchange, asked: str, whole: bytes) -> Claims:
    first, _, last = asked.partition("-")
    start = int(first) if first else len(whole) - int(last)
    end = min(int(last) + 1, len(whole)) if first and last else len(whole)
    if start >= len(whole):
        yield equal("beyond", e.status, 416, "a range beyond the end is a 416", e)
        return
    yield equal("code", e.status, 206, "a range is a 206", e)
    yield claim("bytes", e.body == whole[start:end], "it has the bytes of the range", e, len(e.body))
    text = f"bytes {start}-{end - 1}/{len(whole)}"
    yield equal("content-range", e.headers.get("content-range"), text, "it names the range", e)


@prop(86, "uploads", tier=3, needs=HOSTS, evidence="PROTOCOL 8.1, 8.2 (C, R 2026-04, 2026-07)")
def uploads_can_be_downloaded(trace: Trace) -> Claims:
    """What was uploaded, in each of fal's ways, can be downloaded: the same bytes, type and name."""
    sent = next((e.request_body for e in _sent(trace, "{U.upload_url}")), b"")
    for e in trace.of("call"):
        if e.method != "GET":
            yield claim("accepted", e.ok, "each call of an upload is accepted", e, e.status)
            continue
        yield equal("code", e.status, 200, "the file can be downloaded", e)
        yield equal("bytes", e.body, sent, "it has the bytes that were sent", e)
        kind = e.headers.get("content-type", "").partition(";")[0]
        yield equal("type", kind, "text/plain", "it has the type that was sent", e)
        name = FILE.search(e.url)
        yield claim("form", name, "its URL has fal's form", e, e.url)
        if name:
            kept = re.sub(r"\W+", " ", unquote(name[2]).removesuffix("txt")).strip()
            yield equal("name", kept.replace("_", " "), "notes 1", "its URL has the name", e)
    for e in _sent(trace, "/multipart/{M.uploadId}/1") + _sent(trace, "/multipart/{M.uploadId}/2"):
        yield claim("etag", e.headers.get("etag"), "a part has an ETag, which Python reads", e)
    for e in _sent(trace, "{J.upload_url.path}/"):
        if e.method == "PUT":
            number = int(e.url.partition("?")[0].rpartition("/")[2])
            etag = e.headers.get("etag", "").strip('"')
            text = "a part's JSON has number and ETag, which JS reads"
            yield equal("part", e.json, {"partNumber": number, "etag": e.get("etag")}, text, e)
            yield claim("same", e.get("etag") and etag in {"", e.get("etag")}, text, e, e.json)


@prop(87, "uploads", tier=3, needs=HOSTS, evidence="PROTOCOL 8.2, 8.3, 11.2 (R 2026-04, 2026-07)")
def announced_uploads_have_the_live_form(trace: Trace) -> Claims:
    """upload_url is the file's URL with a signature of 16 characters; the PUT is answered empty."""
    issued = _answer(trace, "T")
    for save in ("U", "J"):
        e = _answer(trace, save)
        if e is None:
            continue
        address, _, query = str(e.get("upload_url")).partition("?")
        yield equal("members", list(e.json or ()), ["file_url", "upload_url"], "it has two members", e)
        yield equal("address", address, e.get("file_url"), "upload_url is the file's URL", e)
        yield claim("signature", SIGNATURE.fullmatch(query), "it has a signature", e, query)
        digits = FILE.search(str(e.get("file_url")))
        if digits and issued is not None and (at := _unix(issued.get("created_at"))) is not None:
            off = int(digits[1], 16) - at // TEN
            yield claim("digits", 0 <= off <= AHEAD, "its digits are the time divided by ten", e, off)
    for e in _sent(trace, "{U.upload_url}"):
        found = e.status, e.body, e.headers.get("content-type"), e.headers.get("etag")
        yield equal("empty", found, (200, b"", None, None), "the PUT has no body, type and ETag", e)
        for name, form in PUT.items():
            value = e.headers.get(name, "")
            yield claim("put", re.fullmatch(form, value), f"the PUT has {name}", e, value)


def _unix(text: Any) -> float | None:
    try:
        return dt.datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None


@prop(
    88,
    "uploads upload-tokens",
    tier=3,
    needs=HOSTS,
    evidence="PROTOCOL 8.1 (C, S): Python compares the times",
)
def upload_tokens_have_an_end(trace: Trace) -> Claims:
    """An upload token names its times with a zone, and is refused after its end; so is a call without one."""
    for e in trace.of("call"):
        if e.step.path == "/storage/auth/token" and e.step.key == "none":
            yield equal("no-key", e.status, 401, "a token needs a key", e)
        elif e.step.path == "/storage/auth/token":
            yield equal("type", e.get("token_type"), "Bearer", "it is a bearer token", e)
            yield claim("base", "v3.fal.media" in str(e.get("base_url")), "it names the CDN", e, e.json)
            for name in ("created_at", "expires_at"):
                value = str(e.get(name))
                yield claim("zone", ZONED.fullmatch(value), f"{name} has a zone", e, value)
            times = _unix(e.get("created_at")), _unix(e.get("expires_at"))
            lasts = (e.step.input or {}).get("expiration_seconds")
            if lasts and None not in times:
                yield equal("lasts", (times[1] or 0) - (times[0] or 0), lasts, "it lasts as asked", e)
    for save, accepted in (("V", True), ("W", False), ("X", False)):
        for e in (e for e in trace.of("call") if e.step.save == save):
            text = "a token is accepted until its end" if accepted else "an upload needs a valid token"
            yield equal("upload", e.ok, accepted, text, e)


@prop(89, "access-lists", tier=3, evidence="PROTOCOL 8.4 (O): allow 200, forbid 403, hide 404")
def access_lists_decide(trace: Trace) -> Claims:
    """The access list of a file decides what a stranger gets: the file, 403 or 404."""
    for e in trace.of("call"):
        if e.method == "GET":
            decision = e.step.path.strip("{}").partition(".")[0].lower()
            yield equal("code", e.status, STATUS.get(decision), f"{decision} is answered so", e)
            secret = e.status == 200 or b"line" not in e.body
            yield claim("secret", secret, "a refusal does not have the content", e)
