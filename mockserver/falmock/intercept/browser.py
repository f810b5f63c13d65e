"""Opens a page in a browser that is led to an emulator, as `falmock run` leads programs."""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING, Final

from falmock.intercept.certificates import key_digest
from falmock.intercept.launch import SignalForwarder, launch
from falmock.system import temporary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NEEDED: Final = ("FALMOCK_SERVER", "HTTPS_PROXY", "NODE_EXTRA_CA_CERTS")  # of the variables of `falmock run`
LONGEST_FOLDER: Final = 55  # characters: 104 on macOS, less those of the names that Chromium adds
FLAGS: Final = (
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def is_led(environment: Mapping[str, str]) -> bool:
    """Check whether an environment is that of a program of `falmock run`."""
    return all(environment.get(name) for name in NEEDED)


async def open_page(program: str, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a browser to its end, with a temporary profile, and return its exit code.

    Args:
        program: Chromium, or a browser made of it.
        arguments: further flags, and the URL.
        environment: of a program of `falmock run`.

    Raises:
        OSError: the emulator does not answer.
        NotStartedError: the browser cannot be executed.
    """
    server = json.loads(environment["FALMOCK_SERVER"])
    certificate = ssl.get_server_certificate(
        (server["host"], server["https"]), ca_certs=environment["NODE_EXTRA_CA_CERTS"]
    )
    with SignalForwarder() as forwarder, temporary.folder() as folder:
        command = (
            program,
            *FLAGS,
            f"--user-data-dir={folder / 'profile'}",
            f"--proxy-server={environment['HTTPS_PROXY']}",
            f"--ignore-certificate-errors-spki-list={key_digest(certificate)}",
            *arguments,
        )
        # A browser that a signal ends leaves a folder with a socket, and the path of a socket must be short.
        temporaries = {"TMPDIR": str(folder)} if len(str(folder)) <= LONGEST_FOLDER else {}
        return (await launch(command, {**environment, **temporaries}, forwarder)).code
