"""Keys: found where they should be, shown nowhere."""

from __future__ import annotations

import base64
import logging
import traceback
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import falqueue
from falqueue import Client, Credentials

if TYPE_CHECKING:
    from collections.abc import Callable

    import respx

SUBMIT = "https://queue.fal.run/fal-ai/veo2/image-to-video"


def header(credentials: Credentials) -> str | None:
    request = next(credentials.auth_flow(httpx.Request("GET", "https://queue.fal.run")))
    found: str | None = request.headers.get("authorization")
    return found


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"FAL_KEY": "id:secret"}, "Key id:secret"),
        ({"FAL_KEY": "  id:secret\n"}, "Key id:secret"),
        ({"FAL_KEY_ID": "id", "FAL_KEY_SECRET": "secret"}, "Key id:secret"),
        ({"FAL_KEY": "one:key", "FAL_KEY_ID": "id", "FAL_KEY_SECRET": "secret"}, "Key one:key"),
    ],
)
def test_the_key_comes_from_the_environment(environ: dict[str, str], expected: str) -> None:
    assert header(Credentials.from_env(environ)) == expected


@pytest.mark.parametrize("environ", [{}, {"FAL_KEY": ""}, {"FAL_KEY_ID": "id"}, {"FAL_KEY_SECRET": "s"}])
def test_a_missing_key_is_said_at_once(environ: dict[str, str]) -> None:
    with pytest.raises(falqueue.MissingCredentials, match="FAL_KEY"):
        Credentials.from_env(environ)


def test_a_client_without_a_key_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FAL_KEY", "FAL_KEY_ID", "FAL_KEY_SECRET", "FALQUEUE_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(falqueue.MissingCredentials):
        Client()


@pytest.mark.parametrize("key", ["id:sécret", "id:sec ret", "id:sec\nret", "id:\x00", "", "  "])
def test_a_text_that_can_be_no_key_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(falqueue.MissingCredentials) as caught:
        Credentials(key)
    assert not key.strip() or key.strip() not in str(caught.value)


def test_a_local_emulator_needs_no_key() -> None:
    assert header(Credentials.from_env({}, local=True)) is not None


def test_no_key_is_sent_if_none_is_wanted() -> None:
    assert header(Credentials.anonymous()) is None


class Spoken:
    """Everything that a run of a client says."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog, self.said = caplog, ""

    def hear(self, value: object) -> None:
        self.said += f"{value!s} {value!r}"
        if isinstance(value, BaseException):
            self.said += "".join(traceback.format_exception(value))
            frames = [frame for frame, _ in traceback.walk_tb(value.__traceback__)]
            ours = [frame for frame in frames if frame.f_globals["__name__"].startswith("falqueue")]
            assert ours
            self.said += "".join(repr(frame.f_locals) for frame in ours)

    def everything(self) -> str:
        return self.said + self._caplog.text


@pytest.fixture
def spoken(caplog: pytest.LogCaptureFixture) -> Spoken:
    caplog.set_level(logging.DEBUG)
    return Spoken(caplog)


def forms(key: str) -> list[str]:
    """Return the key as it could be written: plain, each half, base64, hex, percent-encoded."""
    key_id, secret = key.split(":")
    return [
        key,
        key_id,
        secret,
        secret.encode().hex(),
        base64.b64encode(key.encode()).decode(),
        f"{key_id}%3A",
    ]


ANSWERS: list[Any] = [
    httpx.Response(401, json={"detail": "No user found for Key ID and Secret"}),
    httpx.Response(422, json={"detail": [{"loc": ["body"], "msg": "No", "type": "missing"}]}),
    httpx.Response(500, text="<html>nginx</html>"),
    httpx.Response(200, text="not json"),
    httpx.ReadError("gone"),
    httpx.ConnectError("refused"),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
def test_a_key_is_in_no_log_and_no_exception(
    door: Client, fal: respx.Router, key: str, spoken: Spoken, answer: Any
) -> None:
    fal.post(SUBMIT).mock(side_effect=[answer] * 10)
    with pytest.raises(falqueue.FalqueueError) as caught:
        door.submit("fal-ai/veo2/image-to-video", {})
    spoken.hear(caught.value)
    assert [form for form in forms(key) if form in spoken.everything()] == []


def test_a_key_is_in_no_repr(open_door: Callable[..., Client], key: str, spoken: Spoken) -> None:
    client = open_door(key)
    for value in (client, vars(client), Credentials(key), vars(client).get("_session"), client.submit):
        spoken.hear(value)
    assert [form for form in forms(key) if form in spoken.everything()] == []
