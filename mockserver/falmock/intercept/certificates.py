"""A certificate authority of one's own, and the certificate that the TLS port shows for fal's names.

The authority may vouch for fal's domains and for this machine, and for nothing else: its certificate
says so (name constraints), so that a stolen key is of no use against any other site.
"""

from __future__ import annotations

import ipaddress
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
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from falmock.protocol.hosts import ALIASES, FAL_DOMAINS
from falmock.system import private

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCAL_NETWORKS: Final = ("127.0.0.0/8", "::1/128")
LOCAL_ADDRESSES: Final = ("127.0.0.1", "::1")
AUTHORITY_LIFETIME: Final = timedelta(days=3650)
CERTIFICATE_LIFETIME: Final = timedelta(days=397)  # browsers take no longer one
SKEW: Final = timedelta(days=1)  # clocks that are behind shall take it too


@dataclass(frozen=True, slots=True)
class Authority:
    """Files of an authority, all in one folder.

    Attributes:
        certificate: the authority's own; whoever trusts it takes this emulator for fal.
        bundle: the usual roots and `certificate`, for programs that read a single file.
        server: key and certificate of the TLS port. Only its owner can read it.
    """

    certificate: Path
    bundle: Path
    server: Path

    def context(self) -> ssl.SSLContext:
        """Return what the TLS port speaks with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server)
        context.set_alpn_protocols(["http/1.1"])
        return context


def open_authority(folder: Path, environment: Mapping[str, str] | None = None) -> Authority:
    """Return the authority of a folder, made at the first time; its server certificate is always new.

    Args:
        folder: made if need be.
        environment: `SSL_CERT_FILE` and its like name roots that programs trusted before.

    Raises:
        OSError: the folder cannot be written to.
    """
    private.folder(folder)
    authority = Authority(folder / "ca.pem", folder / "bundle.pem", folder / "server.pem")
    key, certificate = _own(folder / "ca.key", authority.certificate)
    private.write(authority.bundle, _usual_roots(environment or {}) + _pem(certificate))
    server_key = ec.generate_private_key(ec.SECP256R1())
    private.write(authority.server, _private_pem(server_key) + _pem(_serve(server_key, key, certificate)))
    return authority


def _own(key_path: Path, path: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    if key_path.exists() and path.exists():
        key = load_pem_private_key(key_path.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        if isinstance(key, ec.EllipticCurvePrivateKey) and certificate.not_valid_after_utc > _now() + SKEW:
            return key, certificate
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certify_itself(key)
    private.write(key_path, _private_pem(key))
    private.write(path, _pem(certificate))
    return key, certificate


def _certify_itself(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = _name(f"falmock, on this machine only ({_now():%Y-%m-%d})")
    permitted = [
        *map(x509.DNSName, (*FAL_DOMAINS, "localhost")),
        *(x509.IPAddress(ipaddress.ip_network(network)) for network in LOCAL_NETWORKS),
    ]
    return (
        _builder(name, name, key, AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _serve(
    key: ec.EllipticCurvePrivateKey, authority_key: ec.EllipticCurvePrivateKey, authority: x509.Certificate
) -> x509.Certificate:
    """Certify for every name of fal's, served or not: a call that is refused is to be told why."""
    names = dict.fromkeys(
        ["localhost", *FAL_DOMAINS, *(f"*.{domain}" for domain in FAL_DOMAINS), *ALIASES, "*.alpha.fal.ai"]
    )
    alternatives = [
        *map(x509.DNSName, names),
        *(x509.IPAddress(ipaddress.ip_address(address)) for address in LOCAL_ADDRESSES),
    ]
    return (
        _builder(_name("falmock"), authority.subject, key, CERTIFICATE_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - SKEW)
        .not_valid_after(_now() + lifetime)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _usual_roots(environment: Mapping[str, str]) -> bytes:
    """Return the roots that programs trusted before: fal's names are not all that they talk to."""
    named = (environment.get(name) for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
    system = ssl.get_default_verify_paths().cafile
    paths = dict.fromkeys(filter(None, (*named, system, certifi.where())))
    return b"\n".join(Path(path).read_bytes() for path in paths if Path(path).is_file()) + b"\n"


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _now() -> datetime:
    return datetime.now(UTC)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
