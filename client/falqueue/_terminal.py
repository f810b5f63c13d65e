"""Shows progress: one line that changes in a terminal, plain lines elsewhere."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import falqueue as fq

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress as Bar


@contextmanager
def view(stream: TextIO) -> Iterator[_Lines | _Live]:
    """Show progress on `stream`.

    Raises:
        UsageError: `stream` is a terminal and rich is not installed.
    """
    if not stream.isatty():
        yield _Lines(stream)
        return
    try:
        from rich.console import Console  # noqa: PLC0415 - an extra
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415
        from rich.progress import Progress as LiveBar  # noqa: PLC0415
    except ImportError as error:
        raise fq.UsageError("the progress line needs rich: pip install 'falmock[cli]'") from error
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with LiveBar(*columns, console=Console(file=stream), transient=True) as bar:
        yield _Live(bar)


def describe(status: fq.Status) -> str:
    """Return a status with its position or duration.

    >>> describe(fq.Queued("019e", position=2))
    'IN_QUEUE, 2 ahead'
    """
    match status:
        case fq.Queued(position=position):
            return f"IN_QUEUE, {position} ahead"
        case fq.InProgress():
            return "IN_PROGRESS"
        case fq.Completed(inference_time=None):
            return "COMPLETED"
        case fq.Completed(inference_time=seconds):
            return f"COMPLETED, ran {seconds:.1f} s"


def _log_lines(status: fq.Status) -> list[str]:
    return [] if isinstance(status, fq.Queued) else [f"  {entry.message}" for entry in status.logs]


class _Lines:
    """Prints a line for each change."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._last = stream, ""

    def status(self, status: fq.Status) -> None:
        text = describe(status)
        new = [] if text == self._last else [text]
        self._last = text
        for line in new + _log_lines(status):
            print(line, file=self._stream, flush=True)

    def progress(self, progress: fq.Progress) -> None:
        if progress.done == progress.total:
            print(f"downloaded {progress.done} bytes", file=self._stream, flush=True)


class _Live:
    """Updates one line; log entries scroll above it."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._task = bar.add_task("submitted", total=None)

    def status(self, status: fq.Status) -> None:
        self._bar.update(self._task, description=describe(status))
        for line in _log_lines(status):
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def progress(self, progress: fq.Progress) -> None:
        done, total = progress.done, progress.total
        self._bar.update(self._task, description="downloading", completed=done, total=total)
