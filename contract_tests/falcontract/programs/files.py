"""Programs that download, upload and hide files."""

from __future__ import annotations

import json
from typing import Any, Final

from falcontract.steps import Program, Step, call, fetch, program, result, submit, until, wait

V3: Final = "storage_type=fal-cdn-v3"
RANGES: Final = ("bytes=0-9", "bytes=10-", "bytes=-5", "bytes=99999999-")
CONTENT: Final = "first line\nsecond line\n"
NAME: Final = "notes 1.txt"


def programs() -> list[Program]:
    return [
        program(
            "downloads",
            *(submit(), until("COMPLETED"), result(save="R"), fetch(), fetch(method="HEAD")),
            *(fetch(headers={"Range": given}) for given in RANGES),
            tier=5,
        ),
        program("uploads", *_put(), *_token(), *_parts_of_python(), *_parts_of_javascript(), tier=3),
        program(
            "upload-tokens",
            call("POST", "/storage/auth/token", host="rest", query=V3, input={}, key="none"),
            _issue("T", {"expiration_seconds": 60}),
            *(_upload("V", "T"), wait(70), _upload("W", "T"), _upload("X", "no token")),
            tier=3,
        ),
        program(
            "access-lists",
            *(step for decision in ("allow", "forbid", "hide") for step in _listed(decision)),
            tier=3,
        ),
    ]


def _initiate(save: str, path: str = "initiate", **options: Any) -> Step:
    given = {"file_name": NAME, "content_type": "text/plain"}
    return call("POST", f"/storage/upload/{path}", host="rest", query=V3, input=given, save=save, **options)


def _send(path: str, body: str = CONTENT, **options: Any) -> Step:
    return call("PUT", path, body=body, content_type="text/plain", key="none", **options)


def _get(path: str, **options: Any) -> Step:
    return call("GET", path, key="none", **options)


def _put() -> list[Step]:
    return [_initiate("U"), _send("{U.upload_url}"), _get("{U.file_url}")]


def _issue(save: str, given: dict[str, Any]) -> Step:
    return call("POST", "/storage/auth/token", host="rest", query=V3, input=given, save=save)


def _upload(save: str, token: str, path: str = "/files/upload", body: str = CONTENT) -> Step:
    headers = {"Authorization": f"Bearer {{{token}.token}}", "X-Fal-File-Name": NAME}
    options: dict[str, Any] = {"body": body, "content_type": "text/plain", "save": save}
    return call("POST", path, host="cdn", headers=headers, **options)


def _token() -> list[Step]:
    return [_issue("T", {}), _upload("V", "T"), _get("{V.access_url}")]


def _parts(save: str) -> str:
    parts = ((number, f"{{{save}{number}.etag}}") for number in (1, 2))
    return json.dumps({"parts": [{"partNumber": number, "etag": etag} for number, etag in parts]})


def _parts_of_python() -> list[Step]:
    middle = len(CONTENT) // 2
    at = "{M.access_url}/multipart/{M.uploadId}"
    token = {"Authorization": "Bearer {T.token}"}
    return [
        _upload("M", "T", "/files/upload/multipart", body=""),
        _send(f"{at}/1", CONTENT[:middle], save="P1", headers=token),
        _send(f"{at}/2", CONTENT[middle:], save="P2", headers=token),
        call("POST", f"{at}/complete", body=_parts("P"), headers=token, key="none"),
        _get("{M.access_url}"),
    ]


def _parts_of_javascript() -> list[Step]:
    middle = len(CONTENT) // 2
    at, query = "{J.upload_url.path}", "{J.upload_url.query}"
    return [
        _initiate("J", "initiate-multipart"),
        _send(f"{at}/2", CONTENT[middle:], query=query, save="Q2"),
        _send(f"{at}/1", CONTENT[:middle], query=query, save="Q1"),
        call("POST", f"{at}/complete", body=_parts("Q"), query=query, key="none"),
        _get("{J.file_url}"),
    ]


def _listed(decision: str) -> list[Step]:
    name = decision.upper()
    lifecycle = json.dumps({"initial_acl": {"default": decision, "rules": []}})
    return [
        _initiate(name, headers={"X-Fal-Object-Lifecycle": lifecycle}),
        _send(f"{{{name}.upload_url}}"),
        _get(f"{{{name}.file_url}}"),
    ]
