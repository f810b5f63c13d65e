"""Makes the CA of `falmock run`, and the server certificates for fal's host names.

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
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

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

from falmock.intercept import authority
from falmock.intercept.authority import (
    LOCAL_ADDRESSES,
    LOCAL_NETWORKS,
    NAMES,
    CertificateAuthority,
    DamagedCAError,
    certificate_of,
)
from falmock.protocol.hosts import FAL_DOMAINS
from falmock.system import private

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CA_LIFETIME: Final = timedelta(days=3650)
CERTIFICATE_LIFETIME: Final = timedelta(days=397)  # browsers accept no longer one
SKEW: Final = timedelta(days=1)  # between the clocks of this machine and of a container
LEFT: Final = timedelta(days=30)  # of the lifetime, when the certificates of the server are made anew


def open_ca(folder: Path, environment: Mapping[str, str] | None = None) -> CertificateAuthority:
    """Open the CA in a folder, with certificates made by this process; see `authority.open_ca`."""
    return authority.open_ca(folder, environment or {}, make)


def make(ca: CertificateAuthority) -> None:
    """Make the certificates of the server, and the CA if it is missing or has expired.

    Raises:
        OSError: a file cannot be read or written.
        DamagedCAError: key or certificate of the CA cannot be parsed.
    """
    key, certificate = _load(ca.key, ca.certificate) or _make(ca.key, ca.certificate)
    server_key = ec.generate_private_key(ec.SECP256R1())
    for path, addresses in ((ca.server, LOCAL_ADDRESSES), (ca.named, ())):
        server = _server_certificate(server_key, key, certificate, addresses)
        end = min(certificate.not_valid_after_utc - SKEW, server.not_valid_after_utc - LEFT)
        private.write(path, ca.heading(end.timestamp()) + _private_pem(server_key) + _pem(server))


KeyPair = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]


def check_ca(folder: Path) -> None:
    """Check the files of a CA, if there are any.

    Raises:
        OSError: a file cannot be read.
        DamagedCAError: key or certificate cannot be parsed.
    """
    _load(folder / "ca.key", certificate_of(folder))


def key_digest(certificate: str) -> str:
    """Return the digest of a PEM certificate's key, for the flag that makes Chromium trust it."""
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
    alternatives = [
        *map(x509.DNSName, NAMES),
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


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _now() -> datetime:
    return datetime.now(UTC)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def main() -> int:
    """Make the files of a CA in the folder that is the argument; print an error for `make_apart`."""
    try:
        make(CertificateAuthority(Path(sys.argv[1])))
    except DamagedCAError as error:
        print(json.dumps(str(error)))  # noqa: T201 - see above
    except OSError as error:
        print(json.dumps(error.errno))  # noqa: T201 - see above
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
