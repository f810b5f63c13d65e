"""The start of the command `falmock`, and of `python -m falmock`."""

import os
import sys

EXIT_INTERRUPTED = 130


def main() -> None:
    """Load and run the command. Ctrl-C ends it without a traceback, even while it is loaded."""
    _open_closed_streams()
    try:
        from falmock.cli.main import main as command  # noqa: PLC0415 - takes a tenth of a second

        command()
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def _open_closed_streams() -> None:
    """Open the standard streams that are closed, as after `<&-`: no socket may get their numbers."""
    for number, (name, mode) in enumerate({"stdin": "r", "stdout": "w", "stderr": "w"}.items()):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - gets the lowest free number
            setattr(sys, name, os.fdopen(number, mode))


if __name__ == "__main__":
    main()
