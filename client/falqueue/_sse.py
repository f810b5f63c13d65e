"""Server-sent events, as far as fal uses them: one `data:` line per event, comments in between."""

from __future__ import annotations


class EventBuffer:
    """Takes bytes as they come, gives back the data of each finished event.

    >>> buffer = EventBuffer()
    >>> buffer.feed(b'data: {"a": 1}\\n'), buffer.feed(b": ping\\n\\n")
    ([], ['{"a": 1}'])
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> list[str]:
        """Return the data of the events that `piece` completes."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
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
