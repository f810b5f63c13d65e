"""Uploads: in one piece, in parts, and inside inputs."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image

import falqueue
from falqueue import Client, Lifecycle

if TYPE_CHECKING:
    from pathlib import Path

    import respx

TOKEN = "https://rest.fal.ai/storage/auth/token"
UPLOAD = "https://v3.fal.media/files/upload"
FILE = "https://v3b.fal.media/files/b/0aa9eef6/zdLe_hello.txt"
ENDPOINT = "fal-ai/veo2/image-to-video"
Body = dict[str, Any]


@pytest.fixture
def storage(fal: respx.Router) -> respx.Router:
    """A storage that takes one-piece uploads."""
    fal.post(TOKEN).respond(
        200,
        json={
            "token": "upload-token",
            "token_type": "Bearer",
            "created_at": "2026-11-22T00:00:00+00:00",
            "expires_at": "2026-11-23T00:00:00+00:00",
            "base_url": "https://v3.fal.media",
        },
    )
    fal.post(UPLOAD).respond(200, json={"access_url": FILE})
    return fal


def small_parts(client: Client) -> Client:
    """Let a client send in parts of four bytes what has more than eight."""
    inside = getattr(client, "_client", client)
    inside._session = replace(inside._session, uploads=replace(inside._session.uploads, whole=8, part=4))
    return client


class TestOnePiece:
    @pytest.mark.usefixtures("storage")
    def test_returns_the_files_url(self, door: Client) -> None:
        assert door.upload(b"Hello", name="hello.txt") == FILE

    def test_sends_bytes_type_and_name(self, door: Client, storage: respx.Router) -> None:
        door.upload(b"Hello", name="hello.txt")
        request = storage.calls[1].request
        names = ("authorization", "content-type", "content-length", "x-fal-file-name")
        assert [request.headers[name] for name in names] == [
            "Bearer upload-token",
            "text/plain",
            "5",
            "hello.txt",
        ]
        assert request.content == b"Hello"

    def test_asks_for_a_token_with_the_key(self, door: Client, storage: respx.Router, key: str) -> None:
        door.upload(b"Hello")
        request = storage.calls[0].request
        assert request.headers["authorization"] == f"Key {key}"
        assert dict(request.url.params) == {"storage_type": "fal-cdn-v3"}

    def test_takes_a_path_and_an_open_file(self, door: Client, storage: respx.Router, png: Path) -> None:
        door.upload(png)
        door.upload(io.BytesIO(b"Hello"))
        assert [storage.calls[number].request.content for number in (1, 3)] == [png.read_bytes(), b"Hello"]

    def test_passes_the_lifecycle_on(self, door: Client, storage: respx.Router) -> None:
        door.upload(b"Hello", lifecycle=Lifecycle(seconds=60, access="hide"))
        expected = {
            "expiration_duration_seconds": 60,
            "initial_acl": {"default": "hide", "rules": []},
        }
        headers = storage.calls[1].request.headers
        names = ("x-fal-object-lifecycle", "x-fal-object-lifecycle-preference")
        assert [json.loads(headers[name]) for name in names] == [expected, expected]

    def test_a_name_that_no_header_takes_is_made_plain(self, door: Client, storage: respx.Router) -> None:
        door.upload(b"Hello", name="häl\nlo.txt")
        assert storage.calls[1].request.headers["x-fal-file-name"] == "h_l_lo.txt"

    def test_is_sent_again_whole_after_a_broken_line(self, door: Client, storage: respx.Router) -> None:
        storage.post(UPLOAD).mock(
            side_effect=[httpx.WriteError("gone"), httpx.Response(200, json={"access_url": FILE})]
        )
        assert door.upload(io.BytesIO(b"Hello")) == FILE
        assert storage.calls.last.request.content == b"Hello"

    def test_never_takes_its_token_elsewhere(self, door: Client, storage: respx.Router) -> None:
        storage.post(TOKEN).respond(
            200, json={"token": "t", "token_type": "Bearer", "base_url": "https://evil.example"}
        )
        assert door.upload(b"Hello") == FILE

    @pytest.mark.parametrize("body", [{}, {"token": "t", "token_type": "Bearer"}, {"base_url": 3}])
    def test_says_when_the_token_answer_is_malformed(
        self, door: Client, storage: respx.Router, body: Body
    ) -> None:
        storage.post(TOKEN).respond(200, json=body)
        with pytest.raises(falqueue.ProtocolError):
            door.upload(b"Hello")

    def test_of_a_locked_account_is_refused(self, door: Client, fal: respx.Router) -> None:
        fal.post(TOKEN).respond(403, json={"detail": "User is locked. Reason: TOP_UP."})
        with pytest.raises(falqueue.AccountLocked):
            door.upload(b"Hello")


class TestParts:
    @pytest.fixture
    def parts(self, storage: respx.Router) -> respx.Router:
        storage.post(f"{UPLOAD}/multipart").respond(200, json={"access_url": FILE, "uploadId": "u1"})
        storage.put(url__startswith=f"{FILE}/multipart/u1/").mock(
            side_effect=lambda request: httpx.Response(200, headers={"etag": f'"{request.content.decode()}"'})
        )
        storage.post(f"{FILE}/multipart/u1/complete").respond(200, json={})
        return storage

    def test_are_sent_in_order_and_named_at_the_end(self, door: Client, parts: respx.Router) -> None:
        assert small_parts(door).upload(b"0123456789") == FILE
        assert json.loads(parts.calls.last.request.content) == {
            "parts": [
                {"partNumber": 1, "etag": '"0123"'},
                {"partNumber": 2, "etag": '"4567"'},
                {"partNumber": 3, "etag": '"89"'},
            ]
        }

    def test_one_that_broke_is_sent_again_alone(self, door: Client, parts: respx.Router) -> None:
        parts.put(f"{FILE}/multipart/u1/2").mock(
            side_effect=[httpx.ReadError("gone"), httpx.Response(200, headers={"etag": '"4567"'})]
        )
        assert small_parts(door).upload(b"0123456789") == FILE

    def test_without_an_etag_are_an_error(self, door: Client, parts: respx.Router) -> None:
        parts.put(url__startswith=f"{FILE}/multipart/u1/").respond(200)
        with pytest.raises(falqueue.ProtocolError):
            small_parts(door).upload(b"0123456789")

    def test_that_cannot_be_put_together_are_an_error(self, door: Client, parts: respx.Router) -> None:
        parts.post(f"{FILE}/multipart/u1/complete").respond(422, json={"detail": "no"})
        with pytest.raises(falqueue.InvalidRequest):
            small_parts(door).upload(b"0123456789")

    def test_never_go_elsewhere(self, door: Client, parts: respx.Router) -> None:
        parts.post(f"{UPLOAD}/multipart").respond(
            200, json={"access_url": "https://evil.example/x", "uploadId": "u1"}
        )
        with pytest.raises(falqueue.ProtocolError):
            small_parts(door).upload(b"0123456789")


class TestInsideAnInput:
    @pytest.fixture(autouse=True)
    def queue(self, storage: respx.Router, submitted: Body) -> None:
        storage.post(f"https://queue.fal.run/{ENDPOINT}").respond(200, json=submitted)

    def image_url(self, fal: respx.Router) -> str:
        url: str = json.loads(fal.calls.last.request.content)["image_url"]
        return url

    def test_a_small_picture_travels_along(self, door: Client, fal: respx.Router, png: Path) -> None:
        door.submit(ENDPOINT, {"image_url": png})
        assert self.image_url(fal).startswith("data:image/png;base64,iVBORw0KGgo")

    def test_a_large_one_is_uploaded_first(self, door: Client, fal: respx.Router) -> None:
        door.submit(ENDPOINT, {"image_url": b"\xff\xd8\xff" + bytes(1 << 20)})
        assert self.image_url(fal) == FILE

    def test_a_pillow_image_is_encoded(self, door: Client, fal: respx.Router) -> None:
        door.submit(falqueue.Veo2ImageToVideo(prompt="x", image_url=Image.new("RGB", (4, 4))))
        assert self.image_url(fal).startswith("data:image/png;base64,")

    @pytest.mark.parametrize("url", ["https://example.com/a.png", "data:image/png;base64,AAAA"])
    def test_a_url_stays_as_it_is(self, door: Client, fal: respx.Router, url: str) -> None:
        door.submit(falqueue.Veo2ImageToVideo(prompt="x", image_url=url))
        assert self.image_url(fal) == url

    def test_files_are_found_at_any_depth(self, door: Client, fal: respx.Router) -> None:
        door.submit(ENDPOINT, {"a": [{"b": (b"GIF89a", 1)}], "c": None})
        assert json.loads(fal.calls.last.request.content) == {
            "a": [{"b": ["data:image/gif;base64,R0lGODlh", 1]}],
            "c": None,
        }

    def test_a_file_that_is_not_there_is_an_oserror(self, door: Client, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            door.submit(ENDPOINT, {"image_url": tmp_path / "none.png"})
