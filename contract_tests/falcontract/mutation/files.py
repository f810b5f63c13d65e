"""Mutants of downloads, uploads, tokens and access lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from falcontract.mutation.internals import cdn, errors, uploads
from falcontract.mutation.patching import (
    Answer,
    Patch,
    change_header,
    change_json,
    change_wire,
    planted,
    replaces,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def _of_cdn(answer: Answer) -> bool:
    return "fal.media/files/" in answer.path


def _is_download(answer: Answer) -> bool:
    return _of_cdn(answer) and answer.method in {"GET", "HEAD"}


def files_are_not_cached(patch: Patch) -> None:
    """A file may not be cached."""
    change_header(patch, _is_download, "cache-control", "no-store")


def files_are_for_one_origin(patch: Patch) -> None:
    """A file has no access-control-allow-origin."""
    change_header(patch, _is_download, "access-control-allow-origin", None)


def files_do_not_name_their_storage(patch: Patch) -> None:
    """A file has no x-fal-storage-type."""
    change_header(patch, _is_download, "x-fal-storage-type", None)


def files_do_not_announce_ranges(patch: Patch) -> None:
    """A file has no accept-ranges."""
    change_header(patch, _is_download, "accept-ranges", None)


@replaces(cdn._Cdn, "serve")
async def ranges_are_ignored(original: Any, host: Any, request: Any) -> Any:
    """A range is answered with the whole file."""
    request.scope["headers"] = [pair for pair in request.scope["headers"] if pair[0] != b"range"]
    return await original(host, request)


@planted(change_wire)
def ranges_end_too_early(answer: Answer) -> None:
    """A range lacks its last byte."""
    if answer.status == 206:
        answer.body = answer.body[:-1]


@planted(change_wire)
def ranges_beyond_the_end_are_empty(answer: Answer) -> None:
    """A range beyond the end is a 206 without bytes."""
    if answer.status == 416:
        answer.status, answer.body = 206, b""


def heads_have_no_length(patch: Patch) -> None:
    """HEAD of a file has a length of 0."""
    change_header(patch, lambda a: _of_cdn(a) and a.method == "HEAD", "content-length", "0")


@replaces(uploads.Uploads, "announce")
def uploads_lose_their_type(original: Any, store: Any, **more: Any) -> Any:
    """An uploaded file is served as application/octet-stream."""
    return original(store, **(more | {"content_type": "application/octet-stream"}))


def uploads_lose_their_name(patch: Patch) -> None:
    """The URL of an uploaded file has another name."""
    patch.around(uploads, "new_path", lambda original, rng, _, *more: original(rng, "file.txt", *more))


@replaces(uploads.Uploads, "_join")
def parts_are_joined_as_they_came(original: Any, store: Any, folder: Any, parts: list[Any]) -> Any:
    """The parts of an upload are joined the last first."""
    return original(store, folder, parts[::-1])


def parts_have_no_etag(patch: Patch) -> None:
    """A part has no ETag header, which Python needs."""
    change_header(patch, lambda a: "/multipart/" in a.path and a.method == "PUT", "etag", None)


def _numbered_from_zero(part: dict[str, Any]) -> dict[str, Any]:
    return part | {"partNumber": part["partNumber"] - 1}


def parts_are_numbered_from_zero(patch: Patch) -> None:
    """The JSON of a part has the number less one."""
    change_json(
        patch,
        lambda a: a.method == "PUT" and _of_cdn(a) and b"partNumber" in a.body,
        _numbered_from_zero,
    )


@planted(change_wire)
def puts_have_a_body(answer: Answer) -> None:
    """The PUT of a whole file is answered with JSON."""
    if answer.method == "PUT" and _of_cdn(answer) and not answer.body:
        answer.body = b"{}"
        answer.headers["content-type"] = "application/json"


def puts_have_an_etag(patch: Patch) -> None:
    """The PUT of a whole file has an ETag."""
    change_header(patch, lambda a: a.method == "PUT" and _of_cdn(a), "etag", '"0"')


def puts_do_not_name_their_backend(patch: Patch) -> None:
    """The PUT of a file has no x-fal-backend-id."""
    change_header(patch, lambda a: a.method == "PUT" and _of_cdn(a), "x-fal-backend-id", None)


def _change_announcement(patch: Patch, change: Callable[[dict[str, str]], object]) -> None:
    change_json(patch, lambda a: "/storage/upload/" in a.path and a.status == 200, change)


def signatures_are_longer(patch: Patch) -> None:
    """The signature of an upload_url has 18 characters."""
    _change_announcement(patch, lambda body: body.update(upload_url=body["upload_url"] + "xx"))


def announcements_have_a_lifetime(patch: Patch) -> None:
    """The answer to initiate has one more member."""
    _change_announcement(patch, lambda body: body | {"expires_in": "3600"})


@replaces(uploads, "new_path")
def digits_are_random(original: Any, rng: Any, *args: Any) -> str:
    """The digits in the URL of a file are not its time."""
    path = str(original(rng, *args))
    return path.replace(path.split("/")[3], f"{rng.getrandbits(32):08x}")


@replaces(uploads.Uploads, "_claims")
def tokens_last_for_ever(_: Any, store: Any, token: str) -> Any:
    """An upload token does not expire."""
    found = store._signer.open(token, now=store._now(), lifetime=10**9)
    if found is None:
        raise errors.InvalidToken
    found.pop("until", None)
    return found


def _is_token(answer: Answer) -> bool:
    return answer.path.endswith("/storage/auth/token") and answer.status == 200


@planted(change_json, _is_token)
def tokens_have_naive_times(body: dict[str, str]) -> None:
    """The times of an upload token have no zone, so that Python cannot compare them."""
    for name in ("created_at", "expires_at"):
        body[name] = body[name].partition("+")[0]


@planted(change_json, _is_token)
def lifetimes_of_tokens_are_ignored(body: dict[str, str]) -> None:
    """Every upload token says that it lasts an hour."""
    body["expires_at"] = body["created_at"].replace("2026", "2027")


def uploads_need_no_token(patch: Patch) -> None:
    """A token that is none is accepted."""
    patch.around(uploads.Uploads, "owner", lambda *_: "someone")


def access_lists_are_ignored(patch: Patch) -> None:
    """Every file is public."""
    patch.around(cdn, "decide", lambda original, *args: "allow")


@replaces(cdn, "decide")
def hidden_files_are_forbidden(original: Any, *args: Any) -> str:
    """A hidden file is a 403."""
    return str(original(*args)).replace("hide", "forbid")


@replaces(cdn, "decide")
def forbidden_files_are_hidden(original: Any, *args: Any) -> str:
    """A forbidden file is a 404."""
    return str(original(*args)).replace("forbid", "hide")
