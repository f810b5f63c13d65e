"""The inputs and results of requests: small ones are in the store, large inputs in files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from falmock.engine.files import Files
    from falmock.engine.rows import Request
    from falmock.engine.store import Store

LARGE_INPUT: Final = 16 * 1024  # bytes; a larger body is kept in a file


class Payloads:
    """Reads, writes and deletes payloads."""

    def __init__(self, store: Store, files: Files) -> None:
        self._store = store
        self._files = files

    def keep_input(self, request_id: str, body: bytes) -> str | None:
        """Keep a submitted body; return the name of the file that has it, or None if the store has it."""
        if len(body) > LARGE_INPUT:
            return self._files.keep_body(body)
        self._store.keep(request_id, "input", body)
        return None

    def body(self, request: Request) -> bytes:
        """Return the submitted body.

        Raises:
            FileNotFoundError: the body file is missing.
        """
        if request.body_file is not None:
            return self._files.body(request.body_file)
        return self._store.payload(request.id, "input") or b""

    def kept_body(self, request: Request) -> bytes:
        """Return the submitted body, or nothing if the body file is missing."""
        try:
            return self.body(request)
        except FileNotFoundError:
            return b""

    def output(self, request: Request, now: float) -> bytes | None:
        """Return the body of the result; None before the end and after it expired."""
        if request.expires_at is None or request.expires_at <= now:
            return None
        return self._store.payload(request.id, "output")

    def keep_output(self, request: Request, body: bytes) -> None:
        self._store.keep(request.id, "output", body)

    def drop_output(self, request: Request) -> None:
        """Delete the result."""
        self._store.drop(request.id, "output")

    def drop(self, request: Request) -> None:
        """Delete the input and the result."""
        if request.body_file is not None:
            self._files.drop_body(request.body_file)
        self._store.drop(request.id, "input")
        self.drop_output(request)
