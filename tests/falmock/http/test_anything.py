"""Whatever arrives, the answer is fal-shaped and clear."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import hypothesis.strategies as st
import pytest
from emulated import APPLICATION, BASE, ENDPOINT, KEY
from example_count import examples
from hypothesis import HealthCheck, given

if TYPE_CHECKING:
    import httpx
    from emulated import Mock

# One emulator serves all examples of a test: what one leaves behind, the next must bear.
relentlessly = examples(150, suppress_health_check=[HealthCheck.function_scoped_fixture])

words = st.one_of(
    st.sampled_from(
        [
            "queue.fal.run",
            "fal.run",
            "rest.fal.ai",
            "v3.fal.media",
            "api.fal.ai",
            "gateway.fal.ai",
            "fal-ai",
            "veo2",
            "image-to-video",
            "requests",
            "status",
            "stream",
            "cancel",
            "response",
            "files",
            "upload",
            "uploads",
            "put",
            "multipart",
            "complete",
            "storage",
            "initiate",
            "..",
            "",
            "workflows",
            "01a20311-e3d4-723e-aad5-be01fce4670e",
            "1",
            "999999999999999999999999",
        ]
    ),
    st.text(max_size=20),
)
paths = st.lists(words, max_size=7).map(lambda parts: "/" + "/".join(quote(part, safe="") for part in parts))
queries = st.one_of(
    st.just(""),
    st.dictionaries(
        st.sampled_from(["logs", "fal_webhook", "fal_max_queue_length", "token", "x"]), st.text(max_size=30)
    ).map(lambda query: "?" + "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())),
)
methods = st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "BREW"])
printable = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
headers = st.dictionaries(
    st.sampled_from(
        [
            "Authorization",
            "Content-Type",
            "X-Fal-Request-Timeout",
            "X-Fal-Queue-Priority",
            "X-Fal-No-Retry",
            "X-Fal-Store-IO",
            "X-Fal-Object-Lifecycle-Preference",
            "X-Fal-Object-Lifecycle",
            "X-Fal-File-Name",
            "x-fal-target-url",
            "x-fal-target-host",
            "Range",
            "Host",
            "Origin",
        ]
    ),
    st.one_of(
        printable,
        st.sampled_from(
            [
                "Key a:b",
                "Bearer x",
                "queue.fal.run",
                "https://queue.fal.run/fal-ai/veo2",
                "1",
                "{}",
                "bytes=0-",
            ]
        ),
    ),
    max_size=4,
)


def is_fal_shaped(answer: httpx.Response) -> bool:
    """A refusal is JSON with fal's keys, except for CORS preflights and byte ranges."""
    if answer.status_code < 400 or not answer.content or answer.status_code == 416:
        return True
    if answer.headers["content-type"].startswith("text/plain"):
        return answer.text.startswith(("Disallowed CORS", "Malformed range", "Range header", "Invalid"))
    return bool({"detail", "status", "error"} & set(answer.json()))


@given(methods, paths, queries, headers, st.binary(max_size=200), st.booleans())
@relentlessly
async def test_any_call_is_answered_without_a_5xx_and_creates_nothing_if_refused(
    mock: Mock, method: str, path: str, query: str, extra: dict[str, str], body: bytes, with_key: bool
) -> None:
    before = mock.emulator.store.open_requests()

    answer = await mock.http.request(
        method, BASE + path + query, headers=(KEY if with_key else {}) | extra, content=body
    )

    assert answer.status_code < 500
    assert is_fal_shaped(answer)
    assert answer.status_code in {200, 202} or mock.emulator.store.open_requests() == before
    await mock.assert_alive()


json_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=10,
)
inputs = st.fixed_dictionaries(
    {},
    optional={
        "prompt": st.one_of(st.text(), json_values),
        "image_url": st.one_of(
            json_values,
            st.text(),
            st.text().map(lambda text: f"data:image/png;base64,{text}"),
            st.binary().map(lambda data: "data:," + quote(data)),
        ),
        "duration": st.one_of(st.sampled_from(["5s", "9s"]), json_values),
        "aspect_ratio": st.one_of(st.sampled_from(["auto", "9:16"]), json_values),
        "seed": json_values,
    },
)


@given(
    st.one_of(
        inputs.map(json.dumps).map(str.encode), json_values.map(json.dumps).map(str.encode), st.binary()
    )
)
@relentlessly
async def test_submit_with_any_body_is_accepted_and_completes(mock: Mock, body: bytes) -> None:
    headers = KEY | {"content-type": "application/json"}
    submitted = (await mock.http.post(f"/{ENDPOINT}", content=body, headers=headers)).json()
    await mock.pass_time(6)

    status, result = await mock.status(submitted), await mock.result(submitted)

    assert status.json()["status"] == "COMPLETED"
    assert result.status_code in {200, 400, 422}
    assert list(result.json()) in (["video"], ["detail"])
    await mock.assert_alive()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_preflight_allows_the_headers_of_fals_clients(mock: Mock, method: str) -> None:
    requested = "authorization, content-type, x-fal-request-timeout, x-fal-target-url"

    answer = await mock.http.options(
        f"/{ENDPOINT}",
        headers={
            "Origin": "http://localhost:3000",
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": requested,
        },
    )

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert method in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == requested


async def test_page_may_read_the_headers_of_the_run_host(mock: Mock) -> None:
    answer = await mock.http.post(f"/fal.run/{APPLICATION}", headers={"Origin": "http://localhost:3000"})

    exposed = answer.headers["access-control-expose-headers"]
    assert {"x-fal-request-id", "x-fal-billable-units", "x-fal-error-type"} <= set(exposed.split(", "))


async def test_host_that_is_not_emulated_is_refused_with_421(
    mock: Mock, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await mock.http.get("/", headers={"Host": "gateway.fal.ai"})

    assert answer.status_code == 421
    assert answer.json()["detail"].startswith("falmock does not emulate gateway.fal.ai. The call was refused")
    assert "gateway.fal.ai" in caplog.text


async def test_host_name_of_the_settings_is_accepted(mock: Mock) -> None:
    answer = await mock.http.get("/", headers={"Host": "mock.internal"})

    assert (answer.status_code, "--hostname" in answer.json()["detail"]) == (421, True)
