"""Runs a program, and kills it when the parent has gone: `python supervisor.py PROGRAM [ARGUMENT...]`.

Standard input is a pipe whose other end only the parent has. The system closes it when the parent ends,
however it ends, and the parent closes it to end the program. Linux has a signal for the first
(PR_SET_PDEATHSIG), but it does not reach what a wrapper script has started, and macOS has none.

It imports no more than it needs, so that it starts in 20 ms.
"""

import os
import resource
import signal
import sys
from types import FrameType

NOT_STARTED = 127  # the exit code of a shell that finds no program
KILLED = 128 + signal.SIGKILL
MAX_FILE = 1024 * 1024 * 1024  # bytes that the program may write to one file


def main(command: list[str]) -> None:
    """Run a command in a process group of its own, and exit as it does."""
    child = 0

    def ended(signum: int, frame: FrameType | None) -> None:
        del signum, frame
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:  # one that could not be started has been waited for
            return
        if pid:
            _kill_group(pid)  # what it has left behind
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)

    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_FILE, MAX_FILE))
    signal.signal(signal.SIGCHLD, ended)
    try:
        child = os.posix_spawnp(
            command[0],
            command,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
            setpgroup=0,
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # Python ignores these
        )
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(NOT_STARTED)
    os.read(0, 1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _kill_group(child)
    os.waitpid(child, 0)
    os._exit(KILLED)


def _kill_group(leader: int) -> None:
    try:  # noqa: SIM105 - contextlib takes time to import
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # nobody is left in it; macOS says "not permitted" of zombies


if __name__ == "__main__":
    main(sys.argv[1:])
