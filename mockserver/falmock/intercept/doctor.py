"""Runs a program in a network that has only loopback, and reports which calls reach the emulator."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from falmock.inspection.ledger import Account
from falmock.intercept import netns
from falmock.protocol.hosts import is_fal
from falmock.system import temporary

if TYPE_CHECKING:
    from collections.abc import Sequence


class CannotTryError(Exception):
    """The system cannot isolate the program. The text gives the reason."""


@dataclass(frozen=True, slots=True)
class Findings:
    """The result of a trial.

    Attributes:
        code: exit code of the program.
        account: of the emulator.
        names: host names that were looked up, and so would have been called without the proxy.
    """

    code: int
    account: Account
    names: tuple[str, ...]

    @property
    def leaks(self) -> tuple[str, ...]:
        """Hosts of fal that the program calls without the proxy."""
        return tuple(name for name in self.names if is_fal(name))

    @property
    def good(self) -> bool:
        """Whether all calls to fal reached the emulator."""
        return not self.leaks and not any(map(is_fal, self.account.refused))

    def __str__(self) -> str:
        calls = self.account.calls.items()
        others = [name for name in self.names if not is_fal(name)]
        lines = [
            f"the program ended with {self.code}",
            *(f"reaches the emulator: {host} (calls: {count})" for host, count in calls),
            *([] if calls else ["no calls to fal"]),
            *(f"not emulated: {model} was answered with 404" for model in self.account.models),
            *(f"wrong form: {key} was refused with 401" for key in self.account.keys),
            *(f"not fetched: {url}" for url in self.account.inputs),
            *(f"refused: {host} ({_why(host)})" for host in self.account.refused),
            *(f"DOES NOT REACH THE EMULATOR: {name} was called without the proxy" for name in self.leaks),
            *(f"not fal, called without the proxy: {name}" for name in others),
            "not checked: calls of a page in a browser that you open",
        ]
        return "\n".join(lines)


def examine(command: Sequence[str]) -> Findings:
    """Run a command with `falmock run` in an isolated network, and return the result.

    Raises:
        CannotTryError: the program or a tool is missing, or the system refuses.
    """
    if missing := netns.missing():
        raise CannotTryError(f"there is no {' and no '.join(missing)} here")
    if shutil.which(command[0]) is None:
        raise CannotTryError(f"{command[0]} is not a program")
    with temporary.folder() as folder:
        names, account = folder / "names.json", folder / "account.json"
        run = [sys.executable, "-m", "falmock", "run", "--alone", "--sealed", "--account", str(account)]
        code = subprocess.run(  # noqa: S603 - the program of the caller
            [*netns.prefix(names), *run, "--", *command], check=False
        ).returncode
        if not account.exists():
            raise CannotTryError("the system does not allow it")
        looked_up = tuple(dict.fromkeys(json.loads(names.read_text())))
        return Findings(code, Account.from_json(json.loads(account.read_text())), looked_up)


def _why(host: str) -> str:
    return "a fal host that is not emulated" if is_fal(host) else "another machine, and doctor is sealed"
