"""A parser for the server-sent events that fal uses: `data:` lines and comments."""

from __future__ import annotations


class EventBuffer:
    """Collects bytes and returns the data of each complete event.

    >>> buffer = EventBuffer()
    >>> buffer.feed(b'data: {"a": 1}\\n'), buffer.feed(b": ping\\n\\n")
    ([], ['{"a": 1}'])
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[str]:
        """Return the data of the events that `chunk` completes."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [
            data
            for line in lines
            if (data := self._line(line.removesuffix(b"\r").decode("utf-8", "replace")))
        ]

    def _line(self, line: str) -> str:
        if line.startswith("data:"):
            self._data.append(line.removeprefix("data:").removeprefix(" "))
        if line:
            return ""
        data, self._data = "\n".join(self._data), []
        return data
