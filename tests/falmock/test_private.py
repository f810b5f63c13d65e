"""Files that only their owner can read."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from falmock import private

if TYPE_CHECKING:
    from pathlib import Path


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    private.write(tmp_path / "secret", b"hush")

    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_what_a_killed_process_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "secret.part").write_bytes(b"hu")

    private.write(tmp_path / "secret", b"hush")

    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("secret", b"hush")]
