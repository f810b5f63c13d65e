"""A journal as an HTTP archive (HAR 1.2), which the network tab of a browser opens. Pure.

Times are the emulator's, durations real. What HAR has no word for is in members with an underscore.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from falmock import __version__
from falmock.inspection.journal import Attempt, Exchange, Transition, operation_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from falmock.inspection.journal import Entry, Headers

UNKNOWN: Final = -1  # HAR's own


def archive(entries: Iterable[Entry], dropped: int) -> dict[str, Any]:
    """Return the archive: calls and attempts at webhooks; steps of requests are none of HAR's business."""
    return {"log": head(dropped) | {"entries": told(entries)}}


def head(dropped: int) -> dict[str, Any]:
    """Return what an archive says before its entries."""
    about = {"version": "1.2", "creator": {"name": "falmock", "version": __version__}}
    return about | ({"comment": f"{dropped} older entries are missing"} if dropped else {})


def told(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Return the entries of an archive."""
    return [_entry(each) for each in entries if not isinstance(each, Transition)]


def _entry(entry: Exchange | Attempt) -> dict[str, Any]:
    milliseconds = entry.took * 1000
    return {
        "startedDateTime": datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="milliseconds"),
        "time": milliseconds,
        "request": _call(entry) if isinstance(entry, Exchange) else _delivery(entry),
        "response": _answer(entry),
        "cache": {},
        "timings": {"send": 0, "wait": milliseconds, "receive": 0},
        "_id": entry.id,
        "_operation": operation_of(entry),
        "_request_id": entry.request_id,
        "_test": entry.test,
        "_fault": entry.fault,
        "_error": entry.error,
    }


def _call(call: Exchange) -> dict[str, Any]:
    query = "&".join(f"{name}={value}" for name, value in call.query)
    url = f"https://{call.host}{call.path}" + (f"?{query}" if query else "")
    request = {"method": call.method, "url": url, "queryString": _pairs(call.query)}
    return request | _sent(call.headers, call.input, call.input_size)


def _delivery(attempt: Attempt) -> dict[str, Any]:
    request = {"method": "POST", "url": attempt.url, "queryString": []}
    return request | _sent(attempt.headers, attempt.body, attempt.size)


def _sent(headers: Headers, body: Any, size: int) -> dict[str, Any]:
    sent = {
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(headers),
        "headersSize": UNKNOWN,
        "bodySize": size,
    }
    post = {"postData": {"mimeType": _kind(headers), "params": [], "text": _text(body)}} if size else {}
    return sent | post


def _answer(entry: Exchange | Attempt) -> dict[str, Any]:
    """Return the answer; one that never came has status 0, as browsers write it."""
    size = entry.answer_size if isinstance(entry, Exchange) else len(_text(entry.answer))
    return {
        "status": entry.status or 0,
        "statusText": HTTPStatus(entry.status).phrase if entry.status in set(HTTPStatus) else "",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(entry.answer_headers),
        "content": {
            "size": size,
            "mimeType": _kind(entry.answer_headers),
            "text": _text(entry.answer),
        },
        "redirectURL": dict(entry.answer_headers).get("location", ""),
        "headersSize": UNKNOWN,
        "bodySize": size,
    }


def _pairs(pairs: Headers) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _kind(headers: Headers) -> str:
    return dict(headers).get("content-type", "application/octet-stream")


def _text(body: Any) -> str:
    if body is None:
        return ""
    return body if isinstance(body, str) else json.dumps(body, separators=(",", ":"))
