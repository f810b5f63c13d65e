"""A journal as an HTTP archive (HAR 1.2), which the network tab of a browser opens. Pure.

Times are on the emulator's clock, durations are real. Names with an underscore are falmock's own.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from falmock import __version__
from falmock.inspection.entries import Exchange
from falmock.inspection.recorded import Transition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from falmock.inspection.entries import Attempt, Headers, JournalEntry

UNKNOWN: Final = -1  # as HAR defines it


def head(dropped: int) -> dict[str, Any]:
    """Return the members of the HAR log but its entries."""
    about = {"version": "1.2", "creator": {"name": "falmock", "version": __version__}}
    return about | ({"comment": f"{dropped} older entries are missing"} if dropped else {})


def archive(entries: Iterable[JournalEntry], dropped: int) -> dict[str, Any]:
    """Return a complete HTTP archive."""
    return {"log": head(dropped) | {"entries": archived(entries)}}


def archived(entries: Iterable[JournalEntry]) -> list[dict[str, Any]]:
    """Return entries in HAR's form, transitions left out."""
    return [_entry(entry) for entry in entries if not isinstance(entry, Transition)]


def _entry(entry: Exchange | Attempt) -> dict[str, Any]:
    milliseconds = entry.took * 1000
    return {
        "startedDateTime": datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="milliseconds"),
        "time": milliseconds,
        "request": _call(entry) if isinstance(entry, Exchange) else _delivery(entry),
        "response": _response(entry),
        "cache": {},
        "timings": {"send": 0, "wait": milliseconds, "receive": 0},
        "_id": entry.id,
        "_operation": entry.operation,
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
    post = {"postData": {"mimeType": _media_type(headers), "params": [], "text": _text(body)}} if size else {}
    return _message(headers, size) | post


def _response(entry: Exchange | Attempt) -> dict[str, Any]:
    """Return the response; its status is 0 without a response, as in browsers."""
    size = entry.answer_size if isinstance(entry, Exchange) else len(_text(entry.answer))
    return {
        "status": entry.status or 0,
        "statusText": HTTPStatus(entry.status).phrase if entry.status in set(HTTPStatus) else "",
        "content": {
            "size": size,
            "mimeType": _media_type(entry.answer_headers),
            "text": _text(entry.answer),
        },
        "redirectURL": dict(entry.answer_headers).get("location", ""),
    } | _message(entry.answer_headers, size)


def _message(headers: Headers, size: int) -> dict[str, Any]:
    """Return the members that requests and responses share."""
    return {
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(headers),
        "headersSize": UNKNOWN,
        "bodySize": size,
    }


def _pairs(pairs: Headers) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _media_type(headers: Headers) -> str:
    return dict(headers).get("content-type", "application/octet-stream")


def _text(body: Any) -> str:
    if body is None:
        return ""
    return body if isinstance(body, str) else json.dumps(body, separators=(",", ":"))
