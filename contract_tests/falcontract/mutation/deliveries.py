"""Mutants of webhooks on the wire: bytes, headers, keys, address, times."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import TYPE_CHECKING, Any

from falcontract.mutation.internals import errors, posting, signing, webhooks
from falcontract.mutation.patching import planted, replaces

if TYPE_CHECKING:
    from collections.abc import Callable

    from falcontract.mutation.patching import Patch


def _change_bytes(patch: Patch, write: Callable[[Any], bytes]) -> None:
    """Write deliveries in another way, before they are signed."""
    patch.around(webhooks, "payload", lambda original, *args: write(json.loads(original(*args))))


def _change_post(patch: Patch, change: Callable[[str, dict[str, str]], tuple[str, dict[str, str]]]) -> None:
    """Change URL and headers of attempts after they were signed."""

    async def post(original: Any, http: Any, url: str, *, headers: dict[str, str], **more: Any) -> Any:
        url, headers = change(url, headers)
        return await original(http, url, headers=headers, **more)

    patch.around(posting, "post", post)


def deliveries_are_compact(patch: Patch) -> None:
    """The JSON of a delivery has no spaces."""
    _change_bytes(patch, errors.compact)


def deliveries_are_not_sorted(patch: Patch) -> None:
    """The members of a delivery are in the documented order."""
    order = ("request_id", "gateway_request_id", "status", "error", "payload", "payload_error")
    _change_bytes(patch, lambda body: json.dumps({n: body[n] for n in order if n in body}).encode())


@planted(_change_bytes)
def only_the_outer_members_are_sorted(body: Any) -> bytes:
    """The members of the payload are not sorted."""
    return json.dumps({k: _reversed(v) if k == "payload" else v for k, v in sorted(body.items())}).encode()


def _reversed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _reversed(item) for key, item in sorted(value.items(), reverse=True)}
    return [_reversed(item) for item in value] if isinstance(value, list) else value


def deliveries_are_utf_8(patch: Patch) -> None:
    """Letters beyond ASCII are not escaped."""
    _change_bytes(patch, lambda body: json.dumps(body, sort_keys=True, ensure_ascii=False).encode())


@planted(_change_bytes)
def successes_have_no_error(body: Any) -> bytes:
    """The delivery of a success has no member `error`, as documented."""
    if body.get("error", "") is None:
        del body["error"]
    return json.dumps(body, sort_keys=True).encode()


@planted(_change_bytes)
def errors_have_the_old_text(body: Any) -> bytes:
    """The error of a delivery is the documented text."""
    if body.get("error"):
        body["error"] = body["error"].replace("Unexpected", "Invalid")
    return json.dumps(body, sort_keys=True).encode()


def deliveries_name_a_user_agent(patch: Patch) -> None:
    """A delivery has a user agent."""
    _change_post(patch, lambda url, headers: (url, headers | {"User-Agent": "fal"}))


def deliveries_accept_deflate(patch: Patch) -> None:
    """accept-encoding names more than gzip."""
    _change_post(patch, lambda url, headers: (url, headers | {"accept-encoding": "gzip, deflate"}))


def deliveries_have_a_charset(patch: Patch) -> None:
    """The content type of a delivery has a charset."""
    _change_post(
        patch, lambda url, headers: (url, headers | {"Content-Type": "application/json; charset=utf-8"})
    )


def _change_user(patch: Patch, change: Callable[[str], str]) -> None:
    def add(original: Any, *args: Any, user_id: str, **more: Any) -> None:
        original(*args, user_id=change(user_id), **more)

    patch.around(webhooks.Sender, "add", add)


def user_ids_are_key_ids(patch: Patch) -> None:
    """The user id of a delivery is the key id."""
    _change_user(patch, lambda user: f"key|{user[-4:]}")


def all_accounts_are_one_user(patch: Patch) -> None:
    """All accounts have one user id."""
    _change_user(patch, lambda _: "github|1")


@planted(_change_post)
def signatures_are_upper_case(url: str, headers: dict[str, str]) -> tuple[str, dict[str, str]]:
    """The signature is upper-case hex, which a strict receiver refuses."""
    name = "X-Fal-Webhook-Signature"
    return url, headers | {name: headers[name].upper()}


def _change_keys(patch: Patch, change: Callable[[list[dict[str, str]]], list[dict[str, str]]]) -> None:
    patch.around(signing.Signer, "jwks", lambda original, signer: {"keys": change(original(signer)["keys"])})


def keys_have_no_padding(patch: Patch) -> None:
    """x has no padding, which a strict decoder refuses."""
    _change_keys(patch, lambda keys: [key | {"x": key["x"].rstrip("=")} for key in keys])


def keys_are_not_url_safe(patch: Patch) -> None:
    """x is base64 with plus and slash."""

    def change(key: dict[str, str]) -> dict[str, str]:
        raw = base64.urlsafe_b64decode(key["x"])
        return key | {"x": base64.b64encode(raw).decode().rstrip("=")}

    _change_keys(patch, lambda keys: [change(key) for key in keys])


def the_key_set_has_one_key(patch: Patch) -> None:
    """The key set has only the key that signs."""
    _change_keys(patch, lambda keys: keys[-1:])


def keys_have_no_id(patch: Patch) -> None:
    """A key has no kid."""
    _change_keys(patch, lambda keys: [{k: v for k, v in key.items() if k != "kid"} for key in keys])


def keys_have_no_use(patch: Patch) -> None:
    """A key has no use."""
    _change_keys(patch, lambda keys: [{k: v for k, v in key.items() if k != "use"} for key in keys])


def keys_share_an_id(patch: Patch) -> None:
    """Both keys have one id."""
    _change_keys(patch, lambda keys: [key | {"kid": keys[0]["kid"]} for key in keys])


def deliveries_lose_the_query(patch: Patch) -> None:
    """The query of a webhook's URL is not sent."""
    _change_post(patch, lambda url, headers: (url.partition("?")[0], headers))


@planted(_change_post)
def deliveries_lose_the_path(url: str, headers: dict[str, str]) -> tuple[str, dict[str, str]]:
    """A delivery goes to the first segment of the path."""
    head, query, tail = url.partition("?")
    return "/".join(head.split("/")[:4]) + query + tail, headers


def escapes_are_read(patch: Patch) -> None:
    """%2F in a webhook's URL becomes a slash."""
    _change_post(patch, lambda url, headers: (url.replace("%2F", "/").replace("%3D", "="), headers))


@replaces(webhooks, "next_attempt")
def gaps_double(original: Any, attempts: int, now: float, give_up_at: float, *more: Any) -> Any:
    """The gaps between attempts double from one second, at most 128."""
    if original(attempts, now, give_up_at, *more) is None:
        return None
    return now + min(2.0 ** (attempts - 1), 128.0)


class _OneTime:
    """A clock that returns the emulated time for both of its times."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, "now" if name == "wall" else name)


@replaces(webhooks.Sender, "__init__")
def timestamps_are_of_emulated_time(original: Any, sender: Any, resources: Any, **more: Any) -> None:
    """The timestamp of a delivery is emulated time."""
    original(sender, dataclasses.replace(resources, clock=_OneTime(resources.clock)), **more)
