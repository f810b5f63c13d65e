"""No secret is written, however it is encoded."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falcontract.live.scrubbing import LeakError, allowed, check

KEY = "d5f1c0de-1234-4abc-8def-0123456789ab:0f1e2d3c4b5a69788796a5b4c3d2e1f0"
ID, SECRET = KEY.split(":")


@pytest.mark.parametrize("part", [KEY, ID, SECRET])
@pytest.mark.parametrize(
    "encode",
    [
        str,
        str.upper,
        lambda s: quote(s, safe=""),
        lambda s: quote(quote(s, safe=""), safe=""),
        lambda s: "".join(f"%{ord(c):02X}" for c in s),
        lambda s: s.encode().hex(),
        lambda s: base64.b64encode(s.encode()).decode(),
        lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
        lambda s: s.replace("-", ""),
    ],
)
def test_the_key_and_its_halves_are_refused_in_every_encoding(part: str, encode: object) -> None:
    with pytest.raises(LeakError):
        check(f'{{"prompt": "{encode(part)}"}}', (KEY,))  # type: ignore[operator]


@given(before=st.binary(max_size=9), after=st.binary(max_size=9))
def test_the_key_is_refused_at_any_offset_in_base64(before: bytes, after: bytes) -> None:
    with pytest.raises(LeakError):
        check(base64.b64encode(before + KEY.encode() + after).decode(), (KEY,))


def test_an_unknown_key_is_refused_by_its_form() -> None:
    with pytest.raises(LeakError):
        check(f"see {KEY}", ())


def test_a_request_id_alone_is_not_refused() -> None:
    assert check(ID, ("other-key-id-000:other-secret-000",)) == ID


def test_the_error_message_does_not_contain_the_secret() -> None:
    with pytest.raises(LeakError) as refused:
        check(KEY, (KEY,))
    assert SECRET not in str(refused.value)


def test_only_headers_on_the_list_are_recorded() -> None:
    headers = {"X-Fal-Request-Id": "1", "Set-Cookie": "x", "authorization": KEY, "Content-Type": "a/b"}
    assert allowed(headers) == {"content-type": "a/b", "x-fal-request-id": "1"}
