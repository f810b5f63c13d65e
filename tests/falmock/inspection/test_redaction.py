from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from emulated import data_uri, png
from hypothesis import given
from hypothesis import strategies as st

from falmock.inspection.known_keys import MOST, KnownKeys
from falmock.inspection.redaction import MASK, Redactor, compacted, credentials, shortened

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "5f0c2f6e-9d6f:0123456789abcdef0123456789abcdef"
SECRET = "0123456789abcdef0123456789abcdef"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.abc-_123"
FERNET = "gAAAAABqcm9tYW4tY2hlZi1jb29raW5nLWVnZ3M="
REDACT = Redactor()

NO_WORDS = st.text(st.characters(exclude_categories=["Lu", "Ll", "Cs"]))  # "token" would be masked
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NO_WORDS,
    lambda inner: st.lists(inner) | st.dictionaries(NO_WORDS, inner),
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
def test_an_authorization_header_keeps_its_scheme_and_key_id(header: str, shown: str) -> None:
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
def test_a_url_loses_its_user_info_and_unknown_parameters(url: str, shown: str) -> None:
    assert REDACT.url(url).replace("%3A", ":") == shown


@pytest.mark.parametrize("secret", [JWT, FERNET, f"Key {KEY}", f"see https://h/x?sig={SECRET} there"])
def test_secrets_of_a_known_form_are_masked_in_any_text(secret: str) -> None:
    shown = REDACT.text(f"before {secret} after")

    assert not {JWT, FERNET, SECRET} & set(shown.split())
    assert SECRET not in shown
    assert (shown.startswith("before"), shown.endswith("after")) == (True, True)


def test_a_key_from_the_settings_is_masked_inside_words() -> None:
    assert Redactor(KnownKeys([KEY])).json([f"x{KEY}y", f"x{SECRET}y"]) == [f"x{MASK}y", f"x{MASK}y"]


def test_a_short_secret_is_masked_only_with_its_key_id() -> None:
    assert Redactor(KnownKeys(["my:key"])).text("the key of my:key") == f"the key of {MASK}"


@pytest.mark.parametrize(
    "name", ["token", "upload_token", "fal_key", "apiKey", "uploadId", "password", "Cookie"]
)
def test_a_json_member_with_a_secret_name_is_masked(name: str) -> None:
    assert REDACT.body(json.dumps({name: SECRET}).encode(), None) == {name: MASK}


@pytest.mark.parametrize("name", ["token", "fal_key", "uploadId"])
def test_a_json_member_with_a_secret_name_is_masked_in_a_cut_body(name: str) -> None:
    body = json.dumps({name: SECRET, "more": "x"}).encode()[:-2]

    shown = REDACT.body(body, "application/json")
    assert isinstance(shown, str)
    assert SECRET not in shown


def test_headers_with_credentials_are_masked() -> None:
    headers = [(b"Cookie", b"a=b"), (b"x-api-key", b"s"), (b"x-fal-x", b"1"), (b"Authorization", b"Key me:s")]

    assert REDACT.headers(headers) == (
        ("cookie", MASK),
        ("x-api-key", MASK),
        ("x-fal-x", "1"),
        ("authorization", "Key me"),
    )


def test_a_data_uri_becomes_its_type_size_and_digest() -> None:
    picture = png()

    digest = hashlib.sha256(picture).hexdigest()
    assert shortened(data_uri(picture)) == f"data:image/png;size={len(picture)};sha256={digest}"


@pytest.mark.parametrize("uri", ["data:image/png;base64,!", "data:,x", "data:", "data:image/png"])
def test_a_malformed_data_uri_is_no_error(uri: str) -> None:
    assert REDACT.json(uri).startswith("data:")


@given(st.binary(), st.booleans())
def test_data_uris_are_shortened_alike_with_and_without_parsing(data: bytes, slashes: bool) -> None:
    body = json.dumps({"a": [data_uri(data)], "b": "data: none", "c": 'say "data:'})
    body = body.replace("/", r"\/") if slashes else body

    assert REDACT.json(json.loads(compacted(body.encode()))) == REDACT.json(json.loads(body))


def test_json_within_json_is_still_json_when_shortened() -> None:
    body = json.dumps({"inner": json.dumps({"image": data_uri(png())})}).encode()

    inner = json.loads(json.loads(compacted(body))["inner"])
    assert inner["image"] == shortened(data_uri(png()))


@given(JSON)
def test_json_without_secrets_is_unchanged(value: Any) -> None:
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
def test_a_body_is_returned_as_json_or_text_or_not_at_all(
    body: bytes, content_type: str | None, shown: Any
) -> None:
    assert REDACT.body(body, content_type) == shown


def test_json_is_cut_below_the_depth_limit() -> None:
    assert "..." in json.dumps(REDACT.body(b"[" * 200 + b"]" * 200, None))


def test_json_too_deep_to_parse_is_text() -> None:
    assert REDACT.body(b"[" * 60_000, None) == "[" * 60_000


def test_the_digest_of_a_data_uri_is_of_the_decoded_data() -> None:
    assert base64.b64encode(b"x").decode() not in shortened(data_uri(b"x"))
    assert hashlib.sha256(b"x").hexdigest() in shortened(data_uri(b"x"))


# Known keys, in every encoding


def escaped(text: str) -> str:
    return quote(text, safe="")


