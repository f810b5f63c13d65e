"""Keys: where they are read, and that they appear nowhere."""

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
def test_the_key_is_read_from_the_environment(environ: dict[str, str], expected: str) -> None:
    assert header(Credentials.from_env(environ)) == expected


@pytest.mark.parametrize("environ", [{}, {"FAL_KEY": ""}, {"FAL_KEY_ID": "id"}, {"FAL_KEY_SECRET": "s"}])
def test_a_missing_key_is_an_error_that_names_the_variable(environ: dict[str, str]) -> None:
    with pytest.raises(falqueue.MissingCredentials, match="FAL_KEY"):
        Credentials.from_env(environ)


def test_a_client_cannot_be_made_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FAL_KEY", "FAL_KEY_ID", "FAL_KEY_SECRET", "FALQUEUE_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(falqueue.MissingCredentials):
        Client()


@pytest.mark.parametrize("key", ["id:sécret", "id:sec ret", "id:sec\nret", "id:\x00", "", "  "])
def test_an_impossible_key_is_rejected_without_repeating_it(key: str) -> None:
    with pytest.raises(falqueue.MissingCredentials) as caught:
        Credentials(key)
    assert not key.strip() or key.strip() not in str(caught.value)


def test_a_local_emulator_needs_no_key() -> None:
    assert header(Credentials.from_env({}, local=True)) is not None


def test_anonymous_credentials_send_no_key() -> None:
    assert header(Credentials.anonymous()) is None


class Output:
    """Collects the logs, reprs, exceptions and local variables of a client."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog, self.text = caplog, ""

    def add(self, value: object) -> None:
        self.text += f"{value!s} {value!r}"
        if isinstance(value, BaseException):
            self.text += "".join(traceback.format_exception(value))
            frames = [frame for frame, _ in traceback.walk_tb(value.__traceback__)]
            ours = [frame for frame in frames if frame.f_globals["__name__"].startswith("falqueue")]
            assert ours
            self.text += "".join(repr(frame.f_locals) for frame in ours)

    def everything(self) -> str:
        return self.text + self._caplog.text


@pytest.fixture
def output(caplog: pytest.LogCaptureFixture) -> Output:
    caplog.set_level(logging.DEBUG)
    return Output(caplog)


def forms(key: str) -> list[str]:
    """Return the key in several encodings."""
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
def test_the_key_appears_in_no_log_and_no_exception(
    client: Client, fal: respx.Router, key: str, output: Output, answer: Any
) -> None:
    fal.post(SUBMIT).mock(side_effect=[answer] * 10)
    with pytest.raises(falqueue.FalqueueError) as caught:
        client.submit("fal-ai/veo2/image-to-video", {})
    output.add(caught.value)
    assert [form for form in forms(key) if form in output.everything()] == []


def test_the_key_appears_in_no_repr(make_client: Callable[..., Client], key: str, output: Output) -> None:
    client = make_client(key)
    for value in (client, vars(client), Credentials(key), vars(client).get("_session"), client.submit):
        output.add(value)
    assert [form for form in forms(key) if form in output.everything()] == []
