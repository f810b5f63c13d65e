"""Fetch a file whole: streamed to disk, resumed by range where the line broke, its length checked."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, Final

import httpx

from falqueue._errors import TransferFailed, UsageError
from falqueue._hosts import origin
from falqueue._replies import worth_asking_again
from falqueue._steps import Ask, Emit, Flow, Read, Work

if TYPE_CHECKING:
    from pathlib import Path

    from falqueue._sending import Sending

CONTENT_RANGE: Final = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
RANGE_NOT_SATISFIABLE: Final = 416


@dataclass(frozen=True, slots=True)
class Progress:
    """Bytes on disk, and how many there will be if fal says so.

    >>> Progress(done=512, total=2048).total
    2048
    """

    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Downloads:
    """The download flow. No key travels with it: fal's files are public (PROTOCOL.md 8.3)."""

    send: Sending

    def fetch(self, url: str, target: Path, size: int | None) -> Flow[Path]:
        """Fetch `url` into `target`, which appears only when it is whole: `size` bytes, if that is known.

        What has arrived is kept beside it under a name made from the URL; a later call goes on from there.
        """
        if origin(url) is None:
            raise UsageError("only http and https addresses can be fetched")
        part = target.with_name(f"{target.name}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part")
        attempt = 0
        while True:
            attempt += 1
            have: int = yield Work(partial(_size, part))
            try:
                trouble = yield from self._go_on(url, part, have, size)
            except httpx.TransportError as error:
                trouble = f"the connection broke ({type(error).__name__})"
            except OSError as error:
                raise TransferFailed(f"cannot write: {error}") from error
            if not trouble:
                yield Work(partial(part.replace, target))
                return target
            if (yield Work(partial(_size, part))) > have:
                attempt = 1  # it moves
            if attempt >= self.send.retries.attempts:
                raise TransferFailed(f"{trouble}; the part that arrived is kept at {part}")
            yield self.send.pause(attempt)

    def _go_on(self, url: str, part: Path, have: int, size: int | None) -> Flow[str]:
        """Fetch what is missing; return what went wrong, nothing if the file is whole."""
        headers = {"accept-encoding": "identity"} | ({"range": f"bytes={have}-"} if have else {})
        reply: httpx.Response = yield Ask("GET", url, headers=headers, stream=True, timeout=60.0)
        start, total = _extent(reply)
        if reply.status_code == RANGE_NOT_SATISFIABLE and have:
            whole = have == total and size in {None, have}
            if not whole:
                yield Work(part.unlink)
            return "" if whole else "the part on disk was longer than the file"
        if not reply.is_success:
            if worth_asking_again(reply):
                return f"HTTP {reply.status_code}"
            raise TransferFailed(f"HTTP {reply.status_code} for {url}")
        if start not in {0, have}:
            raise TransferFailed("the server sent another range than was asked for")
        if size is not None and total is not None and size != total:
            raise TransferFailed(f"the file has {total} bytes, not the {size} that were announced")
        done = yield from self._save(part, start, total)
        wanted = total if size is None else size
        if wanted is not None and done > wanted:
            yield Work(part.unlink)
            raise TransferFailed(f"more than the announced {wanted} bytes arrived")
        return "" if wanted in {None, done} else f"{done} of {wanted} bytes arrived"

    def _save(self, part: Path, start: int, total: int | None) -> Flow[int]:
        file: IO[bytes] = yield Work(partial(part.open, "ab" if start else "wb"))
        done = start
        try:
            while piece := (yield Read()):
                yield Work(partial(file.write, piece))
                done += len(piece)
                yield Emit(Progress(done, total))
        finally:
            file.close()
        return done


def _extent(reply: httpx.Response) -> tuple[int, int | None]:
    """Return where the body starts in the file, and how long the file is."""
    if found := CONTENT_RANGE.fullmatch(reply.headers.get("content-range", "")):
        start, total = found.groups()
        return int(start or 0), None if total == "*" else int(total)
    length = reply.headers.get("content-length", "")
    return 0, int(length) if length.isdecimal() else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
