"""Uploads: in one request, in parts, and as files in inputs."""

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
    """A storage that accepts uploads in one request."""
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
    """Make a client send files above eight bytes in parts of four bytes."""
    inside = getattr(client, "_client", client)
    inside._session = replace(inside._session, uploads=replace(inside._session.uploads, whole=8, part=4))
    return client


class TestUpload:
    @pytest.mark.usefixtures("storage")
    def test_upload_returns_the_url_of_the_file(self, client: Client) -> None:
        assert client.upload(b"Hello", name="hello.txt") == FILE

    def test_upload_sends_bytes_type_and_name(self, client: Client, storage: respx.Router) -> None:
        client.upload(b"Hello", name="hello.txt")
        request = storage.calls[1].request
        names = ("authorization", "content-type", "content-length", "x-fal-file-name")
        assert [request.headers[name] for name in names] == [
            "Bearer upload-token",
            "text/plain",
            "5",
            "hello.txt",
        ]
        assert request.content == b"Hello"

    def test_upload_fetches_a_token_with_the_key(
        self, client: Client, storage: respx.Router, key: str
    ) -> None:
        client.upload(b"Hello")
        request = storage.calls[0].request
        assert request.headers["authorization"] == f"Key {key}"
        assert dict(request.url.params) == {"storage_type": "fal-cdn-v3"}

    def test_upload_accepts_a_path_and_an_open_file(
        self, client: Client, storage: respx.Router, png: Path
    ) -> None:
        client.upload(png)
        client.upload(io.BytesIO(b"Hello"))
        assert [storage.calls[number].request.content for number in (1, 3)] == [png.read_bytes(), b"Hello"]

    def test_upload_sends_the_lifecycle(self, client: Client, storage: respx.Router) -> None:
        client.upload(b"Hello", lifecycle=Lifecycle(seconds=60, access="hide"))
        expected = {
            "expiration_duration_seconds": 60,
            "initial_acl": {"default": "hide", "rules": []},
        }
        headers = storage.calls[1].request.headers
        names = ("x-fal-object-lifecycle", "x-fal-object-lifecycle-preference")
        assert [json.loads(headers[name]) for name in names] == [expected, expected]

    def test_upload_replaces_characters_that_a_header_cannot_carry(
        self, client: Client, storage: respx.Router
    ) -> None:
        client.upload(b"Hello", name="häl\nlo.txt")
        assert storage.calls[1].request.headers["x-fal-file-name"] == "h_l_lo.txt"

    def test_upload_is_sent_again_from_its_start_after_a_network_error(
        self, client: Client, storage: respx.Router
    ) -> None:
        storage.post(UPLOAD).mock(
            side_effect=[httpx.WriteError("gone"), httpx.Response(200, json={"access_url": FILE})]
        )
        assert client.upload(io.BytesIO(b"Hello")) == FILE
        assert storage.calls.last.request.content == b"Hello"

    def test_upload_never_sends_its_token_to_another_service(
        self, client: Client, storage: respx.Router
    ) -> None:
        storage.post(TOKEN).respond(
            200, json={"token": "t", "token_type": "Bearer", "base_url": "https://evil.example"}
        )
        assert client.upload(b"Hello") == FILE

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"token": "t", "token_type": "Bearer"},
            {"base_url": 3},
            {"token": "a b", "token_type": "Bearer", "base_url": "https://v3.fal.media"},
            {"token": "t", "token_type": "Bearer\r\nx: y", "base_url": "https://v3.fal.media"},
        ],
    )
    def test_a_malformed_upload_token_is_an_error(
        self, client: Client, storage: respx.Router, body: Body
    ) -> None:
        storage.post(TOKEN).respond(200, json=body)
        with pytest.raises(falqueue.ProtocolError):
            client.upload(b"Hello")

    def test_upload_of_a_locked_account_is_refused(self, client: Client, fal: respx.Router) -> None:
        fal.post(TOKEN).respond(403, json={"detail": "User is locked. Reason: TOP_UP."})
        with pytest.raises(falqueue.AccountLocked):
            client.upload(b"Hello")


