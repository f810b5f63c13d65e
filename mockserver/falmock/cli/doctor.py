"""The command `doctor`: checks this machine, or a program in a network that has only loopback."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from itertools import filterfalse
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from falmock.app import FfmpegNotFound, find_ffmpeg
from falmock.cli.joining import describe
from falmock.cli.options import command_argument, state_option
from falmock.cli.serve import LOOPBACK, PORT
from falmock.inspection.ledger import Account
from falmock.intercept import netns
from falmock.intercept.authority import DamagedCAError, certificate_of
from falmock.intercept.certificates import check_ca
from falmock.intercept.server_info import find, running
from falmock.protocol.authorities import parse_url
from falmock.protocol.hosts import is_fal
from falmock.system import temporary

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

Check = tuple[bool, str]  # whether all is well, and a sentence

SOCKETS: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
LISTENING: Final = "0A"  # a state in these files
PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@click.command(context_settings={"allow_interspersed_args": False})
@state_option("State folder to check; only without a command.")
@command_argument(required=False)
def doctor(command: tuple[str, ...], state: Path) -> int:
    """Check this machine, or which calls of a program reach the emulator.

    With a command, the program runs in a network that has nothing but loopback, through a sealed
    `falmock run`. This takes Linux, and the programs unshare and ip. Exits with 1 if a call to fal misses
    the emulator. Without a command, exits with 1 if `falmock serve` would not work here.
    """
    checks = list(try_program(command) if command else check_machine(state))
    for good, text in checks:
        click.echo(text if command else f"{'ok     ' if good else 'PROBLEM'}  {text}")
    return 0 if all(good for good, _ in checks) else 1


def check_machine(state: Path) -> Iterator[Check]:
    """Yield whether this machine has what the emulator needs."""
    yield _ffmpeg()
    server = find(state)
    others = [each for each in running() if each != server]
    if server is not None:
        yield True, f"state folder {state}: an emulator serves it at {server.http}"
    else:
        yield _folder(state)
        if all(parse_url(each.http).port != PORT for each in others):
            yield _port()
    for other in others:
        yield True, f"another emulator runs at {describe(other)}"
    yield _authority(state / "ca")
    if found := [name for name in PROXIES if os.environ.get(name)]:
        yield True, f"proxy: {', '.join(found)}; falmock run replaces it for its program"
    missing = netns.missing()
    where = f"not here, there is no {' and no '.join(missing)}" if missing else "its programs are installed"
    yield True, f"falmock doctor -- CMD: {where}"


def _ffmpeg() -> Check:
    try:
        return True, f"ffmpeg: {find_ffmpeg()}"
    except FfmpegNotFound as error:
        return False, f"{error} Name one with --ffmpeg."


def _folder(state: Path) -> Check:
    place = state.absolute()
    while not place.exists():
        place = place.parent
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        return False, f"state folder {state}: cannot write to {place}; name another with --state"
    return True, f"state folder {state}: {'writable' if state.exists() else 'made at the first start'}"


def _port() -> Check:
    with socket.socket() as probe:
        if probe.connect_ex((LOOPBACK, PORT)) != 0:
            return True, f"port {PORT}: free"
    return False, f"port {PORT}: {_listener(PORT)} listens there; choose another with --port"


def _listener(port: int) -> str:
    """Name the process that listens on a port, on Linux and if this user may see it."""
    rows = (line.split() for file in SOCKETS if file.exists() for line in file.read_text().splitlines()[1:])
    sockets = {
        f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{port:04X}") and row[3] == LISTENING
    }
    for descriptor in Path("/proc").glob("[0-9]*/fd/*") if sockets else ():
        with suppress(OSError):  # the process has ended, or is another user's
            if str(descriptor.readlink()) in sockets:
                process = descriptor.parents[1]
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    return "another program"


def _authority(folder: Path) -> Check:
    path = certificate_of(folder)
    if not path.exists():
        return True, f"certificate {path}: made at the first start"
    try:
        check_ca(folder)
    except (DamagedCAError, OSError) as error:
        return False, f"certificate {path}: {error}"
    return True, f"certificate {path}: valid"


def try_program(command: Sequence[str]) -> Iterator[Check]:
    """Run a command with `falmock run` in a network that has only loopback, and yield its calls."""
    if missing := netns.missing():
        raise _cannot_try(f"there is no {' and no '.join(missing)} here")
    if shutil.which(command[0]) is None:
        raise _cannot_try(f"{command[0]} is not a program")
    with temporary.folder() as folder:
        looked_up, summary = folder / "names.json", folder / "account.json"
        run = [sys.executable, "-m", "falmock", "run", "--alone", "--sealed", "--account", str(summary)]
        code = subprocess.run(  # noqa: S603 - the program of the caller
            [*netns.prefix(looked_up), *run, "--", *command], check=False
        ).returncode
        if not summary.exists():
            raise _cannot_try("the system does not allow it")
        names = dict.fromkeys(json.loads(looked_up.read_text()))  # called without the proxy
        account = Account.from_json(json.loads(summary.read_text()))
    yield True, f"the program ended with {code}"
    yield from _seen(account, names)
    yield True, "not checked: calls of a page in a browser that you open"


def _seen(account: Account, names: Collection[str]) -> Iterator[Check]:
    for host, count in account.calls.items():
        yield True, f"reaches the emulator: {host} (calls: {count})"
    if not account.calls:
        yield True, "no calls to fal"
    for model in account.models:
        yield True, f"not emulated: {model} was answered with 404"
    for key in account.keys:
        yield True, f"wrong form: {key} was refused with 401"
    for url in account.inputs:
        yield True, f"not fetched: {url}"
    for host in account.refused:
        why = "a fal host that is not emulated" if is_fal(host) else "another machine, and doctor is sealed"
        yield not is_fal(host), f"refused: {host} ({why})"
    for name in filter(is_fal, names):
        yield False, f"DOES NOT REACH THE EMULATOR: {name} was called without the proxy"
    for name in filterfalse(is_fal, names):
        yield True, f"not fal, called without the proxy: {name}"


def _cannot_try(why: str) -> click.ClickException:
    return click.ClickException(f"cannot run the program in a separate network: {why}")
