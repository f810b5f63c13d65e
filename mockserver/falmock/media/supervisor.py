"""Runs a program and kills it when the parent has ended: `python supervisor.py MEMORY PROGRAM [ARGUMENT...]`.

MEMORY is the number of bytes that the program may use, 0 for no limit.

Standard input is a pipe to the parent, which is closed when the parent ends or is killed,
or by the parent to end the program. Linux can send a signal instead (PR_SET_PDEATHSIG), but not to the
children of a wrapper script; macOS cannot.

It imports few modules, to start in 20 ms.
"""

import os
import resource
import signal
import sys
from types import FrameType

NOT_STARTED = 127  # a shell's exit code for a program that it does not find
KILLED = 128 + signal.SIGKILL
MAX_FILE = 1024 * 1024 * 1024  # bytes that the program may write to one file


def main(memory: int, command: list[str]) -> None:
    """Run a command in a new process group, and exit with its exit code."""
    child = 0

    def ended(signum: int, frame: FrameType | None) -> None:
        del signum, frame
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:  # the child could not be started
            return
        if pid:
            _kill_group(pid)  # its remaining children
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)

    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_FILE, MAX_FILE))
    if memory:
        try:  # noqa: SIM105 - contextlib takes time to import
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        except ValueError:
            pass  # macOS has no such limit
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
        pass  # the group is empty; macOS reports a zombie as "not permitted"


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
