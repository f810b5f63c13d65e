"""The CA of `falmock run`, and the server certificates for fal's host names.

The files for clients are in a separate folder without keys, which can be mounted into a container.

Name constraints restrict the CA to fal's domains and this machine, so a stolen key is useless elsewhere.

There are two server certificates, since BoringSSL (Bun, Chromium) knows no constraints on IP addresses: it
rejects a certificate that has an address, below a CA that constrains addresses. So a client that asks for a
name gets a certificate without addresses. The other one is for clients that call an address.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from falmock.protocol.addresses import parse
from falmock.protocol.hosts import ALIASES, FAL_DOMAINS
from falmock.system import private

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LOCAL_NETWORKS: Final = ("127.0.0.0/8", "::1/128")
LOCAL_ADDRESSES: Final = ("127.0.0.1", "::1")
CA_LIFETIME: Final = timedelta(days=3650)
CERTIFICATE_LIFETIME: Final = timedelta(days=397)  # browsers accept no longer one
# A file that the user names may have a key too.
_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
SKEW: Final = timedelta(days=1)  # between the clocks of this machine and of a container


class DamagedCAError(Exception):
    """The files of a CA cannot be used. The text is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """The files of a CA: keys in one folder, and what clients need in another.

    Attributes:
        certificate: of the CA, in the folder for clients.
        bundle: the usual roots and `certificate`, for programs that read a single file; in the same folder.
        server: key and certificate of the TLS port, readable by their owner only.
        named: the same without addresses, for clients that ask for a name.
    """

    certificate: Path
    bundle: Path
    server: Path
    named: Path

    def context(self) -> ssl.SSLContext:
        """Return the TLS settings of the server."""
        context, named = _context(self.server), _context(self.named)

        def choose(connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: object) -> None:
            if name is not None and parse(name) is None:
                connection.context = named

        context.sni_callback = choose
        return context


def open_ca(folder: Path, environment: Mapping[str, str] | None = None) -> CertificateAuthority:
    """Open the CA in a folder; the first time, make it. The server certificate is new each time.

    Args:
        folder: created if missing.
        environment: `SSL_CERT_FILE` and the like name further roots for the bundle.

    Raises:
        OSError: a file cannot be read or written.
        DamagedCAError: key or certificate cannot be parsed.
    """
    certificate_path = certificate_of(folder)
    for each in (folder, certificate_path.parent):
        private.folder(each)
    ca = CertificateAuthority(
        certificate_path,
        certificate_path.with_name("bundle.pem"),
        folder / "server.pem",
        folder / "named.pem",
    )
    key, certificate = _load(folder / "ca.key", ca.certificate) or _make(folder / "ca.key", ca.certificate)
    private.write(ca.bundle, _usual_roots(environment or {}) + _pem(certificate))
    server_key = ec.generate_private_key(ec.SECP256R1())
    for path, addresses in ((ca.server, LOCAL_ADDRESSES), (ca.named, ())):
        server = _server_certificate(server_key, key, certificate, addresses)
        private.write(path, _private_pem(server_key) + _pem(server))
    return ca


KeyPair = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]


def check_ca(folder: Path) -> None:
    """Check the files of a CA, if there are any.

    Raises:
        OSError: a file cannot be read.
        DamagedCAError: key or certificate cannot be parsed.
    """
    _load(folder / "ca.key", certificate_of(folder))


def certificate_of(folder: Path) -> Path:
    """Return the certificate of the CA in a folder."""
    return folder / "certificate" / "ca.pem"


def key_digest(certificate: str) -> str:
    """Return the digest of a certificate's key, by which Chromium can be told to trust it.

    Args:
        certificate: as PEM.
    """
    key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    return base64.b64encode(digest).decode()


def _load(key_path: Path, path: Path) -> KeyPair | None:
    """Read key and certificate of a CA. Return None if they are missing or have expired."""
    if not (key_path.exists() and path.exists()):
        return None
    try:
        key = load_pem_private_key(key_path.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError:
        raise DamagedCAError(
            f"the certificates in {key_path.parent} are damaged: delete that folder"
        ) from None
    valid = certificate.not_valid_after_utc > _now() + SKEW
    return (key, certificate) if isinstance(key, ec.EllipticCurvePrivateKey) and valid else None


def _make(key_path: Path, path: Path) -> KeyPair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"falmock, on this machine only ({_now():%Y-%m-%d})")
    permitted = [
        *map(x509.DNSName, (*FAL_DOMAINS, "localhost")),
        *(x509.IPAddress(ipaddress.ip_network(network)) for network in LOCAL_NETWORKS),
    ]
    certificate = (
        _builder(name, name, key, CA_LIFETIME, ca=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private.write(key_path, _private_pem(key))
    private.write(path, _pem(certificate))
    return key, certificate


def _server_certificate(
    key: ec.EllipticCurvePrivateKey,
    ca_key: ec.EllipticCurvePrivateKey,
    ca: x509.Certificate,
    addresses: Iterable[str],
) -> x509.Certificate:
    """Return a certificate for all fal hosts, emulated or not, so that each gets an answer."""
    names = dict.fromkeys(
        ["localhost", *FAL_DOMAINS, *(f"*.{domain}" for domain in FAL_DOMAINS), *ALIASES, "*.alpha.fal.ai"]
    )
    alternatives = [
        *map(x509.DNSName, names),
        *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
    ]
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    return (
        _builder(_name("falmock"), ca.subject, key, CERTIFICATE_LIFETIME, ca=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(issuer, critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _context(chain: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, lifetime: timedelta, *, ca: bool
) -> x509.CertificateBuilder:
    usages = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    unused = dict.fromkeys((*usages, "encipher_only", "decipher_only"), False)
    usage = x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, **unused)
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - SKEW)
        .not_valid_after(_now() + lifetime)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .add_extension(usage, critical=True)
    )


def _usual_roots(environment: Mapping[str, str]) -> bytes:
    """Return the roots that programs trust already, since they call other hosts too."""
    named = (environment.get(name) for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
    system = ssl.get_default_verify_paths().cafile
    paths = dict.fromkeys(filter(None, (*named, system, certifi.where())))
    found = (_CERTIFICATE.findall(Path(path).read_bytes()) for path in paths if Path(path).is_file())
    return b"".join(each + b"\n" for certificates in found for each in certificates)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _now() -> datetime:
    return datetime.now(UTC)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
