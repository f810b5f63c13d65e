from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from emulated import data_uri, png
from hypothesis import given
from hypothesis import strategies as st

from falmock.known_keys import KnownKeys
from falmock.redaction import MASK, Redactor, compacted, credentials, shortened

KEY = "5f0c2f6e-9d6f:0123456789abcdef0123456789abcdef"
SECRET = "0123456789abcdef0123456789abcdef"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.abc-_123"
FERNET = "gAAAAABqcm9tYW4tY2hlZi1jb29raW5nLWVnZ3M="
REDACT = Redactor()

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize(
    ("header", "shown"),
    [
        (f"Key {KEY}", "Key 5f0c2f6e-9d6f"),
        (f"Bearer {KEY}", "Bearer 5f0c2f6e-9d6f"),
        (f"Bearer {JWT}", "Bearer"),
        (f"Key {SECRET}", "Key"),
        (f"Key :{SECRET}", "Key"),
        ("Basic bWU6c2VjcmV0", "Basic"),
        ("Basic me:secret", "Basic"),
        (KEY, MASK),
        (f"{SECRET} x", MASK),
        ("", MASK),
    ],
)
def test_of_an_authorization_scheme_and_key_id_are_left(header: str, shown: str) -> None:
    assert credentials(header) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://queue.fal.run/x?logs=1", "https://queue.fal.run/x?logs=1"),
        (f"https://queue.fal.run/x?fal_jwt_token={JWT}&logs=1", f"https://queue.fal.run/x?fal_jwt_token={MASK}&logs=1"),
        ("https://me:pw@h.io:81/a?X-Amz-Signature=abc", f"https://h.io:81/a?X-Amz-Signature={MASK}"),
        ("http://[::1]:80/a#frag", "http://[::1]:80/a"),
        (
            "https://q/x?fal_webhook=https%3A%2F%2Fu%3Ap%40app.io%2Fhook%3Ft%3Dsecret",
            f"https://q/x?fal_webhook=https://app.io/hook%3Ft%3D{MASK}",
        ),
        ("http://h:notaport/x", MASK),
    ],
)  # fmt: skip
def test_of_a_url_no_user_and_no_parameter_is_left_but_fals_own(url: str, shown: str) -> None:
    assert REDACT.url(url).replace("%3A", ":") == shown


@pytest.mark.parametrize("secret", [JWT, FERNET, f"Key {KEY}", f"see https://h/x?sig={SECRET} there"])
def test_secrets_are_known_by_their_form_in_any_text(secret: str) -> None:
    shown = REDACT.text(f"before {secret} after")

    assert not {JWT, FERNET, SECRET} & set(shown.split())
    assert SECRET not in shown
    assert (shown.startswith("before"), shown.endswith("after")) == (True, True)


def test_what_the_emulator_knows_as_a_key_is_masked_wherever_it_is() -> None:
    assert Redactor(KnownKeys([KEY])).json([f"x{KEY}y", f"x{SECRET}y"]) == [f"x{MASK}y", f"x{MASK}y"]


def test_a_short_secret_is_not_looked_for_alone() -> None:
    assert Redactor(KnownKeys(["my:key"])).text("the key of my:key") == f"the key of {MASK}"


@pytest.mark.parametrize(
    "name", ["token", "upload_token", "fal_key", "apiKey", "uploadId", "password", "Cookie"]
)
def test_a_member_with_the_name_of_a_secret_is_masked(name: str) -> None:
    assert REDACT.body(json.dumps({name: SECRET}).encode(), None) == {name: MASK}


@pytest.mark.parametrize("name", ["token", "fal_key", "uploadId"])
def test_so_it_is_where_the_body_was_cut_short(name: str) -> None:
    body = json.dumps({name: SECRET, "more": "x"}).encode()[:-2]

    shown = REDACT.body(body, "application/json")
    assert isinstance(shown, str)
    assert SECRET not in shown


def test_cookies_and_other_credentials_are_masked_headers() -> None:
    headers = [(b"Cookie", b"a=b"), (b"x-api-key", b"s"), (b"x-fal-x", b"1"), (b"Authorization", b"Key me:s")]

    assert REDACT.headers(headers) == (
        ("cookie", MASK),
        ("x-api-key", MASK),
        ("x-fal-x", "1"),
        ("authorization", "Key me"),
    )


def test_a_data_uri_is_told_by_type_size_and_digest() -> None:
    picture = png()

    digest = hashlib.sha256(picture).hexdigest()
    assert shortened(data_uri(picture)) == f"data:image/png;size={len(picture)};sha256={digest}"


@pytest.mark.parametrize("uri", ["data:image/png;base64,!", "data:,x", "data:", "data:image/png"])
def test_what_is_hardly_a_data_uri_is_no_trouble(uri: str) -> None:
    assert REDACT.json(uri).startswith("data:")


@given(st.binary(), st.booleans())
def test_without_parsing_it_comes_to_the_same(data: bytes, slashes: bool) -> None:
    body = json.dumps({"a": [data_uri(data)], "b": "data: none", "c": 'say "data:'})
    body = body.replace("/", r"\/") if slashes else body

    assert REDACT.json(json.loads(compacted(body.encode()))) == REDACT.json(json.loads(body))


def test_json_within_json_stays_json() -> None:
    body = json.dumps({"inner": json.dumps({"image": data_uri(png())})}).encode()

    inner = json.loads(json.loads(compacted(body))["inner"])
    assert inner["image"] == shortened(data_uri(png()))


@given(JSON)
def test_what_has_nothing_to_hide_stays_as_it_is(value: Any) -> None:
    assert REDACT.body(json.dumps(value).encode(), "application/json") == value


@pytest.mark.parametrize(
    ("body", "content_type", "shown"),
    [
        (b"", "application/json", None),
        (b"\x00\x01", "application/octet-stream", None),
        (b"plain words", "text/plain; charset=utf-8", "plain words"),
        (b"no type", None, "no type"),
        (b"a=b&logs=1", "application/x-www-form-urlencoded", {"a": MASK, "logs": "1"}),
        (b"[NaN]", None, ["NaN"]),
    ],
)
def test_a_body_is_json_or_text_or_nothing(body: bytes, content_type: str | None, shown: Any) -> None:
    assert REDACT.body(body, content_type) == shown


def test_depths_that_nobody_needs_are_left_out() -> None:
    assert "..." in json.dumps(REDACT.body(b"[" * 200 + b"]" * 200, None))


def test_a_bottomless_body_is_text() -> None:
    assert REDACT.body(b"[" * 60_000, None) == "[" * 60_000


def test_a_digest_is_that_of_the_data_not_of_its_spelling() -> None:
    assert base64.b64encode(b"x").decode() not in shortened(data_uri(b"x"))
    assert hashlib.sha256(b"x").hexdigest() in shortened(data_uri(b"x"))
