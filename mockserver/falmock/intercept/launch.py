"""Runs a command as if it had been called directly: same streams, same signals, same exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PASSED_ON: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
KILLED: Final = 128  # and the number of the signal, as shells say it


class NotStartedError(Exception):
    """The command could not be started; `code` is what a shell would exit with."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


async def launch(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command to its end, and return its exit code.

    At a terminal the command stays in the terminal's foreground, which sends it Ctrl-C by itself.
    Elsewhere it leads a process group, so that signals reach all that it started.

    Raises:
        NotStartedError: there is no such program, or it cannot be run.
    """
    at_terminal = _in_foreground()
    try:
        process = await asyncio.create_subprocess_exec(
            *command, env=dict(environment), start_new_session=not at_terminal
        )
    except FileNotFoundError:
        raise NotStartedError(f"{command[0]}: command not found", NOT_FOUND) from None
    except OSError as error:
        raise NotStartedError(f"{command[0]}: {error.strerror}", NOT_EXECUTABLE) from None
    with _signals_passed_on(process, at_terminal=at_terminal):
        code = await process.wait()
    return code if code >= 0 else KILLED - code


@contextmanager
def _signals_passed_on(process: asyncio.subprocess.Process, *, at_terminal: bool) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    from_keyboard = {signal.SIGINT, signal.SIGQUIT} if at_terminal else set()

    def pass_on(number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if number in from_keyboard:
                return
            if at_terminal:
                process.send_signal(number)
            else:
                os.killpg(process.pid, number)

    for number in PASSED_ON:
        loop.add_signal_handler(number, pass_on, number)
    try:
        yield
    finally:
        for number in PASSED_ON:
            loop.remove_signal_handler(number)


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):  # no terminal, or no standard input at all
        return False
