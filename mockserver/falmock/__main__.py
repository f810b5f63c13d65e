"""The start of the command `falmock`, and of `python -m falmock`."""

import sys

EXIT_INTERRUPTED = 130


def main() -> None:
    """Load and run the command. Ctrl-C ends it without a traceback, even while it is loaded."""
    try:
        from falmock.cli.main import main as command  # noqa: PLC0415 - takes a tenth of a second

        command()
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
