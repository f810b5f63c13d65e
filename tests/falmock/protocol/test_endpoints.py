from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from falmock.protocol.endpoints import Endpoint, parse


@pytest.mark.parametrize(
    ("text", "application", "path"),
    [
        ("fal-ai/veo2/image-to-video", "fal-ai/veo2", "image-to-video"),
        ("/fal-ai/veo2/image-to-video/", "fal-ai/veo2", "image-to-video"),
        ("fal-ai/veo2", "fal-ai/veo2", ""),
        ("fal-ai/kling-video/v2/master/image-to-video", "fal-ai/kling-video", "v2/master/image-to-video"),
        ("workflows/me/flow/run", "workflows/me/flow", "run"),
        ("comfy/me/graph", "comfy/me/graph", ""),
        ("fal-ai/veo2--staging/x", "fal-ai/veo2--staging", "x"),
        ("12345-my-app", "12345/my-app", ""),
        ("workflows/me", "workflows/me", ""),
    ],
)
def test_endpoint_id_is_split_into_application_and_path(text: str, application: str, path: str) -> None:
    endpoint = parse(text)

    assert endpoint is not None
    assert (endpoint.application, endpoint.path) == (application, path)


@pytest.mark.parametrize("text", ["", "/", "fal-ai", "x-y-z", "12345"])
def test_text_that_names_no_application_is_parsed_as_none(text: str) -> None:
    assert parse(text) is None


word = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,9}", fullmatch=True).filter(
    lambda w: w not in {"workflows", "comfy"}
)


@given(st.sampled_from(["", "workflows", "comfy"]), word, word, st.lists(word, max_size=3))
def test_endpoint_is_parsed_back_from_its_text(
    namespace: str, owner: str, alias: str, path: list[str]
) -> None:
    endpoint = Endpoint(namespace, owner, alias, "/".join(path))

    assert parse(str(endpoint)) == endpoint
