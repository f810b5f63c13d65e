"""Handles as text."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

import falqueue
from falqueue import Handle, Veo2ImageToVideo
from falqueue._requests import application

TEXT = "https://queue.fal.run/fal-ai/veo2/requests/019e-7b#fal-ai/veo2/image-to-video"
PART = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,20}", fullmatch=True)


@given(owner=PART, alias=PART, path=st.lists(PART, max_size=3), request_id=PART)
def test_a_handle_can_be_parsed_from_its_text(
    owner: str, alias: str, path: list[str], request_id: str
) -> None:
    endpoint = "/".join([owner, alias, *path])
    text = f"http://127.0.0.1:8787/queue.fal.run/{owner}/{alias}/requests/{request_id}#{endpoint}"
    handle = Handle.from_text(text)
    assert (str(handle), handle.endpoint, handle.request_id) == (text, endpoint, request_id)


def test_a_handle_can_be_pickled() -> None:
    handle = Handle.from_text(TEXT, Veo2ImageToVideo)
    assert pickle.loads(pickle.dumps(handle)) == handle  # noqa: S301 - our own bytes


def test_a_typed_handle_parses_typed_outputs() -> None:
    handle = Handle.from_text(TEXT, Veo2ImageToVideo)
    assert handle.output({"video": {"url": "u"}}) == falqueue.VideoOutput(falqueue.File(url="u"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "019e",
        TEXT.partition("#")[0],
        TEXT.replace("https", "ftp"),
        TEXT.replace("019e-7b", ".."),
        TEXT.replace("019e-7b", "a/b"),
        TEXT.replace("019e-7b", "%2e%2e"),
        TEXT.replace("019e-7b", "a?b"),
        TEXT.replace("queue", "me:secret@queue"),
        TEXT.replace("#fal-ai/veo2", "#"),
        TEXT + " extra",
        TEXT + "\nextra",
    ],
)
def test_a_malformed_handle_is_rejected(text: str) -> None:
    with pytest.raises(falqueue.InvalidHandle):
        Handle.from_text(text)


def test_a_handle_of_another_model_is_rejected() -> None:
    with pytest.raises(falqueue.InvalidHandle, match="not of fal-ai/veo2/image-to-video"):
        Handle.from_text(TEXT.replace("veo2/image-to-video", "flux/dev"), Veo2ImageToVideo)


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("fal-ai/veo2", "fal-ai/veo2"),
        ("fal-ai/veo2/image-to-video", "fal-ai/veo2"),
        ("fal-ai/kling-video/v2/master/image-to-video", "fal-ai/kling-video"),
        ("workflows/me/clip", "workflows/me/clip"),
        ("comfy/me/clip/run", "comfy/me/clip"),
        ("me/app--staging/x", "me/app--staging"),
    ],
)
def test_request_urls_use_the_application_of_an_endpoint(endpoint: str, expected: str) -> None:
    assert application(endpoint) == expected
