"""What ffmpeg may know of the environment."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from emulated import opened

from falmock.engine.clock import ManualClock
from falmock.media import find_ffmpeg
from falmock.media.environment import environment

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

WRAPPER = """#!{python}
import json, os, sys
with open({noted!r}, "a") as sink:
    sink.write(json.dumps([name for name in os.environ if name.upper().startswith("FAL")]) + "\\n")
os.execv({ffmpeg!r}, [{ffmpeg!r}, *sys.argv[1:]])
"""


def test_the_emulators_own_variables_are_left_out() -> None:
    before = {"PATH": "/bin", "LANG": "C", "FALMOCK_KEYS": "a:b", "FAL_KEY": "a:b", "fal_key_secret": "b"}

    assert environment(before) == {"PATH": "/bin", "LANG": "C"}


async def test_ffmpeg_sees_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAL_KEY", "me:secret")
    monkeypatch.setenv("FALMOCK_KEYS", "me:secret")
    advertise, wrapper = tmp_path / "noted", tmp_path / "wrapper"
    wrapper.write_text(WRAPPER.format(python=sys.executable, advertise=str(advertise), ffmpeg=find_ffmpeg()))
    wrapper.chmod(0o700)

    async with opened(tmp_path / "renders", ManualClock(), ffmpeg=str(wrapper)) as mock:
        assert (await mock.finish()).status_code == 200

    assert [json.loads(line) for line in advertise.read_text().splitlines()] == [[], []]
