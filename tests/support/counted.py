"""Runs the command falmock, which prints the number of its asyncio tasks at each SIGUSR1."""

from __future__ import annotations

import asyncio
import signal
import sys

from falmock.cli.main import main


def count(*_: object) -> None:
    print(f"tasks: {len(asyncio.all_tasks())}", file=sys.stderr, flush=True)  # noqa: T201 - the test reads it


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, count)
    main()
