"""Where a running emulator is reached, in files that other commands read.

One is in its state folder, and one in a folder of the user's, where it is found from any other folder.
"""

from __future__ import annotations

import json
import logging
import os
import stat
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from errno import EPERM
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from falmock.http.identity import Identity, challenge
from falmock.protocol.authorities import parse_url
from falmock.system import private
from falmock.system.dialler import is_this_machine

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("falmock")

FILE: Final = "server.json"
LAST_RUN: Final = "last-run.jsonl"  # the journal of the last `falmock run` with an emulator of its own
LONGEST_HEALTH: Final = 64 * 1024  # bytes of an answer of `/health`
HEALTH_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """How a program reaches an emulator."""

    http: str  # URLs of its ports, as "http://127.0.0.1:8787"
    https: str
    proxy: str
    certificate: str  # file with the certificate of the CA
    bundle: str  # file with all roots for a program
    preload: str  # file that Node loads before a program
    sealed: bool = False  # whether the proxy refuses other machines
    state: str = ""  # its state folder; empty for one in memory
    # A secret of the process, by which it proves that it wrote the file (see `http.identity`)
    token: str = field(default="", repr=False)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` returned.

        Raises:
            ValueError: the text is something else.
        """
        try:
            server = cls(**json.loads(text))
        except TypeError:
            raise ValueError("not the addresses of an emulator") from None
        for name, value in asdict(server).items():
            if type(value) is not (bool if name == "sealed" else str):
                raise ValueError(f"{name} is of another type")
        return server

    def seen_from(self, host: str | None, folder: str | None) -> ServerInfo:
        """Return the addresses and files as a program elsewhere sees them, in a container for example.

        Args:
            host: name of this machine there; None for the same addresses.
            folder: of the files there; None for the same paths.
        """

        def moved(url: str) -> str:
            parts = parse_url(url)
            return f"{parts.scheme}://{host}:{parts.port}" if host else url

        def elsewhere(path: str) -> str:
            return f"{folder.rstrip('/')}/{Path(path).name}" if folder else path

        return replace(
            self,
            http=moved(self.http),
            https=moved(self.https),
            proxy=moved(self.proxy),
            certificate=elsewhere(self.certificate),
            bundle=elsewhere(self.bundle),
            preload=elsewhere(self.preload),
        )


@contextmanager
def advertise(server: ServerInfo) -> Iterator[None]:
    """Keep the files for the length of a block.

    Raises:
        OSError: that in the state folder cannot be written.
    """
    folder = runtime_folder()
    with ExitStack() as stack:
        if server.state:
            _keep(stack, Path(server.state) / FILE, server)
        try:
            name = f"{parse_url(server.http).authority}.json".replace(":", "-")
            _keep(stack, _make_runtime_folder() / name, server)
        except OSError as error:
            log.warning("other folders do not find this emulator: %s: %s", folder, error.strerror)
        yield


def _keep(stack: ExitStack, file: Path, server: ServerInfo) -> None:
    private.write(file, server.to_json().encode())
    stack.callback(file.unlink, missing_ok=True)


def runtime_folder() -> Path:
    """Return the folder for the files that commands of this user share; it may not exist."""
    given = os.environ.get("XDG_RUNTIME_DIR")
    if given and os.access(given, os.W_OK | os.X_OK):  # not that of another user, as after su
        return Path(given) / "falmock"
    return Path(tempfile.gettempdir()) / f"falmock-of-{os.geteuid()}"


def leave(name: str, content: bytes) -> None:
    """Leave a file in the runtime folder, in the place of one of that name.

    Raises:
        OSError: it cannot be written, or other users can change the folder.
    """
    folder = _make_runtime_folder()
    mine = folder / f"{os.getpid()}-{name}"  # another process may leave one at the same time
    private.write(mine, content)
    mine.replace(folder / name)


def _make_runtime_folder() -> Path:
    folder = runtime_folder()
    with suppress(FileExistsError):
        folder.mkdir(mode=private.FOLDER)
    if not _is_private(folder):
        raise PermissionError(EPERM, "other users can write there")
    return folder


def private_runtime_folder() -> Path | None:
    """Return the runtime folder, or None if there is none that only this user can change."""
    folder = runtime_folder()
    return folder if _is_private(folder) else None


def running() -> list[ServerInfo]:
    """Return the emulators of this user that run and that any folder may use."""
    folder = private_runtime_folder()
    files = sorted(folder.glob("*.json")) if folder is not None else []
    return [server for server in map(_read, files) if server is not None]


def _is_private(folder: Path) -> bool:
    """Return whether this is a folder, not a link, that only this user can change."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    mine = status.st_uid == os.geteuid() and not stat.S_IMODE(status.st_mode) & 0o077
    return stat.S_ISDIR(status.st_mode) and mine


def find(state: Path) -> ServerInfo | None:
    """Return the emulator that serves a state folder, if one does."""
    return _read(state / FILE)


def _read(file: Path) -> ServerInfo | None:
    """Return the running emulator that wrote a file, or None.

    The file is ignored if another user wrote it, if it names another machine, or if the process on the
    port cannot prove that it wrote the file.
    """
    try:
        if os.geteuid() not in {0, file.stat().st_uid}:
            return None
        server = ServerInfo.from_json(file.read_text())
        here = all(map(_is_here, (server.http, server.https, server.proxy)))
        return server if here and _proves(server) else None
    except (OSError, ValueError, RecursionError):  # no file
        return None


def _is_here(url: str) -> bool:
    """Return whether a URL is of an address of this machine, and nothing else."""
    parsed = parse_url(url)
    plain = not parsed.path and parsed.query is None
    return plain and is_this_machine(ip_address(parsed.authority.name))


def _proves(server: ServerInfo) -> bool:
    """Return whether the process on the plain port wrote the file."""
    import httpx  # noqa: PLC0415 - loads slowly, and a server does not look for others

    sent = challenge()
    content = b""
    try:
        with (
            httpx.Client(trust_env=False, timeout=HEALTH_SECONDS, verify=False) as http,  # noqa: S501 - no TLS
            http.stream("GET", f"{server.http}/health", params={"challenge": sent}) as answer,
        ):
            answer.raise_for_status()
            for chunk in answer.iter_bytes():
                content += chunk
                if len(content) > LONGEST_HEALTH:
                    return False
    except httpx.HTTPError:  # the emulator was killed, or another program has its port
        return False
    facts = json.loads(content)
    return isinstance(facts, dict) and Identity(server.token).accepts(sent, facts.get("proof"))
