"""Downloads: complete or an error, and resumed after a broken connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

import falqueue
from falqueue import Client, File, Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import respx

URL = "https://v3.fal.media/files/zebra/uNu_output.mp4"
CONTENT = b"0123456789"
Streamed = Any


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out.mp4"


@pytest.fixture
def ranged(streamed: Streamed) -> Callable[[httpx.Request], httpx.Response]:
    """A server that supports range requests."""

    def answer(request: httpx.Request) -> httpx.Response:
        start = int(request.headers.get("range", "bytes=0-")[6:-1])
        if start >= len(CONTENT):
            return httpx.Response(416, headers={"content-range": f"bytes */{len(CONTENT)}"})
        headers = {"content-range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"} if start else {}
        length = {"content-length": str(len(CONTENT) - start)}
        made: httpx.Response = streamed(
            CONTENT[start:], status=206 if start else 200, headers=headers | length
        )
        return made

    return answer


def in_turn(*answers: Any) -> Callable[[httpx.Request], Any]:
    """Answer with each in turn; a function is called with the request."""
    left = iter(answers)

    def answer(request: httpx.Request) -> Any:
        ready = next(left)
        return ready(request) if callable(ready) else ready

    return answer


def left_over(target: Path) -> list[Path]:
    return sorted(path for path in target.parent.iterdir() if path != target)


def test_a_download_writes_the_file_and_leaves_nothing_else(
    client: Client, fal: respx.Router, target: Path, ranged: Any
) -> None:
    fal.get(URL).mock(side_effect=ranged)
    assert client.download(URL, target) == target
    assert (target.read_bytes(), left_over(target)) == (CONTENT, [])


def test_a_file_of_an_output_is_downloaded(
    client: Client, fal: respx.Router, target: Path, ranged: Any
) -> None:
    fal.get(URL).mock(side_effect=ranged)
    assert client.download(File(url=URL, file_size=10), target).read_bytes() == CONTENT


def test_the_key_is_not_sent_with_a_download(
    client: Client, fal: respx.Router, target: Path, ranged: Any
) -> None:
    fal.get(URL).mock(side_effect=ranged)
    client.download(URL, target)
    assert "authorization" not in fal.calls[0].request.headers


def test_download_progress_is_reported(
    client: Client, fal: respx.Router, target: Path, streamed: Streamed
) -> None:
    fal.get(URL).mock(return_value=streamed(b"0123", b"456789", headers={"content-length": "10"}))
    seen: list[Progress] = []
    client.download(URL, target, on_progress=seen.append)
    assert seen == [Progress(4, 10), Progress(10, 10)]


def test_a_broken_download_is_resumed_where_it_broke(
    client: Client, fal: respx.Router, target: Path, streamed: Streamed, ranged: Any
) -> None:
    broken = streamed(b"0123", httpx.ReadError("gone"), headers={"content-length": "10"})
    fal.get(URL).mock(side_effect=in_turn(broken, ranged))
    assert client.download(URL, target).read_bytes() == CONTENT
    assert fal.calls[1].request.headers["range"] == "bytes=4-"


def test_a_later_download_continues_where_an_earlier_one_gave_up(
    client: Client, fal: respx.Router, target: Path, streamed: Streamed, ranged: Any
) -> None:
    first = iter([streamed(b"0123", httpx.ReadError("gone"), headers={"content-length": "10"})])
    route = fal.get(URL).mock(side_effect=lambda _: next(first, httpx.Response(503)))
    with pytest.raises(falqueue.TransferFailed, match="HTTP 503"):
        client.download(URL, target)
    route.mock(side_effect=ranged)
    assert client.download(URL, target).read_bytes() == CONTENT
    assert fal.calls.last.request.headers["range"] == "bytes=4-"


def test_a_download_starts_again_if_the_server_ignores_ranges(
    client: Client, fal: respx.Router, target: Path, streamed: Streamed
) -> None:
    fal.get(URL).mock(
        side_effect=[
            streamed(b"0123", httpx.ReadError("gone"), headers={"content-length": "10"}),
            streamed(CONTENT, headers={"content-length": "10"}),
        ]
    )
    assert client.download(URL, target).read_bytes() == CONTENT


def test_a_download_that_is_too_short_is_not_accepted(
    client: Client, fal: respx.Router, target: Path, streamed: Streamed
) -> None:
    fal.get(URL).mock(side_effect=lambda _: streamed(b"0123"))
    with pytest.raises(falqueue.TransferFailed, match="4 of 10 bytes"):
        client.download(File(url=URL, file_size=10), target)
    assert not target.exists()


@pytest.mark.parametrize("length", [{}, {"content-length": "12"}])
def test_a_download_that_is_too_long_is_not_accepted(
    client: Client, fal: respx.Router, target: Path, streamed: Streamed, length: dict[str, str]
) -> None:
    fal.get(URL).mock(side_effect=lambda _: streamed(CONTENT + b"xx", headers=length))
    with pytest.raises(falqueue.TransferFailed, match="announced"):
        client.download(File(url=URL, file_size=10), target)
    assert not target.exists()


def test_a_download_with_another_range_than_requested_is_not_accepted(
    client: Client, fal: respx.Router, target: Path, streamed: Streamed
) -> None:
    wrong = streamed(b"89", status=206, headers={"content-range": "bytes 8-9/10"})
    fal.get(URL).mock(
        side_effect=[streamed(b"0123", httpx.ReadError("x"), headers={"content-length": "10"}), wrong]
    )
    with pytest.raises(falqueue.TransferFailed, match="another range"):
        client.download(URL, target)


def test_a_part_that_is_already_complete_becomes_the_file(
    client: Client, fal: respx.Router, target: Path, streamed: Streamed, ranged: Any
) -> None:
    fal.get(URL).mock(side_effect=in_turn(streamed(CONTENT, httpx.ReadError("gone")), ranged))
    assert client.download(URL, target).read_bytes() == CONTENT


def test_a_part_that_is_longer_than_the_file_is_discarded(
    client: Client, fal: respx.Router, target: Path, streamed: Streamed, ranged: Any
) -> None:
    fal.get(URL).mock(side_effect=in_turn(streamed(CONTENT + b"xx", httpx.ReadError("gone")), ranged, ranged))
    assert client.download(URL, target).read_bytes() == CONTENT


def test_a_download_to_a_missing_folder_is_an_error(
    client: Client, fal: respx.Router, tmp_path: Path, ranged: Any
) -> None:
    fal.get(URL).mock(side_effect=ranged)
    with pytest.raises(falqueue.TransferFailed, match="cannot write"):
        client.download(URL, tmp_path / "nowhere" / "out.mp4")


@pytest.mark.parametrize("code", [403, 404, 410])
def test_a_download_of_a_missing_file_is_not_retried(
    client: Client, fal: respx.Router, target: Path, code: int
) -> None:
    route = fal.get(URL).respond(code)
    with pytest.raises(falqueue.TransferFailed, match=f"HTTP {code}"):
        client.download(URL, target)
    assert (route.call_count, left_over(target)) == (1, [])


@pytest.mark.parametrize("url", ["file:///etc/passwd", "data:,x", "v3.fal.media/x", ""])
def test_only_http_urls_can_be_downloaded(client: Client, target: Path, url: str) -> None:
    with pytest.raises(falqueue.UsageError):
        client.download(url, target)


def broken(streamed: Streamed, content: bytes = b"0123") -> httpx.Response:
    made: httpx.Response = streamed(content, httpx.ReadError("gone"), headers={"content-length": "10"})
    return made


def test_a_partial_download_without_its_range_is_not_accepted(
    client: Client, fal: respx.Router, target: Path, streamed: Streamed
) -> None:
    fal.get(URL).mock(side_effect=[broken(streamed), streamed(b"456789", status=206)])
    with pytest.raises(falqueue.TransferFailed, match="another range"):
        client.download(URL, target)
    assert not target.exists()


def test_a_download_starts_again_after_a_416_without_the_size(
    client: Client, fal: respx.Router, target: Path, streamed: Streamed, ranged: Any
) -> None:
    refused = httpx.Response(416, text="0123")  # as long as the part on disk
    fal.get(URL).mock(side_effect=in_turn(broken(streamed), refused, ranged))
    assert client.download(URL, target).read_bytes() == CONTENT


def test_a_compressed_download_is_not_accepted(
    client: Client, fal: respx.Router, target: Path, streamed: Streamed
) -> None:
    fal.get(URL).mock(side_effect=lambda _: streamed(CONTENT, headers={"content-encoding": "gzip"}))
    with pytest.raises(falqueue.TransferFailed, match="compressed"):
        client.download(URL, target)
    assert not target.exists()


def test_a_download_is_tried_again_after_an_error_page_that_cannot_be_read(
    client: Client, fal: respx.Router, target: Path, streamed: Streamed, ranged: Any
) -> None:
    page = streamed(b"no gzip", status=502, headers={"content-encoding": "gzip"})
    fal.get(URL).mock(side_effect=in_turn(page, ranged))
    assert client.download(URL, target).read_bytes() == CONTENT


def test_a_download_over_a_folder_is_an_error(
    client: Client, fal: respx.Router, tmp_path: Path, ranged: Any
) -> None:
    (tmp_path / "out.mp4").mkdir()
    fal.get(URL).mock(side_effect=ranged)
    with pytest.raises(falqueue.TransferFailed, match="cannot write"):
        client.download(URL, tmp_path / "out.mp4")
