"""Runs a command as a shell would: same streams, same signals, same exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FORWARDED: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
FROM_KEYBOARD: Final = (signal.SIGINT, signal.SIGQUIT)
NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
KILLED: Final = 128  # plus the number of the signal, as in shells
PAST: Final = frozenset({"workerd"})  # programs that ignore the proxy variables
LOOK_SECONDS: Final = 0.1  # between two looks at the children of a program


class NotStartedError(Exception):
    """The command could not be started. `code` is the exit code of a shell."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended."""

    code: int  # as a shell reports it
    past: frozenset[str] = frozenset()  # the programs of `PAST` that were among its children; Linux only


class SignalForwarder:
    """Forwards signals to a program, including those that arrive before it starts.

    At a terminal the program stays in the foreground, so the terminal itself sends it Ctrl-C. Elsewhere it
    gets a new session, so that signals reach its children too.
    """

    def __init__(self) -> None:
        self.at_terminal = _in_foreground()
        self._pid: int | None = None
        self._early: list[signal.Signals] = []

    def __enter__(self) -> Self:
        for number in FORWARDED:
            asyncio.get_running_loop().add_signal_handler(number, self._forward, number)
        return self

    def __exit__(self, *_: object) -> None:
        for number in FORWARDED:
            asyncio.get_running_loop().remove_signal_handler(number)

    def attach(self, pid: int) -> None:
        self._pid = pid
        for number in self._early:
            self._forward(number)

    def _forward(self, number: signal.Signals) -> None:
        if self._pid is None:
            self._early.append(number)
            return
        with suppress(ProcessLookupError):
            if not self.at_terminal:
                os.killpg(self._pid, number)
            elif number not in FROM_KEYBOARD:
                os.kill(self._pid, number)


async def launch(command: Sequence[str], environment: Mapping[str, str], forwarder: SignalForwarder) -> Ended:
    """Run a command to its end.

    Raises:
        NotStartedError: the program does not exist or cannot be executed.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command, env=dict(environment), start_new_session=not forwarder.at_terminal
        )
    except FileNotFoundError:
        raise NotStartedError(f"{command[0]}: command not found", NOT_FOUND) from None
    except OSError as error:
        raise NotStartedError(f"{command[0]}: {error.strerror}", NOT_EXECUTABLE) from None
    forwarder.attach(process.pid)
    past: frozenset[str] = frozenset()
    while process.returncode is None:
        past |= PAST.intersection(_names(process.pid))
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), LOOK_SECONDS)
    code = process.returncode
    return Ended(code if code >= 0 else KILLED - code, past)


def _names(pid: int) -> Iterator[str]:
    """Yield the names of a process and all processes below it. Each may end at any time."""
    folder = Path(f"/proc/{pid}")
    with suppress(OSError):
        yield (folder / "comm").read_text(errors="replace").rstrip()  # cut at 15 bytes, or not UTF-8
    for children in folder.glob("task/*/children"):  # a list for each thread
        with suppress(OSError):
            for child in children.read_text().split():
                yield from _names(int(child))


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):  # no terminal, or no standard input
        return False