class TestParts:
    @pytest.fixture
    def parts(self, storage: respx.Router) -> respx.Router:
        storage.post(f"{UPLOAD}/multipart").respond(200, json={"access_url": FILE, "uploadId": "u1"})
        storage.put(url__startswith=f"{FILE}/multipart/u1/").mock(
            side_effect=lambda request: httpx.Response(200, headers={"etag": f'"{request.content.decode()}"'})
        )
        storage.post(f"{FILE}/multipart/u1/complete").respond(200, json={})
        return storage

    def test_parts_are_sent_in_order_and_listed_at_the_end(self, client: Client, parts: respx.Router) -> None:
        assert small_parts(client).upload(b"0123456789") == FILE
        assert json.loads(parts.calls.last.request.content) == {
            "parts": [
                {"partNumber": 1, "etag": '"0123"'},
                {"partNumber": 2, "etag": '"4567"'},
                {"partNumber": 3, "etag": '"89"'},
            ]
        }

    def test_parts_are_sent_with_the_token_and_never_with_the_key(
        self, client: Client, parts: respx.Router, key: str
    ) -> None:
        small_parts(client).upload(b"0123456789")
        sent = [call.request.headers["authorization"] for call in parts.calls]
        assert sent == [f"Key {key}", *["Bearer upload-token"] * 5]

    def test_a_part_is_sent_again_alone_after_a_network_error(
        self, client: Client, parts: respx.Router
    ) -> None:
        parts.put(f"{FILE}/multipart/u1/2").mock(
            side_effect=[httpx.ReadError("gone"), httpx.Response(200, headers={"etag": '"4567"'})]
        )
        assert small_parts(client).upload(b"0123456789") == FILE

    def test_a_part_without_an_etag_is_an_error(self, client: Client, parts: respx.Router) -> None:
        parts.put(url__startswith=f"{FILE}/multipart/u1/").respond(200)
        with pytest.raises(falqueue.ProtocolError):
            small_parts(client).upload(b"0123456789")

    def test_parts_that_cannot_be_joined_are_an_error(self, client: Client, parts: respx.Router) -> None:
        parts.post(f"{FILE}/multipart/u1/complete").respond(422, json={"detail": "no"})
        with pytest.raises(falqueue.InvalidRequest):
            small_parts(client).upload(b"0123456789")

    def test_parts_are_never_sent_to_another_service(self, client: Client, parts: respx.Router) -> None:
        parts.post(f"{UPLOAD}/multipart").respond(
            200, json={"access_url": "https://evil.example/x", "uploadId": "u1"}
        )
        with pytest.raises(falqueue.ProtocolError):
            small_parts(client).upload(b"0123456789")


class TestFilesInInputs:
    @pytest.fixture(autouse=True)
    def queue(self, storage: respx.Router, submitted: Body) -> None:
        storage.post(f"https://queue.fal.run/{ENDPOINT}").respond(200, json=submitted)

    def image_url(self, fal: respx.Router) -> str:
        url: str = json.loads(fal.calls.last.request.content)["image_url"]
        return url

    def test_a_small_image_is_sent_inside_the_input(
        self, client: Client, fal: respx.Router, png: Path
    ) -> None:
        client.submit(ENDPOINT, {"image_url": png})
        assert self.image_url(fal).startswith("data:image/png;base64,iVBORw0KGgo")

    def test_a_large_image_is_uploaded_before_the_submit(self, client: Client, fal: respx.Router) -> None:
        client.submit(ENDPOINT, {"image_url": b"\xff\xd8\xff" + bytes(1 << 20)})
        assert self.image_url(fal) == FILE

    def test_a_whole_job_sends_each_credential_to_its_own_host_only(
        self,
        client: Client,
        fal: respx.Router,
        completed: httpx.Response,
        video: Body,
        streamed: Any,
        tmp_path: Path,
    ) -> None:
        fal.get(url__regex=r"/status\?logs=0$").mock(return_value=completed)
        fal.get(url__regex=r"/requests/[^/]+$").respond(200, json=video)
        fal.get(video["video"]["url"]).mock(side_effect=lambda _: streamed(bytes(1234)))
        image = b"\xff\xd8\xff" + bytes(1 << 20)
        output = client.subscribe(falqueue.Veo2ImageToVideo(prompt="x", image_url=image))
        client.download(output.video, tmp_path / "out.mp4")
        sent = [call.request for call in fal.calls]
        credentials = [request.headers.get("authorization", "none").split()[0] for request in sent]
        assert list(zip([request.url.host for request in sent], credentials, strict=True)) == [
            ("rest.fal.ai", "Key"),
            ("v3.fal.media", "Bearer"),
            ("queue.fal.run", "Key"),
            ("queue.fal.run", "Key"),
            ("queue.fal.run", "Key"),
            ("v3.fal.media", "none"),
        ]

    def test_a_pillow_image_is_encoded_into_the_input(self, client: Client, fal: respx.Router) -> None:
        client.submit(falqueue.Veo2ImageToVideo(prompt="x", image_url=Image.new("RGB", (4, 4))))
        assert self.image_url(fal).startswith("data:image/png;base64,")

    @pytest.mark.parametrize("url", ["https://example.com/a.png", "data:image/png;base64,AAAA"])
    def test_an_image_url_is_sent_unchanged(self, client: Client, fal: respx.Router, url: str) -> None:
        client.submit(falqueue.Veo2ImageToVideo(prompt="x", image_url=url))
        assert self.image_url(fal) == url

    def test_files_are_found_at_any_depth_of_the_input(self, client: Client, fal: respx.Router) -> None:
        client.submit(ENDPOINT, {"a": [{"b": (b"GIF89a", 1)}], "c": None})
        assert json.loads(fal.calls.last.request.content) == {
            "a": [{"b": ["data:image/gif;base64,R0lGODlh", 1]}],
            "c": None,
        }

    def test_a_missing_file_in_the_input_is_an_oserror(self, client: Client, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            client.submit(ENDPOINT, {"image_url": tmp_path / "none.png"})
