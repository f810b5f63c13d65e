"""The CA of `falmock run`: its files, and whether those of the last start can be used again.

`certificates` makes the files. A server lets another process do that (`make_apart`): cryptography would take
10 MB of its memory, and calls would wait for it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import certifi

from falmock.protocol.addresses import parse
from falmock.protocol.hosts import ALIASES, FAL_DOMAINS
from falmock.system import private

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LOCAL_NETWORKS: Final = ("127.0.0.0/8", "::1/128")
LOCAL_ADDRESSES: Final = ("127.0.0.1", "::1")
NAMES: Final = tuple(  # all fal hosts, emulated or not, so that each gets an answer
    dict.fromkeys(
        ["localhost", *FAL_DOMAINS, *(f"*.{domain}" for domain in FAL_DOMAINS), *ALIASES, "*.alpha.fal.ai"]
    )
)
# A file that the user names may have a key too.
_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class NoProcessError(Exception):
    """No other process can be started."""


class DamagedCAError(Exception):
    """The files of a CA cannot be used. The text is one line that says what to do."""


class CertificateAuthority:
    """The files of a CA: keys in one folder, and what clients need in another."""

    def __init__(self, folder: Path) -> None:
        self.key = folder / "ca.key"
        self.certificate = certificate_of(folder)
        self.bundle = self.certificate.with_name("bundle.pem")  # that certificate and the usual roots
        self.server = folder / "server.pem"  # key and certificate of the TLS port
        self.named = folder / "named.pem"  # the same without addresses, for clients that ask for a name

    def context(self) -> ssl.SSLContext:
        context, named = _context(self.server), _context(self.named)

        def choose(connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: object) -> None:
            if name is not None and parse(name) is None:
                connection.context = named

        context.sni_callback = choose
        return context

    def heading(self, end: float) -> bytes:
        """Return the first line of `server` and `named`: what they are for, and when they end."""
        made_for = hashlib.sha256(json.dumps([NAMES, LOCAL_ADDRESSES, LOCAL_NETWORKS]).encode())
        for path in (self.key, self.certificate):
            made_for.update(path.read_bytes())
        return f"{made_for.hexdigest()} {end:.0f}\n".encode()

    def is_current(self) -> bool:
        """Check whether the certificates of the server belong to this CA and can be used for some time."""
        try:
            for path in (self.server, self.named):
                heading, _, _ = path.read_bytes().partition(b"-")
                end = int(heading.split()[-1])
                if heading != self.heading(end) or end < time.time():
                    return False
            self.context()
        except (FileNotFoundError, ssl.SSLError, ValueError, IndexError):  # missing, or damaged
            return False
        return True


def open_ca(
    folder: Path, environment: Mapping[str, str], make: Callable[[CertificateAuthority], None]
) -> CertificateAuthority:
    """Open the CA in a folder. The files that are missing, or were made for other names, are made.

    Args:
        folder: created if missing.
        environment: `SSL_CERT_FILE` and the like name further roots for the bundle.
        make: `make_apart`, or `certificates.make`.

    Raises:
        OSError: a file cannot be read or written.
        DamagedCAError: key or certificate cannot be parsed.
    """
    ca = CertificateAuthority(folder)
    for each in (folder, ca.certificate.parent):
        private.folder(each)
    if not ca.is_current():
        make(ca)
    private.write(ca.bundle, _usual_roots(environment) + ca.certificate.read_bytes())
    return ca


def make_apart(ca: CertificateAuthority) -> None:
    """Make the files of a CA in a separate process. Raises as `certificates.make` does.

    Raises:
        NoProcessError: it cannot be started.
    """
    command = [sys.executable, "-P", "-m", "falmock.intercept.certificates", str(ca.key.parent)]
    try:
        made = subprocess.run(  # noqa: S603 - this program
            command, stdout=subprocess.PIPE, check=False, start_new_session=True
        )
    except OSError as reason:
        raise NoProcessError from reason
    if made.returncode == 0:
        return
    error = json.loads(made.stdout)  # as `certificates.main` prints it
    if isinstance(error, str):
        raise DamagedCAError(error)
    raise OSError(error, os.strerror(error))


def certificate_of(folder: Path) -> Path:
    return folder / "certificate" / "ca.pem"


def _context(chain: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _usual_roots(environment: Mapping[str, str]) -> bytes:
    """Return the roots that programs trust already, since they call other hosts too."""
    named = (environment.get(name) for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
    system = ssl.get_default_verify_paths().cafile
    paths = dict.fromkeys(filter(None, (*named, system, certifi.where())))
    found = (_CERTIFICATE.findall(Path(path).read_bytes()) for path in paths if Path(path).is_file())
    return b"".join(each + b"\n" for certificates in found for each in certificates)
