"""The wire, byte for byte: see `tests/support/answers.py`."""

from __future__ import annotations

import anyio
from answers import FILE, record, write


def test_answers_are_byte_identical_to_the_recorded_ones() -> None:
    assert "".join(write(anyio.run(record))) == FILE.read_text()
