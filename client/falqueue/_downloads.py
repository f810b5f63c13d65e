"""Downloads: streamed to disk, resumed with range requests, checked for their length."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, Final

import httpx

from falqueue._errors import TransferFailed
from falqueue._handle import UsageError
from falqueue._sending import is_transient
from falqueue._steps import Emit, Flow, HttpRequest, ReadChunk, RunBlocking
from falqueue._types import origin

if TYPE_CHECKING:
    from pathlib import Path

    from falqueue._sending import Sender

CONTENT_RANGE: Final = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
OK: Final = 200
RANGE_NOT_SATISFIABLE: Final = 416


@dataclass(frozen=True, slots=True)
class Progress:
    """Bytes on disk, and the size of the file if known.

    >>> Progress(done=512, total=2048).total
    2048
    """

    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Downloads:
    sender: Sender

    def fetch(self, url: str, target: Path, size: int | None) -> Flow[Path]:
        """Download `url`, without a key: fal's files are public (PROTOCOL.md 8.3).

        The bytes go to a `.part` file named after the URL, from which a later call continues. It becomes
        `target` when it has `size` bytes, or as many as the server announces.
        """
        if origin(url) is None:
            raise UsageError("only http and https URLs can be downloaded")
        part = target.with_name(f"{target.name}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part")
        attempt = 0
        while True:
            attempt += 1
            have: int = yield RunBlocking(partial(_size, part))
            try:
                problem = yield from self._continue(url, part, have, size)
                if not problem:
                    yield RunBlocking(partial(part.replace, target))
                    return target
            except httpx.RequestError as error:
                problem = f"the connection broke ({type(error).__name__})"
            except OSError as error:
                raise TransferFailed(f"cannot write: {error}") from error
            if (yield RunBlocking(partial(_size, part))) > have:
                attempt = 1
            if attempt >= self.sender.retries.max_attempts:
                raise TransferFailed(f"{problem}; the next download continues from {part}")
            yield from self.sender.sleep(attempt)

    def _continue(self, url: str, part: Path, have: int, size: int | None) -> Flow[str]:
        """Fetch the missing bytes. Return "", or a problem that another attempt may solve."""
        headers = {"accept-encoding": "identity"} | ({"range": f"bytes={have}-"} if have else {})
        response: httpx.Response = yield HttpRequest("GET", url, headers=headers, stream=True, timeout=60.0)
        start, total = _extent(response)
        if response.status_code == RANGE_NOT_SATISFIABLE and have:
            complete = have == total and size in {None, have}
            if not complete:
                yield RunBlocking(part.unlink)
            return "" if complete else "the part on disk was longer than the file"
        if not response.is_success:
            if is_transient(response):
                return f"HTTP {response.status_code}"
            raise TransferFailed(f"HTTP {response.status_code} for {url}")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise TransferFailed("the server sent the file compressed, although it was asked not to")
        if start not in {0, have}:
            raise TransferFailed("the server sent another range than requested")
        if size is not None and total is not None and size != total:
            raise TransferFailed(f"the file has {total} bytes instead of the announced {size}")
        done = yield from self._save(part, start, total)
        expected = total if size is None else size
        if expected is not None and done > expected:
            yield RunBlocking(part.unlink)
            raise TransferFailed(f"more than the announced {expected} bytes arrived")
        return "" if expected in {None, done} else f"{done} of {expected} bytes arrived"

    def _save(self, part: Path, start: int, total: int | None) -> Flow[int]:
        file: IO[bytes] = yield RunBlocking(partial(part.open, "ab" if start else "wb"))
        done = start
        try:
            while chunk := (yield ReadChunk()):
                yield RunBlocking(partial(file.write, chunk))
                done += len(chunk)
                yield Emit(Progress(done, total))
        finally:
            file.close()
        return done


def _extent(response: httpx.Response) -> tuple[int | None, int | None]:
    """Return the offset of the body in the file, and the size of the file; None where not known."""
    if found := CONTENT_RANGE.fullmatch(response.headers.get("content-range", "")):
        start, total = found.groups()
        return int(start or 0), None if total == "*" else int(total)
    if response.status_code != OK:
        return None, None
    length = response.headers.get("content-length", "")
    return 0, int(length) if length.isdecimal() else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
