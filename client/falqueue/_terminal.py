"""What a person sees of a job: one live line in a terminal, plain lines anywhere else."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from falqueue import Completed, InProgress, Progress, Queued, Status, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress as Bar


class View(Protocol):
    """Shows how it goes."""

    def status(self, status: Status) -> None:
        """Show a status, and its log lines."""

    def progress(self, progress: Progress) -> None:
        """Show how much of the file has arrived."""

    def say(self, text: str) -> None:
        """Show a line that stays."""


@contextmanager
def view(stream: TextIO) -> Iterator[View]:
    """Show on `stream` what happens meanwhile.

    Raises:
        UsageError: `stream` is a terminal and the package that draws there is not installed.
    """
    if not stream.isatty():
        yield _Lines(stream)
        return
    try:
        from rich.console import Console  # noqa: PLC0415 - an extra
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415
        from rich.progress import Progress as LiveBar  # noqa: PLC0415
    except ImportError as error:
        raise UsageError("the progress line needs rich: pip install 'falmock[cli]'") from error
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with LiveBar(*columns, console=Console(file=stream), transient=True) as bar:
        yield _Live(bar)


def describe(status: Status) -> str:
    """Return a status in fal's word and what goes with it.

    >>> describe(Queued("019e", position=2))
    'IN_QUEUE, 2 ahead'
    """
    match status:
        case Queued(position=position):
            return f"IN_QUEUE, {position} ahead"
        case InProgress():
            return "IN_PROGRESS"
        case Completed(inference_time=None):
            return "COMPLETED"
        case Completed(inference_time=seconds):
            return f"COMPLETED, ran {seconds:.1f} s"


class _Lines:
    """Writes a line when something changes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._last = stream, ""

    def status(self, status: Status) -> None:
        if (text := describe(status)) != self._last:
            self._last = text
            self.say(text)
        for entry in () if isinstance(status, Queued) else status.logs:
            self.say(f"  {entry.message}")

    def progress(self, progress: Progress) -> None:
        if progress.done == progress.total:
            self.say(f"fetched {progress.done} bytes")

    def say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class _Live:
    """Draws one line over and over; log lines scroll away above it."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._task = bar.add_task("submitted", total=None)

    def status(self, status: Status) -> None:
        self._bar.update(self._task, description=describe(status))
        for entry in () if isinstance(status, Queued) else status.logs:
            self.say(f"  {entry.message}")

    def progress(self, progress: Progress) -> None:
        self._bar.update(self._task, description="fetching", completed=progress.done, total=progress.total)

    def say(self, text: str) -> None:
        self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
