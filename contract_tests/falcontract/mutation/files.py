"""Mutants of downloads, uploads, tokens and access lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from falcontract.mutation.internals import cdn, errors, uploads
from falcontract.mutation.patching import Answer, Patch, change_header, change_json, change_wire

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


def ranges_are_ignored(patch: Patch) -> None:
    """A range is answered with the whole file."""

    async def serve(original: Any, host: Any, request: Any) -> Any:
        request.scope["headers"] = [pair for pair in request.scope["headers"] if pair[0] != b"range"]
        return await original(host, request)

    patch.around(cdn._Cdn, "serve", serve)


def ranges_end_too_early(patch: Patch) -> None:
    """A range lacks its last byte."""

    def change(answer: Answer) -> None:
        if answer.status == 206:
            answer.body = answer.body[:-1]

    change_wire(patch, change)


def ranges_beyond_the_end_are_empty(patch: Patch) -> None:
    """A range beyond the end is a 206 without bytes."""

    def change(answer: Answer) -> None:
        if answer.status == 416:
            answer.status, answer.body = 206, b""

    change_wire(patch, change)


def heads_have_no_length(patch: Patch) -> None:
    """HEAD of a file has a length of 0."""
    change_header(patch, lambda a: _of_cdn(a) and a.method == "HEAD", "content-length", "0")


def uploads_lose_their_type(patch: Patch) -> None:
    """An uploaded file is served as application/octet-stream."""

    def announce(original: Any, store: Any, **more: Any) -> Any:
        return original(store, **(more | {"content_type": "application/octet-stream"}))

    patch.around(uploads.Uploads, "announce", announce)


def uploads_lose_their_name(patch: Patch) -> None:
    """The URL of an uploaded file has another name."""
    patch.around(uploads, "new_path", lambda original, rng, _, *more: original(rng, "file.txt", *more))


def parts_are_joined_as_they_came(patch: Patch) -> None:
    """The parts of an upload are joined the last first."""

    def join(original: Any, store: Any, folder: Any, parts: list[Any]) -> Any:
        return original(store, folder, parts[::-1])

    patch.around(uploads.Uploads, "_join", join)


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


def puts_have_a_body(patch: Patch) -> None:
    """The PUT of a whole file is answered with JSON."""

    def change(answer: Answer) -> None:
        if answer.method == "PUT" and _of_cdn(answer) and not answer.body:
            answer.body = b"{}"
            answer.headers["content-type"] = "application/json"

    change_wire(patch, change)


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


def digits_are_random(patch: Patch) -> None:
    """The digits in the URL of a file are not its time."""

    def new_path(original: Any, rng: Any, *args: Any) -> str:
        path = str(original(rng, *args))
        return path.replace(path.split("/")[3], f"{rng.getrandbits(32):08x}")

    patch.around(uploads, "new_path", new_path)


def tokens_last_for_ever(patch: Patch) -> None:
    """An upload token does not expire."""

    def claims(_: Any, store: Any, token: str) -> Any:
        found = store._signer.open(token, now=store._now(), lifetime=10**9)
        if found is None:
            raise errors.InvalidToken
        found.pop("until", None)
        return found

    patch.around(uploads.Uploads, "_claims", claims)


def _is_token(answer: Answer) -> bool:
    return answer.path.endswith("/storage/auth/token") and answer.status == 200


def tokens_have_naive_times(patch: Patch) -> None:
    """The times of an upload token have no zone, so that Python cannot compare them."""

    def change(body: dict[str, str]) -> None:
        for name in ("created_at", "expires_at"):
            body[name] = body[name].partition("+")[0]

    change_json(patch, _is_token, change)


def lifetimes_of_tokens_are_ignored(patch: Patch) -> None:
    """Every upload token says that it lasts an hour."""

    def change(body: dict[str, str]) -> None:
        body["expires_at"] = body["created_at"].replace("2026", "2027")

    change_json(patch, _is_token, change)


def uploads_need_no_token(patch: Patch) -> None:
    """A token that is none is accepted."""
    patch.around(uploads.Uploads, "owner", lambda *_: "someone")


def access_lists_are_ignored(patch: Patch) -> None:
    """Every file is public."""
    patch.around(cdn, "decide", lambda original, *args: "allow")


def hidden_files_are_forbidden(patch: Patch) -> None:
    """A hidden file is a 403."""

    def decide(original: Any, *args: Any) -> str:
        return str(original(*args)).replace("hide", "forbid")

    patch.around(cdn, "decide", decide)


def forbidden_files_are_hidden(patch: Patch) -> None:
    """A forbidden file is a 404."""

    def decide(original: Any, *args: Any) -> str:
        return str(original(*args)).replace("forbid", "hide")

    patch.around(cdn, "decide", decide)
