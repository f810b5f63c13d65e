"""Tells what of a program would reach the emulator, by trying it where nothing can leak."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from falmock.inspection.ledger import Account
from falmock.intercept import netns
from falmock.protocol.hosts import is_fal

if TYPE_CHECKING:
    from collections.abc import Sequence


class CannotTryError(Exception):
    """A network of its own cannot be had here; the text says why."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a trial showed.

    Attributes:
        code: the program's exit code.
        account: what the emulator saw.
        names: what was looked up past the proxy, and so would have been called there.
    """

    code: int
    account: Account
    names: tuple[str, ...]

    @property
    def leaks(self) -> tuple[str, ...]:
        """Hosts of fal's that the program calls past the emulator."""
        return tuple(name for name in self.names if is_fal(name))

    @property
    def good(self) -> bool:
        """Whether all that the program said to fal reached the emulator."""
        return not self.leaks and not any(map(is_fal, self.account.refused))

    def __str__(self) -> str:
        calls = self.account.calls.items()
        others = [name for name in self.names if not is_fal(name)]
        lines = [
            f"the program ended with {self.code}",
            *(f"reaches the emulator: {host} (calls: {count})" for host, count in calls),
            *([] if calls else ["nothing was said to fal"]),
            *(f"refused: {host} ({_why(host)})" for host in self.account.refused),
            *(f"DOES NOT REACH IT: {name} was looked up past the proxy" for name in self.leaks),
            *(f"not fal's, and past the proxy: {name}" for name in others),
        ]
        return "\n".join(lines)


def examine(command: Sequence[str]) -> Findings:
    """Run a program through `falmock run` in a network of its own, and return what it did.

    Args:
        command: the program.

    Raises:
        CannotTryError: programs are missing, or the system does not let us.
    """
    if lacking := netns.missing():
        raise CannotTryError(f"there is no {' and no '.join(lacking)} here")
    with tempfile.TemporaryDirectory(prefix="falmock-") as folder:
        names, account = Path(folder, "names.json"), Path(folder, "account.json")
        run = [sys.executable, "-m", "falmock", "run", "--sealed", "--account", str(account)]
        code = subprocess.run(  # noqa: S603 - the caller's own program
            [*netns.before(names), *run, "--", *command], check=False
        ).returncode
        if not account.exists():
            raise CannotTryError("the system does not let us have one")
        looked_up = tuple(dict.fromkeys(json.loads(names.read_text())))
        return Findings(code, Account.from_json(json.loads(account.read_text())), looked_up)


def _why(host: str) -> str:
    return "fal's, and not emulated" if is_fal(host) else "not this machine; a trial is sealed"