def escaped_in_lower_case(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


def in_json(text: str) -> str:
    return json.dumps(text)[1:-1].replace("/", r"\/")


def in_json_throughout(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


def in_basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def in_a_longer_base64(text: str) -> str:
    return base64.urlsafe_b64encode(b"user:" + text.encode() + b" and more").decode()


ENCODINGS: list[Callable[[str], str]] = [
    str, escaped, escaped_in_lower_case, in_json, in_json_throughout, in_basic, in_a_longer_base64,
    lambda text: escaped(escaped(text)),
    lambda text: in_json(escaped_in_lower_case(text)),
    lambda text: escaped(in_basic(text)),
]  # fmt: skip
KEY_TEXTS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8, max_size=40)
AROUND = st.text(max_size=20)


@pytest.mark.parametrize("encode", ENCODINGS)
@pytest.mark.parametrize("header", ["Key {}", "Bearer {}", "{}", "Token  {} "])
def test_a_key_that_a_caller_sent_is_masked_in_every_encoding(
    header: str, encode: Callable[[str], str]
) -> None:
    key = 'some/"id":with+50%+of\\=all~signs'
    known = KnownKeys()
    known.see(header.format(key).encode())

    shown = Redactor(known).text(f"before {encode(key)} after")

    assert (shown.startswith("before"), MASK in shown, shown.endswith(" after")) == (True, True, True)
    assert not any(trace in shown for trace in (encode(key), key, escaped(key)))


@given(st.lists(st.tuples(KEY_TEXTS, KEY_TEXTS), min_size=1, max_size=5), AROUND, AROUND, st.data())
def test_any_known_key_is_masked_in_any_text_and_encoding(
    pairs: list[tuple[str, str]], before: str, after: str, data: st.DataObject
) -> None:
    keys = [f"{key_id.replace(':', '.')}:{secret}" for key_id, secret in pairs]
    known = KnownKeys(keys[:1])
    for key in keys[1:]:
        known.see(f"Key {key}".encode())
    key, encode = data.draw(st.sampled_from(keys)), data.draw(st.sampled_from(ENCODINGS))

    shown = Redactor(known).text(before + encode(key) + after)

    assert key not in shown
    assert encode(key) not in shown
    assert MASK in shown


@pytest.mark.parametrize("encode", ENCODINGS)
@pytest.mark.parametrize("key", [r"some\id:of%20secret", "some%5Cid:of/secret", r"\u0041bcdef:%2541bcdef"])
def test_a_key_that_looks_escaped_is_masked_in_every_encoding(key: str, encode: Callable[[str], str]) -> None:
    shown = Redactor(KnownKeys([key])).text(f"before {encode(key)} after")

    assert (shown.startswith("before"), MASK in shown, shown.endswith("after")) == (True, True, True)
    assert encode(key) not in shown


@pytest.mark.parametrize("key", ["some-id:of a Secret/", f"Some-Id:{SECRET}"])
@pytest.mark.parametrize(
    "encode",
    [
        str.upper,
        str.lower,
        lambda text: text.encode().hex(),
        lambda text: text.encode().hex().upper(),
        lambda text: escaped(text.upper()),
    ],
    ids=["upper", "lower", "hex", "upper hex", "escaped upper"],
)
def test_a_known_key_is_masked_in_another_case_and_in_hexadecimal(
    key: str, encode: Callable[[str], str]
) -> None:
    shown = Redactor(KnownKeys([key])).text(f"before {encode(key)} after")

    secret = encode(key.partition(":")[2])
    assert (secret in shown, MASK in shown) == (False, True)


def test_the_secret_of_a_known_key_is_masked_without_its_id() -> None:
    known = KnownKeys()
    known.see(f"Key {KEY}".encode())

    assert Redactor(known).text(f"secret {SECRET} {in_basic(SECRET)[6:]}").count(MASK) == 2


@pytest.mark.parametrize("encode", ENCODINGS)
def test_text_in_the_form_of_a_fal_key_is_masked_without_being_known(encode: Callable[[str], str]) -> None:
    key = f"0f8fad5b-d9cb-469f-a165-70867728950e:{SECRET}"

    shown = REDACT.text(f"a {encode(key)} b")

    assert (MASK in shown, SECRET in shown, encode(SECRET) in shown) == (True, False, False)


def test_a_token_is_not_remembered_as_a_key() -> None:
    known = KnownKeys()
    known.see(f"Bearer {JWT}".encode())

    assert list(known.spans(JWT.encode())) == []


def test_sent_keys_are_remembered_up_to_a_limit_and_the_oldest_forgotten_first() -> None:
    keys = [f"caller-{number}:hush-hush" for number in range(3 * MOST)]
    known = KnownKeys()
    for key in keys:
        known.see(f"Key {key}".encode())
    redact = Redactor(known)

    assert redact.text(f"a {keys[-1]} b") == f"a {MASK} b"
    assert redact.text(f"a {keys[0]} b") == f"a {keys[0]} b"
    known.see(f"Key {keys[0]}".encode())
    assert redact.text(f"a {keys[0]} b") == f"a {MASK} b"


@given(st.text(max_size=60), st.sampled_from(["", "%", "%4", r"\u12", r"\ud800", "%ff", "%C3%A9", "é"]))
def test_text_with_escapes_but_no_key_is_unchanged(text: str, escape: str) -> None:
    redact = Redactor(KnownKeys(["some-id:some-secret"]))

    assert redact.text(escape + text + escape) == REDACT.text(escape + text + escape)
